/** A network namespace for as long as a test holds it: its process ends with the test's, and the kernel takes all of it back. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { promisify } from 'node:util'
import { type Program, spawnProgram } from '../../support/start-program.ts'

export interface NetworkNamespace {
  readonly pid: number
  /** Runs a command in it. Resolves with its stdout. @throws Error with stderr when it fails */
  run(command: string, ...args: readonly string[]): Promise<string>
  /** Starts a program in it, which ends with `close()`. Default of `onLine`: what it prints is not read. */
  start(command: string, args: readonly string[], onLine?: (line: string) => void): Program
  close(): Promise<void>
}

/** Loopback is up; IPv6 addresses are good at once; nothing is asked of routers. */
const SET_UP = `
  for each in all default; do
    echo 0 >/proc/sys/net/ipv6/conf/$each/accept_dad
    echo 0 >/proc/sys/net/ipv6/conf/$each/accept_ra
    echo 0 >/proc/sys/net/ipv6/conf/$each/router_solicitations
    echo 0 >/proc/sys/net/ipv4/conf/$each/rp_filter
  done
  ip link set lo up
  echo ready
  exec cat >/dev/null`

export async function createNetworkNamespace(): Promise<NetworkNamespace> {
  // cat ends when this process does
  const holder = spawn('unshare', ['--net', 'sh', '-c', SET_UP], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  await untilLine(holder)
  const pid = holder.pid ?? 0
  const programs: Program[] = []
  const enter = ['--net', '--target', String(pid), '--']
  return {
    pid,
    async run(command, ...args) {
      const { stdout } = await promisify(execFile)('nsenter', [...enter, command, ...args], {
        maxBuffer: 1 << 24,
      })
      return stdout
    },
    start(command, args, onLine) {
      const program = spawnProgram({
        ...{ command: 'nsenter', args: [...enter, command, ...args], takesInput: true },
        ...(onLine === undefined ? {} : { onLine }),
      })
      programs.push(program)
      return program
    },
    async close() {
      await Promise.all(programs.map((program) => program.close()))
      const gone = once(holder, 'exit')
      holder.stdin?.end()
      await gone
    },
  }
}

async function untilLine(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit').then(() => {
    throw new Error('no network namespace could be made: root is needed')
  })
  const { stdout } = child
  if (stdout === null) throw new TypeError('its stdout is no pipe')
  await Promise.race([once(stdout, 'data'), ended])
  ended.catch(() => {})
}
