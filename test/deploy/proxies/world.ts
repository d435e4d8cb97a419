/** Two gateways behind a proxy, configured as the guide has it, and agents that know nothing but the proxy. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Agent, createAgent, silentLog } from '@clawmesh/agent-sdk'
import { type Ca, writeIdentity } from '@clawmesh/pki'
import { gatewayCommand } from '../../support/bundled-gateway.ts'
import { closeServer } from '../../support/http-origin.ts'
import { makeCa } from '../../support/mesh.ts'
import type { Program } from '../../support/start-program.ts'
import { waitFor } from '../../support/wait-for.ts'
import { AGENTS, type Network, PROXY } from './network.ts'

const GUIDE = new URL('../../../docs/guides/load-balancers.md', import.meta.url)
const DESTINATION = { host: AGENTS, port: 8000 }
const PEER_PORT = 7443

/** Only a hang takes longer, on a machine that has much else to do too. */
export const HANG = { withinMs: 180_000 }

export type GatewayName = 'gw-1' | 'gw-2'
export const GATEWAYS: readonly GatewayName[] = ['gw-1', 'gw-2']

/** A request to `slow` that waits for its answer. */
export interface Waiting {
  readonly gateway: GatewayName | null
  answer(): void
}

export interface World {
  readonly dir: string
  readonly destination: string
  /** It answers when it is told to. */
  readonly slow: string
  /** The requests to it so far. */
  readonly waiting: readonly Waiting[]
  identity(agent: string): Promise<string>
  /** An agent of acme behind the proxy. Closed by close(). */
  agent(name: string): Promise<Agent>
  startGateway(name: GatewayName): Promise<void>
  /** SIGTERM. Resolves with its exit code. */
  stopGateway(name: GatewayName): Promise<number | string>
  /** Status of /ready on the health port; null when nobody answers. */
  ready(name: GatewayName): Promise<number | null>
  audit(name: GatewayName): Promise<readonly Readonly<Record<string, unknown>>[]>
  /** Connections that the gateway has refused, by plane and reason. */
  refused(name: GatewayName): Readonly<Record<string, number>>
  close(): Promise<void>
}

export async function openWorld(network: Network): Promise<World> {
  const dir = await mkdtemp(join(tmpdir(), 'front-'))
  const ca = await makeCa(join(dir, 'ca'))
  const waiting: Waiting[] = []
  const origin = await startOrigin(waiting)
  const command = await gatewayCommand()
  const running = new Map<GatewayName, Program>()
  const agents: Agent[] = []
  await mkdir(join(dir, 'policy'))
  await writePolicy(dir)
  for (const name of GATEWAYS) await writeGateway(dir, ca, name)

  const identity = async (agent: string) => {
    const place = join(dir, 'agents', agent)
    await writeIdentity(place, ca.issueAgent({ tenant: 'acme', agent }))
    return place
  }
  const world: World = {
    ...{ dir, identity, waiting },
    destination: `http://${DESTINATION.host}:${DESTINATION.port}/`,
    slow: `http://${DESTINATION.host}:${DESTINATION.port}/slow`,
    async agent(name) {
      const agent = await createAgent({
        ...{ gateway: `${PROXY}:8443`, egress: `https://${PROXY}:8080` },
        ...{ identity: await identity(name), log: silentLog },
      })
      agents.push(agent)
      return agent
    },
    async startGateway(name) {
      const args = [command, 'start', '--config', join(dir, name, 'gateway.json')]
      const program = network.start(name, process.execPath, ...args)
      running.set(name, program)
      const early = program.ended.then((how) => {
        throw new Error(`${name} ended with ${how}:\n${program.lastLines().join('\n')}`)
      })
      early.catch(() => {})
      const ready = waitFor(
        `${name} to be ready`,
        async () => (await world.ready(name)) === 200,
        HANG,
      )
      await Promise.race([ready, early])
    },
    async stopGateway(name) {
      const program = running.get(name)
      if (program === undefined) return 'it does not run'
      // it may take as long as its drain
      program.signal('SIGTERM')
      return await program.ended
    },
    async ready(name) {
      const url = `http://${addressOf(name)}:9091/ready`
      const answer = await fetch(url, { headers: { connection: 'close' } }).catch(() => null)
      await answer?.text()
      return answer?.status ?? null
    },
    async audit(name) {
      const text = await readFile(join(dir, name, 'audit.jsonl'), 'utf8').catch(() => '')
      return text
        .split('\n')
        .slice(0, -1)
        .map((line): Record<string, unknown> => JSON.parse(line))
    },
    refused(name) {
      const metrics = network.run(name, 'curl', '-sS', 'http://127.0.0.1:9090/metrics')
      const lines = metrics.matchAll(
        /^clawmesh_connections_refused_total\{plane="(\w+)",reason="([\w-]+)"\} (\d+)$/gm,
      )
      return Object.fromEntries(
        [...lines].map(([, plane, reason, n]) => [`${plane} ${reason}`, Number(n)]),
      )
    },
    async close() {
      await Promise.all(agents.map((agent) => agent.close()))
      await closeServer(origin)
      await rm(dir, { recursive: true })
    },
  }
  return world
}

function addressOf(name: GatewayName): string {
  return name === 'gw-1' ? '10.20.0.11' : '10.20.0.12'
}

async function startOrigin(waiting: Waiting[]): Promise<Server> {
  const origin = createServer((request, response) => {
    const answer = () => void response.end('reached')
    request.resume()
    if (request.url !== '/slow') request.on('end', answer)
    else {
      const from = request.socket.remoteAddress
      waiting.push({ gateway: GATEWAYS.find((name) => addressOf(name) === from) ?? null, answer })
    }
  })
  await new Promise<void>((resolve) => {
    origin.listen(DESTINATION.port, DESTINATION.host, resolve)
  })
  return origin
}

async function writePolicy(dir: string): Promise<void> {
  const { host, port } = DESTINATION
  const policy = {
    _global: { egress: { ports: [port], allowCidrs: ['10.20.0.0/24'] } },
    acme: {
      tenant: 'acme',
      delegation: { allow: [{ from: '*', to: 'researcher' }] },
      egress: { allow: [{ host: `${host}:${port}`, scheme: 'http' }] },
    },
  }
  for (const [name, document] of Object.entries(policy))
    await writeFile(join(dir, 'policy', `${name}.json`), JSON.stringify(document))
}

/** The listeners are those of the guide, for its first gateway as they stand there. */
async function writeGateway(dir: string, ca: Ca, name: GatewayName): Promise<void> {
  const place = join(dir, name)
  await writeIdentity(join(place, 'identity'), ca.issueGateway({ name, tenants: ['acme'] }))
  const [, text = ''] =
    /```json\n(\{ ?[^`]*proxyProtocol[^`]*)```/.exec(await readFile(GUIDE, 'utf8')) ?? []
  const guide = JSON.parse(text.replaceAll('10.20.0.11', addressOf(name)))
  const config = {
    ...guide,
    ...{ trustDomain: 'mesh.internal', policy: { dir: '../policy' }, keys: { dir: '../keys' } },
    ...{ identity: { dir: 'identity' }, drainMs: '60s' },
    audit: { file: 'audit.jsonl' },
    egress: { ...guide.egress, tls: { dir: 'identity' } },
    delegation: {
      ...guide.delegation,
      peers: { 'researcher.acme.mesh.internal': `${AGENTS}:${PEER_PORT}` },
    },
    // one process, and several
    workers: name === 'gw-1' ? 1 : 2,
  }
  await writeFile(join(place, 'gateway.json'), JSON.stringify(config))
}

/** An agent that serves, at the address that the gateways know it by. */
export async function serveResearcher(world: World): Promise<void> {
  const researcher = await world.agent('researcher')
  await researcher.serve({
    listen: `${AGENTS}:${PEER_PORT}`,
    skills: { echo: (task) => task.text() },
  })
}
