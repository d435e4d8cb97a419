/** A container engine of Debian in a network and a mount namespace of its own, and clients that talk to it. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmdirSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'

export type EngineName = 'docker' | 'podman'

export interface Engine {
  readonly name: EngineName
  /** Of its clients. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** What the client prints. @throws Error with what it says when it fails */
  client(...args: readonly string[]): Promise<string>
  /** What a container has printed, on stderr too. */
  logs(container: string): Promise<string>
  /** As `docker-compose` with these arguments. */
  compose(dir: string, ...args: readonly string[]): Promise<string>
  /** Runs a program in the network of the engine, which is the outside of its containers. */
  outside(...command: readonly string[]): Promise<string>
  /** Starts one there, that runs until the engine is closed. Resolves with its first line. */
  serveOutside(
    ...command: readonly string[]
  ): Promise<{ readonly first: string; lines(): string[] }>
  /** Removes all containers and networks, and stops the engine. */
  close(): Promise<void>
}

export interface EngineOptions {
  /** Of the engine's machine. Default: a resolver on loopback, as of systemd-resolved or dnsmasq. */
  readonly resolvConf?: string
  /** Added to the environment of its clients. */
  readonly env?: Readonly<Record<string, string>>
}

const CLIENT = { docker: '/usr/bin/docker', podman: '/usr/bin/podman' } as const
const READY_MS = 60_000

export async function startEngine(
  name: EngineName,
  { resolvConf = 'nameserver 127.0.0.1\n', env: more = {} }: EngineOptions = {},
): Promise<Engine> {
  const dir = mkdtempSync(join(tmpdir(), 'ce-'))
  const cgroup = `clawmesh-${process.pid}-${name}-${dir.slice(-6)}`
  const socket = join(dir, 's')
  const host = `unix://${socket}`
  const files = await filesFor(name, dir, cgroup)
  await writeFile(join(dir, 'resolv.conf'), resolvConf)
  const script = [
    'set -e',
    'ip link set lo up',
    'mount -t tmpfs tmpfs /run',
    `mount --bind ${join(dir, 'resolv.conf')} /etc/resolv.conf`,
    ...files.mounts,
    `exec ${files.command(socket)}`,
  ].join('\n')
  const daemon = spawn('unshare', ['--net', '--mount', 'sh', '-c', script], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const said = keepLines(daemon)
  const { pid } = daemon
  if (pid === undefined) throw new Error('there is no unshare on this machine')
  const others: ChildProcess[] = []
  const env = { ...process.env, DOCKER_HOST: host, ...more }
  const run = async (command: string, args: readonly string[], cwd?: string) => {
    try {
      const options = { env, maxBuffer: 64 * 1024 * 1024, ...(cwd === undefined ? {} : { cwd }) }
      return await promisify(execFile)(command, args, options)
    } catch (error) {
      const stderr = error instanceof Error && 'stderr' in error ? String(error.stderr) : ''
      throw new Error(`${command} ${args.join(' ')}: ${stderr || String(error)}`, { cause: error })
    }
  }
  const inside = ['-t', String(pid), '--net', '--mount']
  const ask = (...args: readonly string[]) =>
    name === 'docker' ? run(CLIENT.docker, args) : run(CLIENT.podman, ['--url', host, ...args])
  const client = async (...args: readonly string[]) => (await ask(...args)).stdout

  const engine: Engine = {
    name,
    env,
    client,
    logs: async (container) => {
      const { stdout, stderr } = await ask('logs', container)
      return stdout + stderr
    },
    compose: async (at, ...args) => (await run('/usr/bin/docker-compose', args, at)).stdout,
    outside: async (...command) => (await run('nsenter', [...inside, ...command])).stdout,
    async serveOutside(...command) {
      const child = spawn('nsenter', [...inside, ...command], {
        stdio: ['pipe', 'pipe', 'inherit'],
      })
      others.push(child)
      const lines: string[] = []
      const first = await new Promise<string>((resolve, reject) => {
        child.once('exit', (code) => reject(new Error(`${command[0]} ended with ${code}`)))
        let text = ''
        child.stdout.on('data', (chunk: Buffer) => {
          text += chunk
          const whole = text.split('\n')
          text = whole.pop() ?? ''
          lines.push(...whole)
          if (lines[0] !== undefined) resolve(lines[0])
        })
      })
      return { first, lines: () => [...lines] }
    },
    async close() {
      await client('ps', '-aq')
        .then((ids) => ids.split('\n').filter(Boolean))
        .then((ids) => (ids.length === 0 ? '' : client('rm', '-f', '-v', ...ids)))
        .catch((error: unknown) => process.stderr.write(`${String(error)}\n`))
      for (const child of others) {
        child.removeAllListeners('exit')
        const ended = once(child, 'exit')
        if (child.exitCode === null && child.kill('SIGKILL')) await ended
      }
      const ended = once(daemon, 'exit')
      if (daemon.exitCode === null && daemon.kill('SIGTERM')) await ended
      removeCgroups(name === 'docker' ? cgroup : 'libpod_parent')
      await rm(dir, { recursive: true, force: true })
    },
  }
  try {
    await untilReady(engine, daemon, said)
    return engine
  } catch (error) {
    await engine.close()
    throw error
  }
}

interface EngineFiles {
  readonly mounts: readonly string[]
  command(socket: string): string
}

async function filesFor(name: EngineName, dir: string, cgroup: string): Promise<EngineFiles> {
  if (name === 'docker') {
    await writeFile(join(dir, 'daemon.json'), '{}')
    return {
      mounts: [],
      command: (socket) =>
        [
          `dockerd --host unix://${socket} --config-file ${join(dir, 'daemon.json')}`,
          `--data-root ${join(dir, 'data')} --exec-root /run/docker --pidfile /run/docker.pid`,
          `--cgroup-parent /${cgroup} --userland-proxy=false`,
        ].join(' '),
    }
  }
  // crun refuses a hybrid tree of control groups; without CAP_SYS_RESOURCE no limit can be raised
  await writeFile(
    join(dir, 'containers.conf'),
    [
      '[containers]',
      `default_ulimits = ["nofile=${limitOf('open files')}", "nproc=${limitOf('processes')}"]`,
      '[engine]',
      'runtime = "runc"',
      'cgroup_manager = "cgroupfs"',
      'events_logger = "file"',
      // what watches a command of `exec` would stay for five minutes after its end
      'exit_command_delay = 1',
      '[network]',
      `network_config_dir = "${join(dir, 'networks')}"`,
    ].join('\n'),
  )
  await writeFile(
    join(dir, 'storage.conf'),
    `[storage]\ndriver = "overlay"\ngraphroot = "${join(dir, 'data')}"\nrunroot = "/run/containers/storage"\n`,
  )
  const env = {
    CONTAINERS_CONF: join(dir, 'containers.conf'),
    CONTAINERS_STORAGE_CONF: join(dir, 'storage.conf'),
  }
  const exports = Object.entries(env).map(([key, value]) => `export ${key}=${value}`)
  return {
    mounts: ['mkdir -p /run/lock', ...exports],
    command: (socket) => `podman system service --time 0 unix://${socket}`,
  }
}

/** What root may raise a limit to without CAP_SYS_RESOURCE. */
export function hardLimit(what: 'open files' | 'processes'): number {
  const found = new RegExp(`^Max ${what}\\s+\\w+\\s+(\\d+)`, 'm').exec(
    readFileSync('/proc/self/limits', 'utf8'),
  )
  const hard = Number(found?.[1] ?? 65_535)
  // podman lowers its own limit to the number of processes that there can be
  const most = Number(readFileSync('/proc/sys/kernel/pid_max', 'utf8'))
  return what === 'processes' ? Math.min(hard, most) : hard
}

function limitOf(what: 'open files' | 'processes'): string {
  const hard = hardLimit(what)
  return `${hard}:${hard}`
}

function keepLines(child: ChildProcess): () => string {
  let text = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    text = (text + chunk).slice(-8_000)
  })
  return () => text
}

async function untilReady(engine: Engine, daemon: ChildProcess, said: () => string): Promise<void> {
  for (const untilMs = performance.now() + READY_MS; ; await sleep(100)) {
    if (daemon.exitCode !== null) throw new Error(`${engine.name} has ended:\n${said()}`)
    const answered = await engine.client('version').then(
      () => true,
      () => false,
    )
    if (answered) return
    if (performance.now() > untilMs) throw new Error(`${engine.name} does not answer:\n${said()}`)
  }
}

/** The engine leaves the group that it has put its containers into. */
function removeCgroups(name: string): void {
  const root = '/sys/fs/cgroup'
  for (const parent of [root, ...readdirSync(root).map((each) => join(root, each))])
    removeGroup(join(parent, name))
}

function removeGroup(dir: string): void {
  try {
    for (const entry of readdirSync(dir, { withFileTypes: true }))
      if (entry.isDirectory()) removeGroup(join(dir, entry.name))
    rmdirSync(dir)
  } catch {
    // not in this hierarchy
  }
}
