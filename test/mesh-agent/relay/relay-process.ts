/** `mesh-agent relay` as a process, with what it says. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { RelayEvent } from '@clawmesh/agent/relay'
import { build } from 'esbuild'
import { freePorts } from '../../../scripts/dev/free-ports.ts'
import type { Mesh } from '../../support/mesh.ts'
import { waitFor } from '../../support/wait-for.ts'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const REQUIRE = `import { createRequire as requireFrom } from 'node:module'
const require = requireFrom(import.meta.url)`

/** The command mesh-agent as one file in a directory, which starts in a third of the time (docs/decisions/tests-start-a-bundle.md). */
export async function bundledCommand(dir: string): Promise<string> {
  const outfile = join(dir, 'mesh-agent.mjs')
  await build({
    ...{ absWorkingDir: ROOT, entryPoints: ['mesh-agent/src/cli/main.ts'], outfile },
    ...{ bundle: true, platform: 'node', format: 'esm', target: 'node24', logLevel: 'error' },
    banner: { js: REQUIRE },
  })
  return outfile
}

export interface RelayProcess {
  readonly child: ChildProcess
  readonly pid: number
  /** All that it printed, on both streams. */
  output(): string
  /** The last event of that name, once it has come. */
  event(name: RelayEvent['event']): Promise<RelayEvent>
  readonly ended: Promise<{ readonly code: number | null; readonly signal: string | null }>
}

export interface RelayPlace {
  readonly listen: string
  readonly port: number
  readonly secretFile: string
  /** Options of the command. */
  readonly flags: readonly string[]
}

export async function placeFor(mesh: Mesh, agent = 'bot-01'): Promise<RelayPlace> {
  const [port = 0] = await freePorts(1)
  const listen = `127.0.0.1:${port}`
  const secretFile = join(mesh.dir, `${agent}.relay.secret`)
  const identity = await mesh.identity('acme', agent)
  const flags = [
    ...['--identity', identity, '--gateway', mesh.gateway.delegation],
    ...['--egress', `http://${mesh.gateway.egress}`],
    ...['--listen', listen, '--secret-file', secretFile],
  ]
  return { listen, port, secretFile, flags }
}

export function startRelayProcess(command: string, flags: readonly string[]): RelayProcess {
  const child = spawn(process.execPath, [command, 'relay', ...flags, '--json'], { stdio: 'pipe' })
  let text = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      text += chunk.toString('utf8')
    })
  child.stdin.on('error', () => {})
  const ended = once(child, 'close').then(([code, signal]) => ({ code, signal }))
  return {
    child,
    pid: child.pid ?? 0,
    output: () => text,
    ended,
    event: (name) =>
      waitFor(
        `the event ${name} in: ${text}`,
        () => eventsIn(text).findLast((each) => each.event === name),
        { withinMs: 90_000 },
      ),
  }
}

function eventsIn(text: string): RelayEvent[] {
  return text.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line)] : []))
}

export async function secretIn(file: string): Promise<string> {
  return (await readFile(file, 'latin1')).trim()
}

export async function credentialIn(file: string): Promise<string> {
  const encoded = Buffer.from(`openclaw:${await secretIn(file)}`).toString('base64')
  return `Proxy-Authorization: Basic ${encoded}\r\n`
}

/** A process with that id is there. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
