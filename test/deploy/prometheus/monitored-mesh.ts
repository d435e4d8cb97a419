/**
 * A mesh that has something to tell of everything: a gateway of two workers with Redis, a CRL, an issuer of tokens and a
 * broken policy file, a collector of traces, agents that use both planes, Prometheus, Alertmanager and a webhook.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer as createHttpServer } from 'node:http'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import type { Agent } from '@clawmesh/agent-sdk'
import { startCollector } from '../../support/collector.ts'
import { closeServer, listenOnFreePort } from '../../support/http-origin.ts'
import { type Mesh, type PolicyFiles, startMesh } from '../../support/mesh.ts'
import { startOpenClawMetrics } from '../../support/openclaw-metrics.ts'
import { startRedisServer } from '../../support/redis-server.ts'
import { startTokenIssuer } from '../../support/token-issuer.ts'
import { waitFor } from '../../support/wait-for.ts'
import { type Prometheus, startPrometheus } from './prometheus-server.ts'
import { startAdminProxy, startAlertmanager, startWebhook, type Webhook } from './servers.ts'

export interface MonitoredMesh {
  readonly mesh: Mesh
  readonly prometheus: Prometheus
  readonly webhook: Webhook
  /** host:port of nginx before the admin port. */
  readonly remote: string
  /** A request that policy refuses. */
  refused(): Promise<void>
  /** A delegation whose skill fetches a page. */
  work(traceparent?: string): Promise<void>
  /** A tunnel that is cut, and a connection that is refused. */
  faults(): Promise<void>
  close(): Promise<void>
}

const PASSWORD = 'a-password-for-this-test-alone'
const TOKEN = 'a-token-for-this-test-alone'

export async function startMonitoredMesh(): Promise<MonitoredMesh> {
  const undo: (() => Promise<unknown>)[] = []
  const close = async () => {
    for (const step of undo.splice(0).toReversed()) await step()
  }
  const opened = async <T extends { close(): Promise<unknown> }>(starting: Promise<T>) => {
    const started = await starting
    undo.push(() => started.close())
    return started
  }
  try {
    const page = await opened(servePage())
    const silent = await opened(serveNothing())
    const policy = (...allow: readonly string[]) => ({
      acme: { egress: { allow }, delegation: { allow: [{ from: '*', to: '*' }] } },
    })
    const redis = await opened(startRedisServer())
    const issuer = await opened(startTokenIssuer())
    const collector = await opened(startCollector())
    const ports = [page.port, silent.port]
    const mesh = await opened(
      startGateway({
        ...{ redis: redis.url, issuer, traces: collector.url, ports },
        policy: policy(page.host, silent.host),
      }),
    )
    for (const name of ['page.example', 'silent.example']) mesh.addHost(name, ['127.0.0.1'])
    const planner = await mesh.agent('acme', 'planner')
    await mesh.serve('acme', 'researcher', {
      skills: { read: async (_task, ctx) => (await ctx.fetch(`http://${page.host}/`)).text() },
    })

    const at = (part: string) => join(mesh.dir, part)
    const webhook = await opened(startWebhook())
    const alertmanager = await opened(startAlertmanager(at('alertmanager'), webhook.url))
    const openclaw = await opened(startOpenClawMetrics(TOKEN))
    const { admin } = mesh.gateway
    const proxy = await opened(
      startAdminProxy({ dir: at('nginx'), admin, password: PASSWORD, identity: at('gateway') }),
    )
    const prometheus = await opened(
      startPrometheus({
        ...{ dir: at('prometheus'), gateway: admin, remote: proxy.address },
        ...{ openclaw: openclaw.address, alertmanager: alertmanager.address },
        files: {
          'mesh-ca.pem': await readFile(at('gateway/ca.crt'), 'utf8'),
          'admin-password': PASSWORD,
          'openclaw-token': TOKEN,
        },
      }),
    )
    return {
      ...{ mesh, prometheus, webhook, remote: proxy.address, close },
      async refused() {
        await planner.fetch(`http://closed.example:${page.port}/`).catch(() => {})
      },
      async work(traceparent) {
        const named = traceparent === undefined ? {} : { traceparent }
        await planner.delegate('researcher', { skill: 'read', ...named }).result()
      },
      async faults() {
        await cutTunnel(planner, silent, () => mesh.setPolicy(policy(page.host)))
        await speakNonsense(mesh.gateway.delegation)
      },
    }
  } catch (error) {
    await close()
    throw error
  }
}

function startGateway(options: {
  readonly redis: string
  readonly issuer: { readonly iss: string; readonly jwksUri: string }
  readonly traces: string
  readonly ports: readonly number[]
  readonly policy: PolicyFiles
}): Promise<Mesh> {
  const { redis, issuer, traces, ports, policy } = options
  return startMesh({
    policy: { _global: { egress: { allowCidrs: ['127.0.0.0/8'], ports } }, ...policy },
    config: {
      workers: 2,
      traces: { url: traces },
      limits: { redis: { url: redis } },
      revocation: { crl: 'crl/crl.pem', list: 'revoked/revoked.json' },
      tokens: { issuers: [{ issuer: issuer.iss, jwksUri: issuer.jwksUri, tenants: ['acme'] }] },
    },
    async prepare({ dir, ca }) {
      for (const name of ['crl', 'revoked']) await mkdir(join(dir, name))
      await writeFile(join(dir, 'crl', 'crl.pem'), (await ca.crl()).pem)
      await writeFile(join(dir, 'policy', 'globex.json'), '{"tenant":')
    },
  })
}

interface Destination {
  readonly host: string
  readonly port: number
  close(): Promise<void>
}

async function servePage(): Promise<Destination> {
  const server = createHttpServer((_request, response) => response.end('page'))
  const port = await listenOnFreePort(server)
  return { host: `page.example:${port}`, port, close: () => closeServer(server) }
}

/** It takes connections and never answers. */
async function serveNothing(): Promise<Destination & { readonly taken: ReadonlySet<Socket> }> {
  const taken = new Set<Socket>()
  const server = createServer((socket) => {
    taken.add(socket)
    socket.on('error', () => {})
    socket.once('close', () => taken.delete(socket))
    socket.resume()
  })
  const port = await listenOnFreePort(server)
  return {
    ...{ host: `silent.example:${port}`, port, taken },
    async close() {
      for (const socket of taken) socket.destroy()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

/** Opens a tunnel, and then policy allows it no more. */
async function cutTunnel(
  agent: Agent,
  to: Destination & { readonly taken: ReadonlySet<Socket> },
  takeBack: () => Promise<void>,
): Promise<void> {
  const cut = agent.fetch(`https://${to.host}/`).then(
    () => {
      throw new Error('nobody answers there')
    },
    () => {},
  )
  await waitFor('the tunnel', () => to.taken.size > 0)
  await takeBack()
  await cut
}

/** No TLS: the port refuses it. */
async function speakNonsense(address: string): Promise<void> {
  const { hostname, port } = new URL(`tcp://${address}`)
  await new Promise<void>((resolve) => {
    const socket = connect(Number(port), hostname, () => socket.write('GET / HTTP/1.1\r\n\r\n'))
    socket.on('error', () => {})
    socket.once('close', () => resolve())
    socket.resume()
  })
}
