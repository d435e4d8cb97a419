/** Tables of rules are made in steps: at least one pause for each sixteen entries, so that no slice of the work is long. */
import assert from 'node:assert/strict'
import { parseHostPattern } from '../../../mesh-gateway/src/net/host-pattern.ts'
import { compileInSteps } from '../../../mesh-gateway/src/policy/compile/compile.ts'
import { hostTableInSteps } from '../../../mesh-gateway/src/policy/compile/host-table.ts'
import { parsePathGlob } from '../../../mesh-gateway/src/policy/compile/path-glob.ts'
import { ruleTableInSteps } from '../../../mesh-gateway/src/policy/compile/rule-table.ts'
import {
  hostRule,
  rulesOfHostInSteps,
} from '../../../mesh-gateway/src/policy/compile/rules-of-host.ts'
import { readPolicyFile } from '../../../mesh-gateway/src/policy/read/read-file.ts'
import { mapInSteps, STRIDE, validated } from '../../../mesh-gateway/src/policy/read/validated.ts'
import type { Steps } from '../../../mesh-gateway/src/process/in-slices.ts'

/** How often the work pauses. */
function pausesOf(work: Steps<unknown>): number {
  let pauses = 0
  while (work.next().done !== true) pauses += 1
  return pauses
}

const many = <T>(count: number, make: (index: number) => T) =>
  Array.from({ length: count }, (_, index) => make(index))
const rule = (pattern: string, paths: readonly string[] | null = null) =>
  hostRule('id', validated(parseHostPattern(pattern)), {
    paths: paths?.map((text) => validated(parsePathGlob(text))) ?? null,
  })
const delegation = (index: number, methods: readonly string[] | null) => ({
  ...{ id: 'id', from: `acme/a${index}`, to: 'acme/b', methods },
})

describe('the work on a table pauses', () => {
  it('once for sixteen entries of a list', () => {
    assert.equal(STRIDE, 16)
    for (const [length, pauses] of [
      [0, 0],
      [15, 0],
      [16, 1],
      [47, 2],
      [48, 3],
    ] as const)
      assert.equal(pausesOf(mapInSteps(many(length, Number), String)), pauses)
    const made = mapInSteps(['a', 'b'], (item, index) => `${item}${index}`).next()
    assert.deepEqual(made, { done: true, value: ['a0', 'b1'] })
  })

  it('once for sixteen delegation rules, and after each that names methods', () => {
    const open = (length: number) => many(length, (index) => delegation(index, null))
    assert.equal(pausesOf(ruleTableInSteps(open(15))), 0)
    assert.equal(pausesOf(ruleTableInSteps(open(16))), 1)
    assert.equal(pausesOf(ruleTableInSteps(open(48))), 3)
    const naming = many(20, (index) => delegation(index, ['p.S/M']))
    assert.equal(pausesOf(ruleTableInSteps(naming)), 20)
  })

  it('once for sixteen host rules, and once more for sixteen hosts', () => {
    const exact = (length: number) => many(length, (index) => rule(`h${index}.test`))
    const below = (length: number) => many(length, (index) => rule(`*.h${index}.test`))
    for (const rules of [exact, below]) {
      assert.equal(pausesOf(hostTableInSteps(rules(15))), 0)
      assert.equal(pausesOf(hostTableInSteps(rules(16))), 2)
      assert.equal(pausesOf(hostTableInSteps(rules(48))), 6)
    }
    // of one host: by its rules, once they are indexed
    assert.equal(pausesOf(hostTableInSteps(many(48, () => rule('h.test')))), 6)
  })

  it('once for sixteen rules of one host, and for sixteen of their globs', () => {
    const plain = (length: number) => many(length, () => rule('h.test'))
    assert.equal(pausesOf(rulesOfHostInSteps(plain(15))), 0)
    assert.equal(pausesOf(rulesOfHostInSteps(plain(16))), 1)
    assert.equal(pausesOf(rulesOfHostInSteps(plain(48))), 3)
    const globs = (length: number) => [
      rule(
        'h.test',
        many(length, (index) => `/${index}`),
      ),
    ]
    assert.equal(pausesOf(rulesOfHostInSteps(globs(15))), 0)
    assert.equal(pausesOf(rulesOfHostInSteps(globs(16))), 1)
    assert.equal(pausesOf(rulesOfHostInSteps(globs(48))), 3)
  })

  it('as often for a whole file, and once for each agent', () => {
    const pauses = (document: object, file = 'acme.json') => {
      const whole = file === 'acme.json' ? { tenant: 'acme', ...document } : document
      const read = readPolicyFile(file, Buffer.from(JSON.stringify(whole)))
      assert.ok(read.kind !== 'broken')
      return pausesOf(compileInSteps(read))
    }
    const hosts = (length: number) => many(length, (index) => `h${index}.test`)
    assert.equal(pauses({}), 0)
    // read 3, looked through for hints 3, put into the table 6
    assert.equal(pauses({ egress: { allow: hosts(48) } }), 12)
    assert.equal(pauses({ egress: { deny: hosts(48) } }), 9)
    assert.equal(pauses({ egress: { deny: hosts(48) } }, '_global.json'), 9)
    assert.equal(pauses({ egress: { agents: { a: {}, b: {} } } }), 2)
    assert.equal(pauses({ egress: { agents: { a: { allow: hosts(48), deny: hosts(48) } } } }), 22)
    const paths = many(48, (index) => `/${index}`)
    assert.equal(pauses({ egress: { allow: [{ host: 'h.test', paths }] } }), 7)
    assert.equal(pauses({ delegation: { agents: { a: {}, b: {} } } }), 2)
    const rules = many(48, (index) => ({ from: `a${index}`, to: 'b' }))
    assert.equal(pauses({ delegation: { allow: rules, deny: rules } }), 12)
  })
})
