import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { PolicySnapshot } from '../../../mesh-gateway/src/policy/index.ts'
import type { RecordedCase } from '../../../mesh-gateway/src/recorded/recorded-case.ts'
import { createReplay } from '../../../mesh-gateway/src/recorded/replay.ts'
import { createSuggestion, type Suggestion } from '../../../mesh-gateway/src/recorded/suggest.ts'
import { policyOf } from '../policy/policies.ts'
import { callLine, caseOf, egressLine, type Traffic } from './records.ts'

const HOSTS = [
  'api.a.test',
  'd.a.test',
  'b.a.test',
  'x.b.a.test',
  'c.test',
  '93.184.216.34',
  '2606:4700::1',
]
const PATTERNS = [
  'api.a.test',
  '*.a.test',
  'c.test:8443',
  '*.a.test:8443',
  '93.184.216.34',
  'c.test',
  '[2606:4700::1]:443',
]
const PATHS = ['/', '/v1/x', '/v1/y', '/a%2Ab', '/st*r', `/${'l'.repeat(600)}`]
const TENANTS = ['acme', 'globex']
const AGENTS = ['bot', 'planner']
const TASKS = 'clawmesh.delegation.v1.DelegationService'
const METHODS = [
  ...['pkg.Svc/A', 'pkg.Svc/B', 'other.Svc/C'],
  ...[`${TASKS}/Delegate`, `${TASKS}/Watch`, `${TASKS}/Cancel`],
  ...['lf.a2a.v1.A2AService/SendMessage', 'lf.a2a.v1.A2AService/CancelTask'],
]

const peer = fc.record({ tenant: fc.constantFrom(...TENANTS), agent: fc.constantFrom(...AGENTS) })
/** One address each: what resolves now to one that is refused and now to one that is not, is left out on purpose. */
const IPS: Readonly<Record<string, string>> = {
  'b.a.test': '10.20.0.7',
  'x.b.a.test': '10.21.0.7',
  '2606:4700::1': '2606:4700::1',
}
const egressTraffic = fc
  .record({
    agent: peer,
    host: fc.constantFrom(...HOSTS),
    port: fc.constantFrom(80, 443, 8443),
    request: fc.option(
      fc.record({
        method: fc.constantFrom('GET', 'POST', 'M_X'),
        path: fc.constantFrom(...PATHS),
      }),
    ),
    actors: fc.option(fc.array(peer, { minLength: 1, maxLength: 2 })),
  })
  .map((one) => ({ ...one, ip: IPS[one.host] ?? '93.184.216.34' }))
const callTraffic = fc.record({
  caller: peer,
  callee: peer,
  method: fc.constantFrom(...METHODS),
  hop: fc.integer({ min: 1, max: 4 }),
  origin: peer,
})
const some = <T>(...values: T[]) => fc.subarray(values)
const modes = fc.constantFrom('enforce', 'audit')
const rule = fc.oneof(
  fc.constantFrom(...PATTERNS),
  fc.record({
    host: fc.constantFrom(...PATTERNS),
    methods: fc.constantFrom(['GET'], ['GET', 'POST']),
    paths: fc.constantFrom(['/**'], ['/v1/*'], ['/']),
  }),
)
const ownAgent = fc.constantFrom('*', ...AGENTS)
const calls = fc.record({
  from: ownAgent,
  to: fc.constantFrom('*', ...AGENTS),
  methods: fc.constantFrom(
    ['*'],
    ['pkg.Svc/*'],
    ['pkg.Svc/A'],
    [`${TASKS}/Delegate`],
    [`${TASKS}/Watch`, 'lf.a2a.v1.A2AService/SendMessage'],
  ),
})
const tenant = (other: string) =>
  fc.record({
    mode: modes,
    egress: fc.record({
      allow: fc.array(rule, { maxLength: 4 }),
      deny: some('x.b.a.test', '*.b.a.test', 'c.test:80'),
      agents: fc.record({
        bot: fc.record({
          mode: modes,
          allow: fc.array(rule, { maxLength: 2 }),
          deny: some('b.a.test'),
        }),
      }),
    }),
    delegation: fc.record({
      allow: fc
        .tuple(
          fc.array(calls, { maxLength: 3 }),
          fc.subarray([
            { from: '*', to: `${other}/bot` },
            { from: 'bot', to: `${other}/*` },
          ]),
        )
        .map((both) => both.flat()),
      accept: fc.subarray([
        { from: `${other}/planner`, to: '*' },
        { from: `${other}/*`, to: 'bot' },
      ]),
      deny: fc.subarray([
        { from: '*', to: 'planner', methods: ['pkg.Svc/B'] },
        { from: '*', to: 'bot', methods: [`${TASKS}/Cancel`] },
        { from: 'bot', to: '*', methods: [`${TASKS}/Delegate`] },
      ]),
      maxHops: fc.integer({ min: 0, max: 4 }),
      agents: fc.record({ planner: fc.record({ mayOriginate: fc.boolean() }) }),
    }),
  })
const base = fc.record({
  acme: tenant('globex'),
  globex: tenant('acme'),
  initech: fc.record({ delegation: fc.record({ maxHops: fc.integer({ min: 0, max: 4 }) }) }),
  _global: fc.record({
    egress: fc.record({
      deny: some('*.c.test', 'c.test'),
      ports: fc.constantFrom([80, 443], [443, 8443], [80, 443, 8443]),
      allowCidrs: some('10.20.0.0/16'),
    }),
  }),
})

describe('a suggested policy', function () {
  this.timeout(60_000)

  it('refuses nothing and allows nothing that the recording does not, whatever the policy was that it was recorded under', () => {
    fc.assert(
      fc.property(
        base,
        fc.array(egressTraffic, { maxLength: 40 }),
        fc.array(callTraffic, { maxLength: 20 }),
        (documents, egress, delegations) => {
          const cases = record(policyOf(documents), egress, delegations)
          const { newlyRefused, newlyAllowed, examples } = replay(suggest(cases), cases)
          assert.equal(newlyRefused, 0, JSON.stringify(examples.newlyRefused))
          assert.equal(newlyAllowed, 0, JSON.stringify(examples.newlyAllowed))
        },
      ),
      { numRuns: 100 },
    )
  })

  it('holds no rule, and nothing in a rule, that could be left out', () => {
    let removed = 0
    fc.assert(
      fc.property(
        base,
        fc.array(egressTraffic, { maxLength: 30 }),
        fc.array(callTraffic, { maxLength: 15 }),
        (documents, egress, delegations) => {
          const cases = record(policyOf(documents), egress, delegations)
          for (const less of withoutOneRule(suggest(cases))) {
            removed += 1
            const { newlyRefused } = createdFrom(less, cases)
            assert.ok(newlyRefused > 0, `superfluous: ${JSON.stringify(less)}`)
          }
        },
      ),
      { numRuns: 100 },
    )
    assert.ok(removed > 100, `only ${removed} things were left out`)
  })

  it('with wildcards refuses nothing that was let through either, and opens nothing that was denied', () => {
    const hosts = ['a', 'b', 'c', 'x.b', 'y.b', 'z.b', 'z'].map((name) => `${name}.a.test`)
    let widened = 0
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...hosts), { minLength: 4, maxLength: 20 }),
        fc.subarray(['x.b.a.test', '*.b.a.test', 'z.a.test']),
        fc.integer({ min: 2, max: 4 }),
        (names, deny, wildcards) => {
          const policy = policyOf({ acme: { mode: 'audit', egress: { deny } } })
          const cases = record(policy, names.map(tunnel), [])
          const suggestion = suggest(cases, wildcards)
          if (JSON.stringify(suggestion.tenants).includes('"*.')) widened += 1
          const { newlyRefused, newlyAllowed, examples } = replay(suggestion, cases)
          assert.equal(newlyRefused, 0, JSON.stringify(examples.newlyRefused))
          assert.equal(newlyAllowed, 0, JSON.stringify(examples.newlyAllowed))
        },
      ),
      { numRuns: 100 },
    )
    assert.ok(widened > 10, `only ${widened} had a wildcard`)
  })

  it('allows no request that was not recorded, where every record says method and path', () => {
    const policy = policyOf({ acme: { egress: { allow: ['c.test'] } } })
    const got = (method: string, path: string): Traffic => ({
      ...tunnel('c.test'),
      request: { method, path },
    })
    const cases = record(policy, [got('GET', '/a'), got('POST', '/b'), got('GET', '/c')], [])
    const suggestion = suggest(cases)
    assert.deepEqual(suggestion.tenants, [
      {
        tenant: 'acme',
        mode: 'enforce',
        egress: {
          agents: {
            bot: {
              allow: [
                { host: 'c.test:443', methods: ['GET'], paths: ['/a', '/c'] },
                { host: 'c.test:443', methods: ['POST'], paths: ['/b'] },
              ],
            },
          },
        },
      },
    ])
    const other = record(policy, [got('POST', '/a'), got('GET', '/d'), tunnel('c.test')], [])
    assert.equal(replay(suggestion, other).newlyRefused, 3)
  })

  it('never has what a deny rule or the address rules refused, though it was let through at another time', () => {
    const before = policyOf({ acme: { egress: { allow: ['*.a.test', 'c.test'] } } })
    const after = policyOf({
      acme: { egress: { allow: ['*.a.test', 'c.test'], deny: ['b.a.test'] } },
    })
    const cases = [
      ...record(before, [tunnel('b.a.test'), tunnel('api.a.test'), tunnel('c.test')], []),
      ...record(after, [tunnel('b.a.test'), { ...tunnel('c.test'), ip: '169.254.169.254' }], []),
    ]
    const suggestion = suggest(cases, 2)
    assert.deepEqual(
      suggestion.tenants.map((one) => one.egress?.agents),
      [{ bot: { allow: ['api.a.test:443'] } }],
    )
    assert.equal(suggestion.leftOut, 2)
  })

  it('has what was let through and then cut, unless a deny rule cut it', () => {
    const policy = policyOf({ acme: { delegation: { allow: [{ from: '*', to: '*' }] } } })
    const [caller, callee] = [
      { tenant: 'acme', agent: 'bot' },
      { tenant: 'acme', agent: 'planner' },
    ]
    const cut = (method: string, reason: string) => {
      const line = callLine({ caller, callee, method, hop: 1, origin: caller }, policy)
      return caseOf(JSON.stringify({ ...JSON.parse(line), reason, grpc_status: 14 }))
    }
    const drained = cut('pkg.Svc/A', 'MESH_GATEWAY_DRAINING')
    const denied = cut('pkg.Svc/B', 'MESH_POLICY_DENIED')
    const suggestion = suggest([drained, denied])
    assert.deepEqual(suggestion.tenants[0]?.delegation?.allow, [
      { from: 'bot', to: 'planner', methods: ['pkg.Svc/A'] },
    ])
    assert.deepEqual([suggestion.records, suggestion.leftOut], [2, 1])
    const { newlyRefused, same } = replay(suggestion, [drained, denied])
    assert.deepEqual([newlyRefused, same], [1, 1])
  })

  it('has wildcards only when told how many hosts make one, and none over what was refused', () => {
    const policy = policyOf({ acme: { egress: { allow: ['*.a.test'], deny: ['b.a.test'] } } })
    const cases = record(
      policy,
      ['p.q.a.test', 'r.q.a.test', 's.a.test', 't.a.test', 'b.a.test'].map(tunnel),
      [],
    )
    const allowed = (suggestion: Suggestion) => suggestion.tenants[0]?.egress?.agents?.bot?.allow
    assert.deepEqual(allowed(suggest(cases)), [
      'p.q.a.test:443',
      'r.q.a.test:443',
      's.a.test:443',
      't.a.test:443',
    ])
    assert.deepEqual(allowed(suggest(cases, 2)), ['*.q.a.test:443', 's.a.test:443', 't.a.test:443'])
    assert.equal(replay(suggest(cases, 2), cases).newlyRefused, 0)
  })

  it('lets nobody begin a chain on the way out whom the recording does not show to', () => {
    const delegation = { agents: { planner: { mayOriginate: false } } }
    const policy = policyOf({ acme: { mode: 'audit', delegation } })
    const planner = { tenant: 'acme', agent: 'planner' }
    const within = { ...tunnel('c.test'), agent: planner, actors: [tunnel('c.test').agent] }
    const begun = { ...tunnel('c.test'), actors: [planner] }
    const cases = record(policy, [within, begun], [])
    assert.deepEqual(
      cases.map(({ allowed }) => allowed),
      [true, false],
    )
    const suggestion = suggest(cases)
    assert.deepEqual(suggestion.tenants[0]?.delegation, delegation)
    assert.equal(replay(suggestion, cases).newlyAllowed, 0)
  })

  it('names no paths where there are too many to be told one by one', () => {
    const policy = policyOf({ acme: { egress: { allow: ['c.test'] } } })
    const many = Array.from({ length: 300 }, (_, n) => ({
      ...tunnel('c.test'),
      request: { method: 'GET', path: `/users/${n}` },
    }))
    const suggestion = suggest(record(policy, many, []))
    assert.deepEqual(suggestion.tenants[0]?.egress?.agents, {
      bot: { allow: [{ host: 'c.test:443', methods: ['GET'] }] },
    })
    assert.match(suggestion.remarks.join(), /1 rules? names? no paths/)
  })
})

function tunnel(host: string): Traffic {
  const agent = { tenant: 'acme', agent: 'bot' }
  return { agent, host, port: 443, request: null, ip: '93.184.216.34', actors: null }
}

function record(
  policy: PolicySnapshot,
  egress: readonly Traffic[],
  delegations: readonly Parameters<typeof callLine>[0][],
): RecordedCase[] {
  const calls = delegations.map((one) => (one.hop === 1 ? { ...one, origin: one.caller } : one))
  return [
    ...egress.map((one) => caseOf(egressLine(one, policy))),
    ...calls.map((one) => caseOf(callLine(one, policy))),
  ]
}

function suggest(cases: readonly RecordedCase[], wildcards: number | null = null): Suggestion {
  const suggesting = createSuggestion({ tenant: null, wildcards })
  for (const one of cases) suggesting.add(one)
  return suggesting.finish()
}

type Documents = Record<string, object>

function replay(suggestion: Suggestion, cases: readonly RecordedCase[]) {
  return createdFrom(documentsOf(suggestion), cases)
}

function createdFrom(documents: Documents, cases: readonly RecordedCase[]) {
  const running = createReplay(policyOf(documents), 50)
  for (const one of cases) running.add(one)
  return running.result()
}

function documentsOf({ tenants, global }: Suggestion): Documents {
  const named = tenants.map((document) => [document.tenant, document] as const)
  return { ...Object.fromEntries(named), ...(global === null ? {} : { _global: global }) }
}

/** The same again and again, each time less one rule, or less one method, path, port, range or hop of what is left. */
function* withoutOneRule(suggestion: Suggestion): Generator<Documents> {
  const whole = documentsOf(suggestion)
  const { global } = suggestion
  for (const key of ['ports', 'allowCidrs'] as const)
    for (const left of lessOne<unknown>(global?.egress?.[key] ?? []))
      yield { ...whole, _global: { egress: { ...global?.egress, [key]: left } } }
  for (const { tenant, egress, delegation } of suggestion.tenants) {
    const rest = suggestion.tenants.find((one) => one.tenant === tenant) ?? {}
    for (const [name, agent] of Object.entries(egress?.agents ?? {}))
      for (const allow of lessOneThing(agent.allow ?? [], ['methods', 'paths'])) {
        const agents = { ...egress?.agents, [name]: { ...agent, allow } }
        yield { ...whole, [tenant]: { ...rest, egress: { ...egress, agents } } }
      }
    for (const list of ['allow', 'accept'] as const)
      for (const left of lessOneThing(delegation?.[list] ?? [], ['methods']))
        yield { ...whole, [tenant]: { ...rest, delegation: { ...delegation, [list]: left } } }
    const { maxHops = 0 } = delegation ?? {}
    // one hop is the least that is suggested where calls are made at all
    if (maxHops > 1)
      yield { ...whole, [tenant]: { ...rest, delegation: { ...delegation, maxHops: maxHops - 1 } } }
  }
}

function lessOne<T>(list: readonly T[]): T[][] {
  return list.map((_, left) => list.filter((_, index) => index !== left))
}

/** Less one rule; and each rule less one entry of each of its lists, as long as one is left there: none would be any. */
function* lessOneThing(rules: readonly unknown[], lists: readonly string[]): Generator<unknown[]> {
  yield* lessOne(rules)
  for (const [index, rule] of rules.entries()) {
    if (typeof rule !== 'object' || rule === null) continue
    for (const key of lists) {
      const list: unknown = Reflect.get(rule, key)
      if (!Array.isArray(list) || list.length < 2) continue
      for (const left of lessOne<unknown>(list)) yield rules.with(index, { ...rule, [key]: left })
    }
  }
}
