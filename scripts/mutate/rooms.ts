/** The rooms that can be judged: their sources, and the tests that should see a fault in them. */
import { basename, dirname, join, relative } from 'node:path'

export interface Room {
  readonly name: string
  /** A folder, or one file. */
  readonly sources: string
  /** Folders of tests. The tests at the path of a source come before all others. */
  readonly tests: readonly string[]
  /** More folders, for what those have not seen. */
  readonly more: readonly string[]
}

const WHOLE_MESH = ['test/integration']

const ROOMS: readonly Room[] = [
  gatewayRoom('policy', 'test/mesh-gateway/recorded'),
  gatewayRoom('tokens', 'test/mesh-gateway/egress'),
  gatewayRoom('revocation', 'test/mesh-gateway/egress', 'test/mesh-gateway/live', ...WHOLE_MESH),
  gatewayRoom('egress'),
  gatewayRoom('delegation', 'test/mesh-gateway/live', ...WHOLE_MESH),
  gatewayRoom('limits', 'test/mesh-gateway/delegation', 'test/mesh-gateway/egress'),
  gatewayRoom('resolve', 'test/mesh-gateway/egress', 'test/mesh-gateway/delegation/upstream'),
  gatewayRoom('live', 'test/mesh-gateway/delegation/live', 'test/mesh-gateway/egress'),
  gatewayRoom('net', 'test/mesh-gateway/policy', 'test/mesh-gateway/egress'),
  sdkRoom('identity', 'test/agent-sdk/tls'),
  sdkRoom('tls', 'test/agent-sdk/identity', 'test/mesh-gateway/delegation', ...WHOLE_MESH),
  {
    name: 'tasks',
    sources: 'agent-sdk/src/tasks',
    // the contract of the stores of tasks is tested beside its type
    tests: ['test/agent-sdk/tasks', 'test/agent-sdk/model'],
    more: WHOLE_MESH,
  },
  sdkRoom('client', 'test/agent-sdk/server', 'test/agent-sdk/stand-in', ...WHOLE_MESH),
  { name: 'pki', sources: 'pki/src', tests: ['test/pki'], more: [] },
]

export const ROOM_NAMES: readonly string[] = ROOMS.map(({ name }) => name)

/** A name of the table above, or a path such as mesh-gateway/src/audit. Null when it is neither. */
export function findRoom(name: string, files: readonly string[]): Room | null {
  const known = ROOMS.find((room) => room.name === name)
  if (known) return known
  const sources = name.replace(/\/+$/, '')
  const [, owner, inside] = /^([\w-]+)\/src(?:\/(.*))?$/.exec(sources) ?? []
  if (owner === undefined || sourcesOf({ name, sources, tests: [], more: [] }, files).length === 0)
    return null
  const folder = inside?.endsWith('.ts') ? dirname(inside) : (inside ?? '')
  return { name: sources, sources, tests: [join('test', owner, folder)], more: [] }
}

export function sourcesOf({ sources }: Room, files: readonly string[]): string[] {
  return files.filter(
    (file) =>
      file.endsWith('.ts') &&
      !file.endsWith('.d.ts') &&
      (file === sources || file.startsWith(`${sources}/`)),
  )
}

export function testsIn(folders: readonly string[], files: readonly string[]): string[] {
  return files.filter(
    (file) => file.endsWith('.test.ts') && folders.some((folder) => file.startsWith(`${folder}/`)),
  )
}

/** Whether a test stands at the path of a source: pki/src/ca/issue.ts and test/pki/ca/issue.test.ts. */
export function mirrors(test: string, source: string): boolean {
  const [owner = '', , ...inside] = source.split('/')
  const folder = join('test', owner, ...inside.slice(0, -1))
  const name = basename(source, '.ts')
  return relative(folder, test) === `${name}.test.ts` || dirname(test) === join(folder, name)
}

/** How many folders a test is away from the place that mirrors a source. */
export function distance(test: string, source: string): number {
  const [owner = '', , ...inside] = dirname(source).split('/')
  const between = relative(join('test', owner, ...inside), dirname(test))
  return between === '' ? 0 : between.split('/').length
}

function gatewayRoom(name: string, ...more: readonly string[]): Room {
  return {
    name,
    sources: `mesh-gateway/src/${name}`,
    tests: [`test/mesh-gateway/${name}`],
    more,
  }
}

function sdkRoom(name: string, ...more: readonly string[]): Room {
  return {
    name,
    sources: `agent-sdk/src/${name}`,
    tests: [`test/agent-sdk/${name}`],
    more,
  }
}
