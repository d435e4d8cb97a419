/** Tries each port for a moment, and asks what listens there when it is taken. */
import { once } from 'node:events'
import { request } from 'node:http'
import { createServer } from 'node:net'
import tls from 'node:tls'
import { checkIsGateway, clientTlsOptions, type IdentitySnapshot } from '@clawmesh/agent-sdk'
import type { SpiffeTemplate } from '@clawmesh/proto'
import type { Config } from '../config/schema.ts'
import type { ListenAddress } from '../port.ts'
import { codeOf } from './finding.ts'
import { listeningProcess } from './listening-process.ts'
import type { PortFacts } from './ports.ts'

const ASK_MS = 2_000
const MAX_ANSWER_BYTES = 1_024

/** @param identity of our gateway, to know another one by; null when there is none that is good */
export async function readPorts(
  config: Config,
  identity: IdentitySnapshot | null,
  spiffe: SpiffeTemplate,
): Promise<PortFacts[]> {
  const ports = [
    ['egress.listen', config.egress.listen],
    ['delegation.listen', config.delegation.listen],
    ['admin.listen', config.admin.listen],
  ] as const
  return Promise.all(
    ports
      .filter(([, address]) => address.port !== 0)
      .map(async ([key, address]): Promise<PortFacts> => {
        const error = await tryListen(address)
        if (error !== 'EADDRINUSE') return { key, address, error, isGateway: false, process: null }
        const to = { ...address, host: reachable(address.host) }
        const isGateway =
          key === 'delegation.listen'
            ? identity !== null && (await answersAsGateway(to, identity, spiffe))
            : await answersHealth(to)
        return { key, address, error, isGateway, process: await listeningProcess(address.port) }
      }),
  )
}

async function tryListen({ host, port }: ListenAddress): Promise<string | null> {
  const server = createServer()
  try {
    const listening = once(server, 'listening')
    server.listen({ host, port, exclusive: true })
    await listening
    server.close()
    await once(server, 'close')
    return null
  } catch (error) {
    return codeOf(error)
  }
}

/** GET /health, as the egress and the admin port answer it. */
function answersHealth({ host, port }: ListenAddress): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = request({ host, port, path: '/health', agent: false, timeout: ASK_MS })
    const late = setTimeout(() => asked.destroy(), ASK_MS)
    const done = (answer: boolean) => {
      clearTimeout(late)
      asked.destroy()
      resolve(answer)
    }
    asked.on('error', () => done(false))
    asked.on('close', () => done(false))
    asked.on('response', (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (text: string) => {
        body += text
        if (body.length > MAX_ANSWER_BYTES) done(false)
      })
      response.on('error', () => done(false))
      response.on('end', () =>
        done(response.statusCode === 200 && /^\s*\{\s*"status"\s*:\s*"up"\s*\}\s*$/.test(body)),
      )
    })
    asked.end()
  })
}

/** A handshake that ends with a gateway of this mesh on the other side. */
function answersAsGateway(
  { host, port }: ListenAddress,
  identity: IdentitySnapshot,
  spiffe: SpiffeTemplate,
): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = tls.connect({
      ...clientTlsOptions(identity, spiffe, checkIsGateway),
      host,
      port,
    })
    const late = setTimeout(() => done(false), ASK_MS)
    const done = (answer: boolean) => {
      clearTimeout(late)
      socket.destroy()
      resolve(answer)
    }
    socket.on('error', () => done(false))
    socket.on('close', () => done(false))
    socket.on('secureConnect', () => done(true))
  })
}

/** Where a listener on every address can be asked. */
function reachable(host: string): string {
  return host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host
}
