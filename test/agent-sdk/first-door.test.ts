import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import * as firstDoor from '@clawmesh/agent-sdk'
import * as meshDoor from '@clawmesh/agent-sdk/mesh'

const ROOT = new URL('../../', import.meta.url)
const INDEX = 'agent-sdk/src/index.ts'
/** Functions of the first door that never throw. */
const NEVER_THROWS = ['isErrorCode']
/** Names that leave by both doors, so that the gateway enters by the second one alone: the log, and what its MCP endpoint calls. */
const AT_BOTH_DOORS = [
  ...['AllowedPeer', 'Delegation', 'Log', 'Part', 'TaskEvent'],
  ...['TaskInfo', 'TaskResult', 'TaskState', 'silentLog'],
]

interface Exported {
  readonly name: string
  readonly kind: string
  /** Its docstring, or empty when there is none. */
  readonly comment: string
}

/** The names that a module exports from others, with the path of each module. */
function reexports(text: string): { readonly name: string; readonly from: string }[] {
  return [...text.matchAll(/^export(?: type)? \{([^}]*)\} from '([^']*)'/gm)].flatMap(
    ([, names = '', from = '']) =>
      names
        .split(',')
        .map((name) => name.trim())
        .filter((name) => name !== '')
        .map((name) => ({ name, from })),
  )
}

/** How a module declares a name: its kind and the docstring that stands right above it. */
function declarationOf(name: string, text: string): Exported | null {
  const pattern = new RegExp(
    `^export (?:async )?(function|interface|type|class|const) ${name}\\b`,
    'm',
  )
  const found = pattern.exec(text)
  if (found === null) return null
  const before = text.slice(0, found.index)
  const comment = before.endsWith('*/\n') ? before.slice(before.lastIndexOf('/**')) : ''
  return { name, kind: found[1] ?? '', comment }
}

/** What a reader misses at an exported name; empty when nothing. */
function faultsOf({ name, kind, comment }: Exported): string[] {
  const faults: string[] = []
  if (!/[a-z]{2}/i.test(comment.replaceAll(/@\w+[^\n]*/g, '')))
    faults.push(`${name}: no comment of its own`)
  const mayThrow = (kind === 'function' || kind === 'class') && !NEVER_THROWS.includes(name)
  if (mayThrow && !comment.includes('@throws')) faults.push(`${name}: no @throws`)
  return faults
}

async function exportedByTheFirstDoor(): Promise<Exported[]> {
  const source = (path: string) => readFile(new URL(path, ROOT), 'utf8')
  const ofProto = new Map(
    reexports(await source('proto/src/index.ts')).map(({ name, from }) => [name, from]),
  )
  return Promise.all(
    reexports(await source(INDEX)).map(async ({ name, from }) => {
      const path = from.startsWith('./')
        ? `agent-sdk/src/${from.slice(2)}`
        : `proto/src/${(ofProto.get(name) ?? '').slice(2)}`
      const declared = declarationOf(name, await source(path))
      assert.ok(declared, `${path} declares ${name}`)
      return declared
    }),
  )
}

describe('the first door of the SDK', () => {
  let names: Exported[]
  before(async () => {
    names = await exportedByTheFirstDoor()
  })

  it('holds what a skill author needs, and no more than seventy names', () => {
    assert.ok(names.length <= 70, `${names.length} names`)
    const values = names.filter(({ kind }) => kind !== 'interface' && kind !== 'type')
    assert.deepEqual(
      Object.keys(firstDoor).sort(),
      values.map(({ name }) => name).sort(),
      'the values that the test reads are those that the module exports',
    )
  })

  it('gives each name a comment, and says @throws of each function that throws', () =>
    assert.deepEqual(names.flatMap(faultsOf), []))

  it('shows an example of at least ten names', () => {
    const shown = names.filter(({ comment }) => comment.includes('@example'))
    assert.ok(shown.length >= 10, shown.map(({ name }) => name).join(', '))
  })

  it('says of each method of an agent and of a delegation what it does', async () => {
    const members = [
      ...(await methodsOf('agent-sdk/src/agent/agent-interface.ts', 'Agent')),
      ...(await methodsOf('agent-sdk/src/client/delegation.ts', 'Delegation')),
      ...(await methodsOf('agent-sdk/src/tasks/skill.ts', 'TaskContext')),
    ]
    assert.ok(members.length >= 15, `${members.length} methods`)
    assert.deepEqual(
      members.filter(({ commented }) => !commented).map(({ name }) => name),
      [],
    )
  })

  it('shares with the second door only the log and the types of a call', async () => {
    const second = reexports(await readFile(new URL('agent-sdk/src/mesh.ts', ROOT), 'utf8'))
    const both = second.filter(({ name }) => names.some((each) => each.name === name))
    assert.deepEqual(both.map(({ name }) => name).sort(), AT_BOTH_DOORS)
    assert.equal(meshDoor.silentLog, firstDoor.silentLog)
  })

  it('a name without a comment, and a function that says nothing of its errors, would be seen', () => {
    const faults = (text: string) => {
      const found = declarationOf('make', text)
      assert.ok(found)
      return faultsOf(found)
    }
    assert.deepEqual(faults('export interface make {}'), ['make: no comment of its own'])
    assert.deepEqual(faults('/** The file. */\n\nexport type make = 1'), [
      'make: no comment of its own',
    ])
    assert.deepEqual(faults('/** @throws TypeError */\nexport function make() {}'), [
      'make: no comment of its own',
    ])
    assert.deepEqual(faults('/** Makes it. */\nexport async function make() {}'), [
      'make: no @throws',
    ])
    assert.deepEqual(faults('/** Makes it. @throws TypeError */\nexport class make {}'), [])
    assert.deepEqual(faults('/** A thing. */\nexport interface make {}'), [])
  })
})

/** The methods of an interface, and whether a docstring stands right above each. */
async function methodsOf(
  path: string,
  name: string,
): Promise<{ readonly name: string; readonly commented: boolean }[]> {
  const text = await readFile(new URL(path, ROOT), 'utf8')
  const [, body = ''] =
    new RegExp(`^export interface ${name}\\b[^{]*\\{\n([\\s\\S]*?)^\\}`, 'm').exec(text) ?? []
  return [...body.matchAll(/^( {3}\*\/| {2}\/\*\*.*\*\/)?\n? {2}(\w+)(?:<\w+>)?\(/gm)].map(
    ([, above, method = '']) => ({ name: `${name}.${method}`, commented: above !== undefined }),
  )
}
