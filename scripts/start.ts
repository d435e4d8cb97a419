/**
 * `npm start`: brings up a mesh on this machine, lets two agents do real work through it, shows what happened and
 * stays up until Ctrl-C.
 */
import { isAbsolute, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { MeshError } from '@clawmesh/proto'
import { openAuditTrail } from './dev/audit-trail.ts'
import { demonstrate, showMesh } from './dev/demonstration.ts'
import { type DevMesh, StartFailure, startDevMesh } from './dev/dev-mesh.ts'
import { readDevOptions, USAGE, UsageError } from './dev/dev-options.ts'
import { createScreen } from './dev/screen.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const screen = createScreen(process.stdout, process.env)

process.exitCode = await main().catch(explain)

async function main(): Promise<number> {
  const options = await readDevOptions(process.argv.slice(2), process.env, root)
  if (options === null) {
    process.stdout.write(USAGE)
    return 0
  }
  const asked = askedToStop()
  screen.line('Starting: dns, documents, gateway, researcher, planner')
  const mesh = await startDevMesh(options, (error) =>
    complain(`certificates were not renewed: ${String(error)}`),
  )
  try {
    const trail = await openAuditTrail(mesh.files.auditFile)
    const { document } = options
    showMesh(screen, mesh, 'file' in document ? fromHere(document.file) : null)
    const shown = demonstrate(screen, mesh, trail, process.cwd())
    // it may fail after it was asked to stop, which is nobody's concern
    shown.catch(() => {})
    const first = await Promise.race([shown, asked])
    if (options.once || first === 'stop') return first === false ? 1 : 0
    screen.line()
    screen.line('It stays up until Ctrl-C.')
    return await stayUp(mesh, asked)
  } finally {
    screen.line()
    screen.line('Ending: planner, gateway, researcher, documents, dns')
    await mesh.stop()
  }
}

async function stayUp(mesh: DevMesh, asked: Promise<'stop'>): Promise<number> {
  const end = await Promise.race([asked, mesh.died])
  if (end === 'stop') return 0
  throw new StartFailure(end)
}

/** The first signal ends the mesh in order; a second one ends this process, and the children end when it is gone. */
function askedToStop(): Promise<'stop'> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
      process.once(signal, () => resolve('stop'))
    // nobody reads any more: `npm start | head`
    process.stdout.on('error', () => resolve('stop'))
  })
}

function explain(error: unknown): number {
  if (error instanceof UsageError) {
    complain(error.message, error.hint)
    return 2
  }
  if (error instanceof StartFailure) {
    const { name, how, lastLines } = error.death
    complain(`${name} ${how}${lastLines.length === 0 ? '' : '; its last lines:'}`)
    for (const line of lastLines) process.stderr.write(`  ${line}\n`)
  } else if (error instanceof MeshError) complain(error.message, error.hint)
  else complain(error instanceof Error ? error.message : String(error))
  return 1
}

function complain(message: string, hint?: string): void {
  process.stderr.write(`start: ${message}\n`)
  if (hint !== undefined) process.stderr.write(`start: hint: ${hint}\n`)
}

function fromHere(file: string): string {
  const path = relative(process.cwd(), file)
  return path.startsWith('..') || isAbsolute(path) ? file : path
}
