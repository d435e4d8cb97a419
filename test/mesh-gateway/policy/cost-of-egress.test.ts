/** Decisions cost what is asked, whatever the size of policy; and they name the rule that a look at each in turn finds. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { destinationSet } from '../../../mesh-gateway/src/net/destination-set.ts'
import { compileInSteps } from '../../../mesh-gateway/src/policy/compile/compile.ts'
import { parsePathGlob } from '../../../mesh-gateway/src/policy/compile/path-glob.ts'
import { StepBudget } from '../../../mesh-gateway/src/policy/compile/step-budget.ts'
import { decideEgress, type EgressQuestion } from '../../../mesh-gateway/src/policy/index.ts'
import { readPolicyFile } from '../../../mesh-gateway/src/policy/read/read-file.ts'
import { policyOf } from './policies.ts'

const agent = { tenant: 'acme', agent: 'bot-01' }

function question(path: string | null, more: Partial<EgressQuestion> = {}): EgressQuestion {
  const request = path === null ? null : { method: 'GET', path }
  return { agent, host: 'a.test', port: 443, request, allowedDestinations: ['a.test'], ...more }
}

const withPaths = (paths: readonly string[], host = 'a.test') => ({ host, paths: [...paths] })

interface Rule {
  readonly host: string
  readonly methods?: readonly string[]
  readonly paths?: readonly string[]
}

/** The place of the first rule that fits, by looking at each. */
function slowly(rules: readonly Rule[], port: number, method: string, path: string): number {
  const means = (text: string) =>
    new RegExp(`^${text.replaceAll(/\*\*|\*/g, (star) => (star === '**' ? '.*' : '[^/]*'))}$`).test(
      path,
    )
  return rules.findIndex(({ host, methods, paths }) => {
    const [, named] = host.split(':')
    const fits = named === undefined ? port === 443 || port === 80 : Number(named) === port
    return fits && (methods?.includes(method) ?? true) && (paths === undefined || paths.some(means))
  })
}

describe('the cost of an egress decision', () => {
  const seed = Date.now() % 2 ** 31

  it('does not follow the number of path rules', () => {
    const rules = (count: number) =>
      Array.from({ length: count }, (_, n) =>
        withPaths([`/v1/project-${n}/**`, `/v1/*/file-${n}.json`, `/**/archive-${n}/*`]),
      )
    const path = `/v1/${'x'.repeat(4_000)}/${'y/'.repeat(1_500)}file-none.json`
    const steps = [30, 3_000].map((count) => {
      const budget = new StepBudget()
      const policy = policyOf({ acme: { egress: { allow: rules(count) } } })
      const decision = decideEgress(question(path), policy, budget)
      assert.equal(decision.code, 'MESH_POLICY_NOT_ALLOWED')
      return budget.spent
    })
    assert.ok((steps[1] ?? 0) < (steps[0] ?? 0) * 2, `${steps} steps`)
    assert.ok((steps[1] ?? 0) < path.length * 4, `${steps} steps`)
  })

  it('is bounded for globs and a path that were made to be dear, and then nothing is allowed', () => {
    const glob = (n: number) => `/**${'a'.repeat(480)}**${n}`
    const allow = Array.from({ length: 1_000 }, (_, n) => withPaths([glob(n)]))
    const budget = new StepBudget()
    const enforced = policyOf({ acme: { egress: { allow } } })
    const asked = question(`/${'a'.repeat(8_000)}`)
    const decision = decideEgress(asked, enforced, budget)
    assert.equal(decision.action, 'deny')
    assert.equal(decision.code, 'MESH_POLICY_TOO_COSTLY')
    assert.match(decision.hint ?? '', /a\.test in acme\.json/)
    // audit mode excuses whatever is not allowed, and says why it would have been refused
    const audited = policyOf({ acme: { mode: 'audit', egress: { allow } } })
    assert.equal(decideEgress(asked, audited).action, 'audit')
    assert.equal(decideEgress(asked, audited).code, 'MESH_POLICY_TOO_COSTLY')
    // a rule for the host alone needs no path
    const open = policyOf({ acme: { egress: { allow: ['a.test', ...allow] } } })
    assert.equal(decideEgress(asked, open).rule, 'acme.json#/egress/allow/0')
  })

  it('is one for the whole chain', () => {
    const allow = [withPaths(['/**a**a**a**a**a**a**a**'])]
    const policy = policyOf({ acme: { egress: { allow } } })
    const path = `/${'a'.repeat(3_000)}`
    const alone = new StepBudget()
    assert.equal(decideEgress(question(path), policy, alone).action, 'allow')
    const actors = Array.from({ length: 60 }, () => agent)
    const together = new StepBudget(alone.spent * 3)
    const decision = decideEgress(question(path, { actors }), policy, together)
    assert.equal(decision.code, 'MESH_CHAIN_ACTOR_REFUSED')
    assert.ok(together.exhausted)
  })

  it('does not grow with the path beyond what rules with paths match', () => {
    const policy = policyOf({ acme: { egress: { allow: [withPaths(['/**'])] } } })
    assert.equal(decideEgress(question(`/${'a'.repeat(8_000)}`), policy).action, 'allow')
    const long = decideEgress(question(`/${'a'.repeat(8_192)}`), policy)
    assert.equal(long.code, 'MESH_EGRESS_PATH_TOO_LONG')
    assert.match(long.hint ?? '', /longer than 8192 characters/)
    const plain = policyOf({ acme: { egress: { allow: ['a.test'] } } })
    assert.equal(decideEgress(question(`/${'a'.repeat(12_000)}`), plain).action, 'allow')
  })

  it(`comes to the rule that a look at each in turn finds (seed ${seed})`, () => {
    const path = fc
      .array(fc.constantFrom('/a', '/b', 'b', '/ab'), { maxLength: 8 })
      .map((parts) => `/x${parts.join('')}`)
    const glob = fc
      .array(fc.constantFrom('/a', '/b', 'b', '*', '**'), { maxLength: 6 })
      .map((parts) => `/x${parts.join('')}`)
      .filter((text) => typeof parsePathGlob(text) !== 'string')
    const rule = fc.record(
      {
        host: fc.constantFrom('a.test', 'a.test:443', 'a.test:8443'),
        methods: fc.uniqueArray(fc.constantFrom('GET', 'PUT', 'POST'), { minLength: 1 }),
        paths: fc.array(glob, { minLength: 1, maxLength: 4 }),
      },
      { requiredKeys: ['host'] },
    )
    fc.assert(
      fc.property(
        fc.array(rule, { minLength: 1, maxLength: 14 }),
        fc.constantFrom(443, 80, 8443),
        fc.constantFrom('GET', 'PUT', 'PATCH'),
        path,
        (allow, port, method, asked) => {
          const global = { egress: { ports: [443, 80, 8443] } }
          const policy = policyOf({ acme: { egress: { allow } }, _global: global })
          const allowedDestinations = [`a.test:${port}`]
          const request = { method, path: asked }
          const decision = decideEgress(
            question(null, { port, request, allowedDestinations }),
            policy,
          )
          const place = slowly(allow, port, method, asked)
          assert.equal(decision.rule, place === -1 ? null : `acme.json#/egress/allow/${place}`)
        },
      ),
      { numRuns: 400, seed },
    )
  })

  it('does not follow the number of rules for one host, ports or hints', () => {
    const paths = Array.from({ length: 9_999 }, (_, n) => `/${n}`)
    const allow = [
      withPaths(paths),
      ...Array.from({ length: 5_000 }, (_, n) => `a.test:${n + 1_000}`),
    ]
    const global = { egress: { ports: Array.from({ length: 9_000 }, (_, n) => n + 1) } }
    const policy = policyOf({ acme: { egress: { allow } }, _global: global })
    const refused = decideEgress(question('/x'), policy)
    assert.match(refused.hint ?? '', /names paths \/0, \/1, \/2, \/3, \/4 and 9994 more only$/)
    assert.match(
      decideEgress(question('/x', { port: 9_500 }), policy).hint ?? '',
      /has 1, 2, 3, 4, 5 and 8995 more/,
    )
  })
})

describe('the destinations of a token', () => {
  const seed = Date.now() % 2 ** 31
  const port = fc.constantFrom('', '', ':443', ':80', ':8443')
  const name = fc.constantFrom('a.test', 'b.a.test', 'c.b.a.test', 'xa.test', '[2001:db8::1]')
  const wild = fc.constantFrom('', '*.')

  it(`allow by look-up what looking at each of them allows (seed ${seed})`, () => {
    const text = fc.oneof(
      fc.tuple(wild, name, port).map((parts) => parts.join('')),
      fc.constantFrom('no host', 'A.Test', '*.B.a.test.'),
    )
    const hosts = ['a.test', 'b.a.test', 'c.b.a.test', 'xa.test', '2001:db8::1']
    const policy = policyOf({
      acme: { egress: { allow: ['a.test', '*.a.test', 'xa.test', '[2001:db8::1]'] } },
    })
    fc.assert(
      fc.property(
        fc.array(text, { maxLength: 6 }),
        fc.constantFrom(...hosts),
        fc.constantFrom(443, 80),
        (list, host, usual) => {
          const of = (allowedDestinations: EgressQuestion['allowedDestinations']) =>
            decideEgress(question(null, { host, port: usual, allowedDestinations }), policy)
          assert.deepEqual(of(destinationSet(list)), of(list))
        },
      ),
      { numRuns: 500, seed },
    )
  })
})

describe('compiling a file', () => {
  it('may pause all along, whatever its rules are many of', () => {
    const many = <T>(make: (n: number) => T) => Array.from({ length: 9_000 }, (_, n) => make(n))
    const documents = [
      { egress: { allow: [withPaths(many((n) => `/**a**${n}`))] } },
      { egress: { allow: many((n) => withPaths([`/${n}/*`])) } },
      { egress: { allow: many((n) => `h${n}.test`) } },
      { egress: { deny: many((n) => `*.h${n}.test:443`) } },
      { delegation: { allow: many((n) => ({ from: `a${n}`, to: 'b' })) } },
    ]
    for (const document of documents) {
      const bytes = Buffer.from(JSON.stringify({ tenant: 'acme', ...document }))
      const read = readPolicyFile('acme.json', bytes)
      assert.ok(read.kind !== 'broken')
      const pauses = compileInSteps(read).reduce((count) => count + 1, 0)
      // once for each few entries when they are read, and when they are put into tables
      assert.ok(pauses > (2 * 9_000) / 20, `${pauses} pauses for ${Object.keys(document)}`)
    }
  })
})

describe('a path rule', () => {
  const policy = policyOf({ acme: { egress: { allow: [withPaths(['/café/**', '/files/**'])] } } })

  it('means the path that its text says, in the spelling that requests have', () => {
    assert.equal(decideEgress(question('/caf%C3%A9/menu'), policy).action, 'allow')
    assert.equal(decideEgress(question('/caf%c3%a9/menu'), policy).action, 'allow')
    assert.equal(decideEgress(question('/caf%E9/menu'), policy).action, 'deny')
  })

  for (const [path, why] of [
    ['/caf\xe9/menu', /byte above 0x7F/],
    ['/files/a%0Ab', /control character/],
    ['/files/a%0D', /control character/],
    ['/files/a%7F', /control character/],
    ['/files/a%1b', /control character/],
    ['/files/%C0%AE%C0%AE%C0%AFx', /not UTF-8/],
    ['/files/%252e%252e/x', /ambiguous/],
  ] as const)
    it(`refuses ${JSON.stringify(path)}, and says why`, () => {
      const decision = decideEgress(question(path), policy)
      assert.equal(decision.action, 'deny')
      assert.match(decision.hint ?? '', why)
    })

  it('asks nothing of paths where a rule has none', () => {
    const open = policyOf({ acme: { egress: { allow: ['a.test'] } } })
    assert.equal(decideEgress(question('/caf\xe9/%0A'), open).action, 'allow')
  })
})
