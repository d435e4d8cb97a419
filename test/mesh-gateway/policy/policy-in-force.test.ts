/** What the log and the metrics say of policy as it changes: each new state once, and never more lines than can be read. */
import assert from 'node:assert/strict'
import { type CompiledFile, compileFile } from '../../../mesh-gateway/src/policy/compile/compile.ts'
import {
  consequences,
  PolicyInForce,
  policyProblems,
} from '../../../mesh-gateway/src/policy/policy-in-force.ts'
import type {
  FilesInForce,
  PolicyProblem,
} from '../../../mesh-gateway/src/policy/read/files-in-force.ts'
import { broken, readPolicyFile } from '../../../mesh-gateway/src/policy/read/read-file.ts'

function compiled(tenant: string): CompiledFile {
  const read = readPolicyFile(`${tenant}.json`, Buffer.from(`{"tenant":"${tenant}"}`))
  assert.ok(read.kind !== 'broken')
  return compileFile(read)
}
const [a, b, newA] = [compiled('a'), compiled('b'), compiled('a')]
const bad = (file: string, kept: boolean, message = 'is bad'): PolicyProblem => ({
  ...{ file, kept, faults: broken(file, message).faults },
})
const force = (files: readonly CompiledFile[], ...problems: PolicyProblem[]): FilesInForce => ({
  files: new Map(files.map((file) => [file.file, file])),
  problems,
})
const ignored = (count: number) =>
  Array.from({ length: count }, (_, n) => broken(`t/x${n}.json`, 'is not read').faults).flat()

function begun(first: FilesInForce, notRead = ignored(0)) {
  const said: string[] = []
  const fields: Record<string, unknown>[] = []
  const sayer = (level: string) => (more: object, message: string) => {
    said.push(`${level}: ${message}`)
    fields.push({ ...more })
  }
  const reloads: unknown[] = []
  const brokenNow: (readonly string[])[] = []
  const inForce = new PolicyInForce({
    dir: '/etc/policy',
    log: { debug() {}, info: sayer('info'), warn: sayer('warn'), error: sayer('error') },
    metrics: {
      reload: (...args) => void reloads.push(args),
      brokenPolicy: (files) => void brokenNow.push(files),
    },
  })
  inForce.begin(first, notRead)
  /** What is new since the last call. */
  const news = () => ({
    said: said.splice(0),
    fields: fields.splice(0),
    reloads: reloads.splice(0),
    broken: brokenNow.splice(0).at(-1),
  })
  return { inForce, news }
}
const lengthOf = (value: unknown) => (Array.isArray(value) ? value.length : null)
const NOTHING = 'there is no policy in /etc/policy; nothing is allowed'

describe('the policy in force', () => {
  it('says that it is loaded, with how many tenants', () => {
    const { inForce, news } = begun(force([b, a, compiled('c')]))
    const { said, fields, reloads, broken: none } = news()
    assert.deepEqual(said, ['info: policy is loaded'])
    assert.deepEqual(fields, [{ dir: '/etc/policy', generation: 1, tenants: 3 }])
    assert.deepEqual(reloads, [['policy', true, 1]])
    assert.deepEqual(none, [])
    assert.deepEqual(inForce.current.files, ['a.json', 'b.json', 'c.json'])
    assert.equal(inForce.nothing(), null)
    assert.equal(inForce.problem(), null)
    assert.equal(inForce.files.size, 3)
  })

  it('warns while there is none', () => {
    const { inForce, news } = begun(force([]))
    assert.deepEqual(news().said, [`warn: ${NOTHING}`])
    assert.equal(inForce.nothing(), NOTHING)
  })

  it('tells of a change once, by a new generation, and of none when nothing changed', () => {
    const { inForce, news } = begun(force([a, b]))
    const told: number[] = []
    const end = inForce.onChange(({ generation }) => told.push(generation))
    news()
    inForce.adopt(force([b, a]), [])
    assert.deepEqual(news(), { said: [], fields: [], reloads: [], broken: [] })
    inForce.adopt(force([newA, b]), [])
    assert.deepEqual(news().said, ['info: policy is loaded'])
    assert.deepEqual(told, [2])
    // one more, one less, another in its place
    inForce.adopt(force([newA]), [])
    assert.deepEqual(news().said, [
      'info: policy is loaded',
      'warn: policy: b.json has gone; nothing is allowed to its tenant any more',
    ])
    inForce.adopt(force([newA, b]), [])
    assert.deepEqual(told, [2, 3, 4])
    assert.deepEqual(news().reloads, [['policy', true, 4]])
    end()
    inForce.adopt(force([a, b]), [])
    inForce.adopt(force([]), [])
    assert.deepEqual(told, [2, 3, 4])
    // that all has gone is said once
    assert.deepEqual(news().said, ['info: policy is loaded', `warn: ${NOTHING}`])
  })

  it('tells nobody after close', () => {
    const { inForce } = begun(force([a]))
    let told = 0
    inForce.onChange(() => {
      told += 1
    })
    inForce.close()
    inForce.adopt(force([newA]), [])
    assert.equal(told, 0)
  })

  it('logs a listener that throws', () => {
    const { inForce, news } = begun(force([a]))
    inForce.onChange(() => {
      throw new Error('x')
    })
    inForce.adopt(force([newA]), [])
    assert.ok(news().said.includes('error: a listener to policy failed'))
  })

  it('warns once of each state of what is broken, with what is in force in its place', () => {
    const { inForce, news } = begun(force([a], bad('b.json', false)))
    const first = news()
    const faults = '\n  b.json: is bad'
    assert.deepEqual(first.said, [
      'info: policy is loaded',
      `warn: policy was not taken over whole. b.json was never good, and allows nothing. policy: 1 fault in 1 file of /etc/policy${faults}`,
    ])
    const { hint, ...more } = first.fields[1] ?? {}
    assert.deepEqual(more, {
      ...{ dir: '/etc/policy', files: ['b.json'], code: 'MESH_POLICY_INVALID', generation: 1 },
    })
    assert.match(String(hint), /policy check/)
    assert.deepEqual(first.reloads, [['policy', false, 1]])
    assert.deepEqual(first.broken, ['b.json'])
    assert.deepEqual([...inForce.current.closed], ['b'])
    assert.equal(inForce.problem()?.code, 'MESH_POLICY_INVALID')
    assert.equal(inForce.problems.length, 1)
    // the same again
    inForce.adopt(force([a], bad('b.json', false)), [])
    assert.deepEqual(news(), { said: [], fields: [], reloads: [], broken: ['b.json'] })
    // broken in another way
    inForce.adopt(force([a], bad('b.json', false, 'is worse')), [])
    const worse = news()
    assert.equal(worse.said.length, 1)
    assert.match(worse.said[0] ?? '', /b\.json: is worse/)
    assert.deepEqual(worse.reloads, [['policy', false, 1]])
    // mended, while another one breaks
    inForce.adopt(force([a, b], bad('a.json', true)), [])
    assert.deepEqual(
      news().said.map((line) => line.split('\n')[0]),
      [
        'info: policy is loaded',
        'info: policy: b.json is good again',
        'warn: policy was not taken over whole. of a.json the last good one stays. policy: 1 fault in 1 file of /etc/policy',
      ],
    )
    assert.equal(inForce.current.closed.size, 0)
    inForce.adopt(force([a, b]), [])
    const good = news()
    assert.deepEqual(good.said, ['info: policy: every file is good again'])
    assert.deepEqual(good.reloads, [['policy', true, 2]])
    assert.equal(inForce.problem(), null)
  })

  it('is another one when a tenant is closed or opened by a file that is broken', () => {
    const { inForce, news } = begun(force([a]))
    inForce.adopt(force([a], bad('b.json', false)), [])
    assert.deepEqual([inForce.current.generation, [...inForce.current.closed]], [2, ['b']])
    // a file whose last good one stays closes nobody
    inForce.adopt(force([a], bad('b.json', true)), [])
    assert.deepEqual([inForce.current.generation, [...inForce.current.closed]], [3, []])
    news()
  })

  it('says of files that are not read that they are not: twenty of them, once', () => {
    const { inForce, news } = begun(force([a]), ignored(21))
    const lines = news().said
    assert.equal(lines.length, 21)
    assert.equal(lines[1], 'warn: policy: t/x0.json: is not read')
    assert.equal(lines.at(-1), 'warn: policy: t/x19.json: is not read')
    inForce.adopt(force([a]), ignored(21))
    assert.deepEqual(news().said, [])
    inForce.adopt(force([a]), ignored(1))
    assert.deepEqual(news().said, ['warn: policy: t/x0.json: is not read'])
  })

  it('names twenty files of many', () => {
    const many = (count: number, kept: boolean) =>
      Array.from({ length: count }, (_, n) => bad(`${n}.json`, kept))
    const listed = (count: number) =>
      Array.from({ length: count }, (_, n) => `${n}.json`).join(', ')
    assert.equal(consequences(many(20, true)), `of ${listed(20)} the last good one stays`)
    assert.equal(
      consequences(many(22, false)),
      `${listed(20)} and 2 more was never good, and allows nothing`,
    )
    assert.equal(
      consequences([bad('a.json', false), bad('b.json', true)]),
      'of b.json the last good one stays; a.json was never good, and allows nothing',
    )
    const { news } = begun(force([a], ...many(21, false)))
    assert.equal(lengthOf(news().fields[1]?.files), 20)
    const gone = begun(force([a, ...Array.from({ length: 21 }, (_, n) => compiled(`t${n}`))]))
    gone.news()
    gone.inForce.adopt(force([a]), [])
    const last = gone.news()
    assert.match(last.said[1] ?? '', /^warn: policy: t0\.json, .*t19\.json and 1 more has gone/)
    assert.equal(lengthOf(last.fields[1]?.files), 20)
  })

  it('is told to the status page by file, twenty of them and how many more', () => {
    assert.deepEqual(policyProblems([]), [])
    assert.deepEqual(
      policyProblems([bad('a.json', true), { ...bad('b.json', false), faults: [] }]),
      [
        {
          what: 'policy',
          reason: 'of a.json the last good one stays: 1 fault, first a.json: is bad',
        },
        { what: 'policy', reason: 'b.json was never good, and allows nothing: 0 faults' },
      ],
    )
    const of = (count: number) =>
      policyProblems(Array.from({ length: count }, (_, n) => bad(`${n}.json`, true)))
    assert.equal(of(20).length, 20)
    assert.equal(of(22).length, 21)
    assert.deepEqual(of(22).at(-1), { what: 'policy', reason: '2 more files are broken' })
  })
})
