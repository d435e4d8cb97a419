/** Tries to listen on each port for a moment, and asks the present listener when it is taken. */
import { once } from 'node:events'
import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { connect as connectHttp2 } from 'node:http2'
import { connect, createServer } from 'node:net'
import { dirname } from 'node:path'
import tls from 'node:tls'
import { checkIsGateway, clientTlsOptions, type IdentitySnapshot } from '@clawmesh/agent-sdk/mesh'
import type { SpiffeTemplate } from '@clawmesh/proto'
import type { Config } from '../config/schema.ts'
import type { ListenAddress } from '../net/port.ts'
import { codeOf } from '../process/error-code.ts'
import { listeningProcess } from './listening-process.ts'
import type { PortFacts } from './ports.ts'

// an import would load undici: docs/discoveries/an-import-of-node-http-loads-undici.md
const { request } = process.getBuiltinModule('node:http')

const ASK_MS = 2_000
const MAX_ANSWER_BYTES = 1_024

interface Listener {
  readonly key: string
  readonly address: ListenAddress
  readonly asks: 'http' | 'mesh' | 'nothing'
}

/** @param identity of this gateway, to recognise another one; null without a valid one */
export async function readPorts(
  config: Config,
  identity: IdentitySnapshot | null,
  spiffe: SpiffeTemplate,
): Promise<PortFacts[]> {
  const { egress, delegation, admin, health } = config
  const listeners: Listener[] = [
    // over TLS any name may be in its certificate, and behind proxies nobody else is answered: the other ports identify
    // the process
    {
      key: 'egress.listen',
      address: egress.listen,
      asks: egress.tls.dir === null && !behindProxies(egress) ? 'http' : 'nothing',
    },
    {
      key: 'delegation.listen',
      address: delegation.listen,
      asks: behindProxies(delegation) ? 'nothing' : 'mesh',
    },
    { key: 'admin.listen', address: admin.listen, asks: 'http' },
    ...(health.listen === null
      ? []
      : [{ key: 'health.listen', address: health.listen, asks: 'http' } as const]),
  ]
  const fixed = listeners.filter(({ address }) => address.path !== undefined || address.port !== 0)
  const facts = await Promise.all(fixed.map((one) => readPort(one, identity, spiffe)))
  const gateways = new Set(
    facts.flatMap(({ isGateway, process }) => (isGateway === true ? (process?.pid ?? []) : [])),
  )
  // one process holds all ports of a gateway: a port that answers identifies those that cannot be asked
  return facts.map((one) =>
    one.process !== null && gateways.has(one.process.pid) ? { ...one, isGateway: true } : one,
  )
}

function behindProxies({ proxyProtocol }: Config['egress'] | Config['delegation']): boolean {
  return proxyProtocol.from.length > 0
}

async function readPort(
  { key, address, asks }: Listener,
  identity: IdentitySnapshot | null,
  spiffe: SpiffeTemplate,
): Promise<PortFacts> {
  const { path } = address
  const error = path === undefined ? await tryListen(address) : await trySocket(path)
  if (error !== 'EADDRINUSE') return { key, address, error, isGateway: false, process: null }
  const to = { ...address, host: reachable(address.host) }
  const isGateway =
    asks === 'http'
      ? await answersHealth(to)
      : asks === 'mesh' && identity !== null
        ? await answersAsGateway(to, identity, spiffe)
        : null
  const process = path === undefined ? await listeningProcess(address.port) : null
  return { key, address, error, isGateway, process }
}

/** A socket is not tested by listening: that would leave or remove a file. */
async function trySocket(path: string): Promise<string | null> {
  const probe = connect(path)
  try {
    await once(probe, 'connect', { signal: AbortSignal.timeout(ASK_MS) })
    return 'EADDRINUSE'
  } catch (error) {
    // nothing listens: then the file must be creatable
    const code = codeOf(error)
    if (code !== 'ENOENT' && code !== 'ECONNREFUSED') return code
    return access(dirname(path), constants.W_OK | constants.X_OK).then(() => null, codeOf)
  } finally {
    probe.destroy()
  }
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

/** GET /health, on the egress and the admin port. */
function answersHealth({ host, port, path: socketPath }: ListenAddress): Promise<boolean> {
  return new Promise((resolve) => {
    const to = socketPath === undefined ? { host, port } : { socketPath, host: 'localhost' }
    const asked = request({ ...to, path: '/health', agent: false, timeout: ASK_MS })
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
      response.on('end', () => done(response.statusCode === 200 && isHealth(body)))
    })
    asked.end()
  })
}

/**
 * Makes a handshake, and checks for a gateway of this mesh on the other side. Closes in good order: a client that
 * leaves during the handshake would count as an offender in that gateway's log.
 */
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
    let isGateway = false
    const done = () => {
      clearTimeout(late)
      socket.destroy()
      resolve(isGateway)
    }
    const late = setTimeout(done, ASK_MS)
    socket.on('error', done)
    socket.on('close', done)
    socket.on('secureConnect', () => {
      isGateway = true
      if (socket.alpnProtocol !== 'h2') {
        socket.end()
        return
      }
      const session = connectHttp2('https://gateway', { createConnection: () => socket })
      // the identity was seen: later errors do not matter
      session.on('error', done)
      session.on('close', done)
      session.once('remoteSettings', () => session.close())
    })
  })
}

/** The address at which to ask a listener on every address. */
function reachable(host: string): string {
  return host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host
}

/** `{"status":"up"}` of the egress port and of older gateways, with `version` for the admin port. */
function isHealth(body: string): boolean {
  return /^\s*\{\s*"status"\s*:\s*"up"\s*(?:,\s*"version"\s*:\s*"[\w.+-]*"\s*)?\}\s*$/.test(body)
}
