/** Which version of each policy file is in force: a broken one keeps its last good one, and changes nothing for the others. */
import assert from 'node:assert/strict'
import {
  type CompiledFile,
  compileFile,
} from '../../../../mesh-gateway/src/policy/compile/compile.ts'
import type { JudgedFile } from '../../../../mesh-gateway/src/policy/read/file-judge.ts'
import { filesInForce } from '../../../../mesh-gateway/src/policy/read/files-in-force.ts'
import { broken, readPolicyFile } from '../../../../mesh-gateway/src/policy/read/read-file.ts'

function compiled(name: string): CompiledFile {
  const text = name === '_global.json' ? '{}' : `{"tenant":"${name.replace('.json', '')}"}`
  const read = readPolicyFile(name, Buffer.from(text))
  assert.ok(read.kind !== 'broken')
  return compileFile(read)
}
const [A, B, G] = ['a.json', 'b.json', '_global.json'] as const
const [oldA, oldB, oldG, newA] = [compiled(A), compiled(B), compiled(G), compiled(A)]
const bad = broken(A, 'is bad')
const problem = { file: '/dir', pointer: '', line: null, column: null, message: 'cannot be read' }
const gone = /^has gone; put it back, or make it \{\} to lift what it denies$/

/** Files that were in force, files on disk, and what they were judged to be. */
function force(
  before: Record<string, CompiledFile>,
  onDisk: readonly string[],
  judged: Record<string, JudgedFile>,
  wrong: typeof problem | null = null,
) {
  const files = onDisk.map((name) => ({ name, bytes: null, problem: null, digest: null }))
  const found = filesInForce(
    new Map(Object.entries(before)),
    { files, problem: wrong },
    new Map(Object.entries(judged)),
  )
  return { ...found, files: Object.fromEntries(found.files) }
}

describe('the files in force', () => {
  it('are those that are good', () => {
    assert.deepEqual(force({}, [A, B], { [A]: newA, [B]: oldB }), {
      files: { [A]: newA, [B]: oldB },
      problems: [],
    })
    assert.equal(force({ [A]: oldA }, [A], { [A]: newA }).files[A], newA)
  })

  it('are the last good ones of those that are broken, or none', () => {
    assert.deepEqual(force({ [A]: oldA, [B]: oldB }, [A, B], { [A]: bad, [B]: oldB }), {
      files: { [A]: oldA, [B]: oldB },
      problems: [{ file: A, faults: bad.faults, kept: true }],
    })
    assert.deepEqual(force({ [B]: oldB }, [A, B], { [A]: bad, [B]: oldB }), {
      files: { [B]: oldB },
      problems: [{ file: A, faults: bad.faults, kept: false }],
    })
  })

  it('stay as they were while they are not judged', () => {
    assert.deepEqual(force({ [A]: oldA }, [A, B], {}), { files: { [A]: oldA }, problems: [] })
  })

  it('go with the file, but for the deny rules of _global.json', () => {
    assert.deepEqual(force({ [A]: oldA, [B]: oldB }, [B], { [B]: oldB }), {
      files: { [B]: oldB },
      problems: [],
    })
    const kept = force({ [A]: oldA, [G]: oldG }, [A], { [A]: oldA })
    assert.deepEqual(kept.files, { [A]: oldA, [G]: oldG })
    assert.deepEqual(
      kept.problems.map(({ file, kept: stays }) => [file, stays]),
      [[G, true]],
    )
    assert.match(kept.problems[0]?.faults[0]?.message ?? '', gone)
    assert.deepEqual(force({ [G]: oldG }, [A, G], { [A]: oldA, [G]: oldG }).problems, [])
    // an empty directory allows nothing
    assert.deepEqual(force({ [A]: oldA, [G]: oldG }, [], {}), { files: {}, problems: [] })
  })

  it('stay all of them while a directory cannot be read', () => {
    const all = { [A]: oldA, [B]: oldB, [G]: oldG }
    const told = { file: '/dir', faults: [problem], kept: true }
    assert.deepEqual(force(all, [], {}, problem), { files: all, problems: [told] })
    const found = force(all, [A], { [A]: newA }, problem)
    assert.deepEqual(found, { files: { ...all, [A]: newA }, problems: [told] })
    // not an equal one of before
    assert.equal(found.files[A], newA)
  })
})
