/** A gateway of several workers as a process, with an upstream that echoes, and agents that open tunnels to it. */
import { once } from 'node:events'
import {
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  writeFile,
} from 'node:fs/promises'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeIdentity } from '@clawmesh/pki'
import {
  freeGatewayPorts,
  type GatewayProcess,
  startGatewayProcess,
} from '../../support/gateway-process.ts'
import { makeTestCa } from '../../support/test-ca.ts'
import { issueToken } from '../cli/run-here.ts'

export interface SeveralWorkers {
  readonly dir: string
  readonly gateway: GatewayProcess
  /** Of the upstream. */
  readonly upstream: string
  /** Of the workers that are ready, first to last. */
  pids(): Promise<readonly number[]>
  /** The one that `ask` shows. */
  tokenOf(agent: string): Promise<string>
  /** Asks for a tunnel on a connection of its own. */
  ask(agent: string, target?: string): Promise<Tunnel>
  setPolicy(egress: Readonly<Record<string, unknown>>): Promise<void>
  get(path: string): Promise<{ readonly status: number; readonly body: string }>
  /** The sum of all series of a metric, or of those with these labels. */
  metric(name: string, labels?: string): Promise<number>
  close(): Promise<void>
}

export interface Tunnel {
  readonly socket: Socket
  /** 200 when it is open; 0 when the connection ended instead. */
  readonly status: number
  /** Of a refusal. */
  readonly body: string
  /** True when what is sent comes back. */
  echoes(): Promise<boolean>
}

export interface SeveralWorkersOptions {
  readonly workers?: number
  /** Merged into the configuration. */
  readonly config?: Readonly<Record<string, unknown>>
  /** Added to the environment of the gateway. */
  readonly env?: Readonly<Record<string, string>>
  /** Of the tenant; default: all may reach the upstream. */
  readonly egress?: Readonly<Record<string, unknown>>
}

export async function startSeveralWorkers(
  options: SeveralWorkersOptions = {},
): Promise<SeveralWorkers> {
  const dir = await mkdtemp(join(tmpdir(), 'clawmesh-workers-'))
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.pipe(socket)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const port = portOf(server)
  const upstream = `127.0.0.1:${port}`
  const ca = await makeTestCa()
  await writeIdentity(join(dir, 'gateway'), ca.ca.issueGateway({ name: 'gw', tenants: ['acme'] }))
  await ca.close()
  await mkdir(join(dir, 'policy'))
  const write = async (name: string, value: unknown) => {
    await writeFile(join(dir, `.${name}`), JSON.stringify(value))
    await rename(join(dir, `.${name}`), join(dir, 'policy', name))
  }
  const setPolicy = (egress: Readonly<Record<string, unknown>>) =>
    write('acme.json', { tenant: 'acme', egress: { allow: [upstream], ...egress } })
  // policy has nothing against the gateway's own ports: what keeps them out of reach is something else
  const ports = await freeGatewayPorts()
  await write('_global.json', {
    egress: { allowCidrs: ['127.0.0.0/8'], ports: [port, ...Object.values(ports)] },
  })
  await setPolicy(options.egress ?? {})
  const gateway = await startGatewayProcess({
    dir,
    ports,
    config: { workers: options.workers ?? 2, ...options.config },
    ...(options.env === undefined ? {} : { env: options.env }),
  })

  const get = async (path: string) => {
    const response = await fetch(`http://${gateway.admin}${path}`)
    return { status: response.status, body: await response.text() }
  }
  const tokens = new Map<string, Promise<string>>()
  const tokenOf = (agent: string) => {
    const known = tokens.get(agent) ?? issueToken(dir, agent)
    tokens.set(agent, known)
    return known
  }
  const open = new Set<Socket>()
  return {
    dir,
    gateway,
    upstream,
    setPolicy,
    get,
    tokenOf,
    async pids() {
      const { body } = await get('/')
      return [...body.matchAll(/<td>ready, process (\d+)</g)].map(([, pid]) => Number(pid))
    },
    async ask(agent, target = upstream) {
      const [host = '', where = ''] = gateway.egress.split(':')
      const socket = connect(Number(where), host)
      open.add(socket)
      return openTunnel(socket, target, await tokenOf(agent))
    },
    async metric(name, labels = '') {
      const { body } = await get('/metrics')
      const lines = body.split('\n').filter((line) => /^\w+/.exec(line)?.[0] === name)
      return lines
        .filter((line) => line.includes(labels))
        .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0)
    },
    async close() {
      for (const socket of open) socket.destroy()
      await gateway.stop()
      server.close()
      await once(server, 'close')
      await rm(dir, { recursive: true, force: true })
    },
  }
}

/** Over a connection to the egress port, of whatever kind. */
export async function openTunnel(socket: Socket, target: string, token: string): Promise<Tunnel> {
  socket.on('error', () => {})
  socket.write(
    `CONNECT ${target} HTTP/1.1\r\nhost: ${target}\r\nproxy-authorization: Bearer ${token}\r\n\r\n`,
  )
  let text = ''
  const status = await new Promise<number>((resolve) => {
    socket.once('close', () => resolve(0))
    socket.on('data', function read(chunk: Buffer) {
      text += chunk
      const head = /^HTTP\/1\.1 (\d+) [\s\S]*?\r\n\r\n/.exec(text)
      if (head === null) return
      socket.off('data', read)
      resolve(Number(head[1]))
    })
  })
  return {
    socket,
    status,
    body: text,
    async echoes() {
      if (socket.destroyed) return false
      socket.write('hello')
      const [answer] = await Promise.race([once(socket, 'data'), once(socket, 'close')])
      return String(answer) === 'hello'
    },
  }
}

/** Sockets that a process has open. */
export async function socketsOf(pid: number): Promise<number> {
  const links = await Promise.all(
    (await readdir(`/proc/${pid}/fd`)).map((fd) =>
      readlink(`/proc/${pid}/fd/${fd}`).catch(() => ''),
    ),
  )
  return links.filter((link) => link.startsWith('socket:')).length
}

/** Processes that a process has started. */
export async function childrenOf(pid: number | undefined): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')
  return text.split(' ').filter(Boolean).map(Number)
}

export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    // there is none: that is the answer
    return false
  }
}

function portOf(server: Server): number {
  const address = server.address() as AddressInfo
  return address.port
}
