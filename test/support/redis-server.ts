/** Debian's redis-server in a process of its own, on a free port, without persistence: what it knew is gone after a restart. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../../scripts/dev/free-ports.ts'
import { waitFor } from './wait-for.ts'

export interface RedisServer {
  readonly url: string
  readonly port: number
  /** Ends it at once. */
  kill(): Promise<void>
  /** Starts it again at the same port. */
  start(): Promise<void>
  /** It keeps its connections and answers nothing. */
  hang(): void
  goOn(): void
  close(): Promise<void>
}

export async function startRedisServer(
  options: { readonly password?: string } = {},
): Promise<RedisServer> {
  const dir = await mkdtemp(join(tmpdir(), 'clawmesh-redis-'))
  const port = await freePort()
  let child: ChildProcess | null = null

  const start = async () => {
    const settings = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', dir]
    const password = options.password === undefined ? [] : ['--requirepass', options.password]
    const started = spawn('redis-server', [...settings, ...password], { stdio: 'ignore' })
    child = started
    await waitFor('redis-server', () => answers(port))
  }
  const kill = async () => {
    const running = child
    child = null
    if (running === null || running.exitCode !== null) return
    const ended = once(running, 'exit')
    running.kill('SIGKILL')
    await ended
  }
  await start()
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    kill,
    start,
    hang: () => void child?.kill('SIGSTOP'),
    goOn: () => void child?.kill('SIGCONT'),
    async close() {
      await kill()
      await rm(dir, { recursive: true, force: true })
    },
  }
}

async function answers(port: number): Promise<true | undefined> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    // not there yet: asked again
    return undefined
  } finally {
    socket.destroy()
  }
}
