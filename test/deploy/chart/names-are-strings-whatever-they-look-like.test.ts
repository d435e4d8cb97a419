/** Kubernetes takes names such as 4711, which YAML would read as numbers. */
import assert from 'node:assert/strict'
import { loadAll } from 'js-yaml'
import { type Chart, helm, type Values } from './helm.ts'
import { EVERY_TENANT, EVERYTHING, TOKENS_OF_CLUSTER } from './values.ts'

const NAMES =
  /^(name|namespace|secretName|configMap|passwordSecret|caConfigMap|release|tenant|priorityClassName)$/

const CASES: readonly (readonly [string, Chart, Values])[] = [
  ['the gateway, everything', 'clawmesh-gateway', EVERYTHING],
  ['the gateway, with tokens of the cluster', 'clawmesh-gateway', TOKENS_OF_CLUSTER],
  ['a tenant', 'clawmesh-tenant', EVERY_TENANT],
]

/** With another name in each place of one. */
function renamed(values: Values, prefix: string): Values {
  let next = 4710
  return JSON.parse(JSON.stringify(values), (key, value: unknown) => {
    if (!NAMES.test(key) || typeof value !== 'string') return value
    next += 1
    return `${prefix}${next}`
  })
}

/** Numbers, booleans and nulls, in their order. */
function otherThanTexts(value: unknown): readonly unknown[] {
  if (typeof value === 'string') return []
  if (typeof value !== 'object' || value === null) return [value]
  return Object.values(value).flatMap(otherThanTexts)
}

describe('names of digits', function () {
  this.timeout(300_000)
  for (const [what, chart, values] of CASES)
    it(`stay texts in what the charts render: ${what}`, async () => {
      const found: unknown[] = []
      for (const prefix of ['x', '']) {
        const { code, stdout, stderr } = await helm('template', chart, renamed(values, prefix), {
          release: `${prefix}42`,
        })
        assert.equal(code, 0, stderr)
        found.push(loadAll(stdout).flatMap(otherThanTexts))
      }
      assert.deepEqual(found[1], found[0])
    })
})
