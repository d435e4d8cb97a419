/**
 * The floors of each package: a room (a folder of `src`, or a file beside them) imports only rooms of lower floors. Two rooms on one
 * floor never import each other; so do the two planes, delegation and egress. Types count as imports.
 */
import { dirname, join } from 'node:path/posix'
import { isTypeScript, packageOf, type SourceFile } from '../repository-files.ts'
import { importsOf } from './imports.ts'

/** From the ground up. */
const FLOORS: Readonly<Record<string, readonly (readonly string[])[]>> = {
  'agent-sdk': [
    ['model', 'schema', 'log.ts', 'check-options.ts'],
    ['wire', 'tls', 'files', 'trace'],
    ['client', 'egress', 'identity'],
    ['tasks'],
    ['server'],
    ['agent'],
    ['testing'],
    ['calls.ts', 'index.ts', 'mesh.ts', 'testing.ts'],
  ],
  pki: [
    ['der', 'disk', 'version.ts'],
    ['x509', 'identity'],
    ['revocation', 'verify'],
    ['ca'],
    ['cli', 'index.ts'],
  ],
  'mesh-gateway': [
    ['text', 'process', 'version.ts'],
    ['net'],
    ['telemetry'],
    ['files', 'limits', 'audit', 'policy'],
    ['resolve', 'live', 'revocation', 'config', 'recorded'],
    ['tokens', 'trees'],
    ['admin', 'delegation', 'egress'],
    ['doctor', 'backup', 'shared-by-workers.ts'],
    ['gateway.ts'],
    ['workers'],
    ['cli', 'index.ts'],
  ],
  'openclaw-plugin': [
    ['config', 'host', 'relay'],
    ['declared', 'inbound'],
    ['core'],
    ['process'],
    ['tool-factories.ts'],
    ['register.ts'],
    ['index.ts'],
  ],
  'mesh-agent': [
    ['version.ts'],
    ['identity'],
    ['tools', 'relay', 'skill'],
    ['mcp', 'openclaw'],
    ['cli'],
  ],
}

export function floorFaults({ path, text }: SourceFile): string[] {
  const owner = packageOf(path)
  const floors = owner === null ? undefined : FLOORS[owner]
  if (owner === null || floors === undefined || !isTypeScript(path)) return []
  const floorOf = (room: string) => floors.findIndex((rooms) => rooms.includes(room))
  const room = roomOf(owner, path)
  const floor = floorOf(room)
  if (floor === -1) return [`${path}: ${room} is on no floor`]
  return relativeImports(path, text).flatMap((target) => {
    const other = roomOf(owner, target)
    const known = other === room || packageOf(target) !== owner || floorOf(other) < floor
    return known ? [] : [`${path}: imports ${other}, which is not below ${room}`]
  })
}

/** Circles of imports, each once, as the files in the order of their imports. */
export function circlesOf(files: readonly SourceFile[]): string[][] {
  const imports = new Map(
    files
      .filter(({ path }) => isTypeScript(path))
      .map(({ path, text }) => [path, relativeImports(path, text)]),
  )
  const done = new Set<string>()
  const circles: string[][] = []
  const walk = (path: string, way: readonly string[]): void => {
    const at = way.indexOf(path)
    if (at !== -1) circles.push(way.slice(at))
    if (at !== -1 || done.has(path)) return
    for (const next of imports.get(path) ?? []) walk(next, [...way, path])
    done.add(path)
  }
  for (const path of imports.keys()) walk(path, [])
  return circles
}

function relativeImports(path: string, text: string): string[] {
  return importsOf(text).flatMap((to) => (to.startsWith('.') ? [join(dirname(path), to)] : []))
}

function roomOf(owner: string, path: string): string {
  return path.slice(`${owner}/src/`.length).split('/')[0] ?? ''
}
