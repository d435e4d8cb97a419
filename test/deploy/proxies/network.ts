/**
 * A network like one in production: agents and their destinations at 10.20.0.1 (this process), a proxy at 10.20.0.5, two
 * gateways at 10.20.0.11 and 10.20.0.12, each in a network namespace of its own, joined by a bridge. Part of a network
 * namespace that this process has for itself.
 */
import { execFileSync } from 'node:child_process'
import { type Program, spawnProgram } from '../../support/start-program.ts'

export const AGENTS = '10.20.0.1'
export const PROXY = '10.20.0.5'
const HOSTS = { proxy: PROXY, 'gw-1': '10.20.0.11', 'gw-2': '10.20.0.12' } as const
export type Host = keyof typeof HOSTS

export interface Network {
  /** Runs a command on a host. Resolves with its stdout. @throws Error with stderr */
  run(host: Host, command: string, ...args: readonly string[]): string
  /** Starts a program on a host, with a /run of its own. */
  start(host: Host, command: string, ...args: readonly string[]): Program
  close(): Promise<void>
}

/** @throws Error where this is the network namespace of the machine */
export function openNetwork(): Network {
  const links: { ifname: string }[] = JSON.parse(ip('-json', 'link', 'show'))
  if (links.some(({ ifname }) => ifname !== 'lo'))
    throw new Error(
      'run by `npm run test:deploy -- proxies`, which gives the tests a network of their own',
    )
  ip('link', 'add', 'br0', 'type', 'bridge')
  ip('address', 'add', `${AGENTS}/24`, 'dev', 'br0')
  ip('link', 'set', 'br0', 'up')
  for (const [host, address] of Object.entries(HOSTS)) {
    ip('netns', 'add', host)
    ip('link', 'add', `to-${host}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', host)
    ip('link', 'set', `to-${host}`, 'master', 'br0', 'up')
    ip('-n', host, 'address', 'add', `${address}/24`, 'dev', 'eth0')
    for (const link of ['lo', 'eth0']) ip('-n', host, 'link', 'set', link, 'up')
  }
  const programs: Program[] = []
  return {
    run: (host, ...words) => ip('netns', 'exec', host, ...words),
    start(host, ...words) {
      const own = 'mount -t tmpfs tmpfs /run && exec "$@"'
      // `ip` and the shell replace themselves by the program: signals reach it
      const args = ['netns', 'exec', host, 'sh', '-c', own, 'sh', ...words]
      const program = spawnProgram({ command: 'ip', args, keptLines: Number.POSITIVE_INFINITY })
      programs.push(program)
      return program
    },
    async close() {
      for (const program of programs) program.signal('SIGKILL')
      await Promise.all(programs.map((program) => program.ended))
      for (const host of Object.keys(HOSTS)) ip('netns', 'delete', host)
      ip('link', 'delete', 'br0')
    },
  }
}

function ip(...args: readonly string[]): string {
  return execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}
