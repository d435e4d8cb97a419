/** Policy that is judged once: what a gateway would start with, and which faults are no matter for which question. */
import assert from 'node:assert/strict'
import {
  concernsAll,
  judgeDirectory,
  type PolicyLoading,
  policyFor,
  policyOfEach,
} from '../../../../mesh-gateway/src/policy/read/load-policy.ts'
import type { RawDirectory } from '../../../../mesh-gateway/src/policy/read/read-directory.ts'
import { broken } from '../../../../mesh-gateway/src/policy/read/read-file.ts'

const DIR = '/etc/policy'
function loading(
  files: Record<string, string | null>,
  problem: RawDirectory['problem'] = null,
): PolicyLoading {
  const raw = Object.entries(files).map(([name, text]) => ({
    ...{ name, bytes: text === null ? null : Buffer.from(text), digest: text },
    problem: text === null ? 'is not a file' : null,
  }))
  return judgeDirectory(
    { dir: DIR },
    { absent: false, files: raw, problem, ignored: [], digest: '' },
  )
}
const faultsOf = (found: PolicyLoading) =>
  found.ok ? [] : found.faults.map(({ file, message }) => `${file}: ${message}`)
const good = (tenant: string) => `{"tenant":"${tenant}"}`

describe('a directory of policy', () => {
  it('is good when every file is, with all of them', () => {
    const found = loading({ 'a.json': good('a'), '_global.json': '{}' })
    assert.equal(found.ok, true)
    assert.deepEqual(found.snapshot.files, ['a.json', '_global.json'])
    assert.equal(found.snapshot.generation, 1)
    assert.equal(found.snapshot.closed.size, 0)
  })

  it('has the faults of each file, and what is good beside them', () => {
    const found = loading({ 'a.json': '{', 'b.json': good('b'), 'c.json': null })
    assert.deepEqual(faultsOf(found), [
      'a.json: expected a key in double quotes, found the end',
      'c.json: is not a file',
    ])
    assert.deepEqual([...found.snapshot.tenants.keys()], ['b'])
    assert.deepEqual([...found.snapshot.closed], ['a', 'c'])
  })

  it('is at fault itself when it cannot be read, or holds nothing', () => {
    const [problem] = broken(DIR, 'cannot be read').faults
    assert.deepEqual(faultsOf(loading({}, problem ?? null)), [`${DIR}: cannot be read`])
    assert.deepEqual(faultsOf(loading({})), [
      `${DIR}: holds no policy file; they are named TENANT.json and _global.json`,
    ])
    assert.deepEqual(faultsOf(loading({ 'a.json': '{' })).length, 1)
  })

  const all: [file: string, concerns: boolean][] = [
    ['acme.json', false],
    ['acme.JSON', false],
    ['_global.json', true],
    ['_other.json', true],
    ['/etc/policy', true],
    ['t/acme.json', true],
    ['acme', true],
    ['acme.json.bak', true],
  ]
  for (const [file, concerns] of all)
    it(`has a fault of ${file} that is ${concerns ? 'everybody’s' : 'one tenant’s'}`, () => {
      const [fault] = broken(file, 'x').faults
      assert.ok(fault)
      assert.equal(concernsAll(fault), concerns)
    })

  const invalid = { code: 'MESH_POLICY_INVALID' }
  it('judges each tenant by itself, unless a fault is everybody’s', () => {
    const one = loading({ 'a.json': '{', 'b.json': good('b') })
    assert.equal(policyOfEach(DIR, one), one.snapshot)
    const whole = loading({ 'b.json': good('b') })
    assert.equal(policyOfEach(DIR, whole), whole.snapshot)
    for (const files of [
      { 'b.json': good('b'), '_global.json': '{' },
      { 'a.json': '{', '_global.json': '{' },
      {},
    ])
      assert.throws(() => policyOfEach(DIR, loading(files)), invalid)
  })

  it('answers for some tenants when their files are good, and _global.json is', () => {
    const one = loading({ 'a.json': '{', 'b.json': good('b') })
    assert.equal(policyFor(DIR, one, ['b']), one.snapshot)
    assert.equal(policyFor(DIR, one, []), one.snapshot)
    assert.throws(() => policyFor(DIR, one, ['a']), invalid)
    assert.throws(() => policyFor(DIR, one, ['b', 'a']), invalid)
    const both = loading({ 'a.json': '{', 'b.json': '{' })
    assert.throws(() => policyFor(DIR, both, ['b']), invalid)
    const global = loading({ 'b.json': good('b'), '_global.json': '{' })
    assert.throws(() => policyFor(DIR, global, ['b']), invalid)
    const whole = loading({ 'b.json': good('b') })
    assert.equal(policyFor(DIR, whole, ['a']), whole.snapshot)
  })
})
