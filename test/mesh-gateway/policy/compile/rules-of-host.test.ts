/** The first rule of a host that fits, in the order of policy: the same for few rules, looked at in turn, and many, looked up. */
import assert from 'node:assert/strict'
import { parseHostPattern } from '../../../../mesh-gateway/src/net/host-pattern.ts'
import {
  findRule,
  hostTableInSteps,
} from '../../../../mesh-gateway/src/policy/compile/host-table.ts'
import { parsePathGlob } from '../../../../mesh-gateway/src/policy/compile/path-glob.ts'
import {
  firstAllowing,
  firstDenying,
  firstForPort,
  type HostRule,
  hostRule,
  rulesOfHostInSteps,
} from '../../../../mesh-gateway/src/policy/compile/rules-of-host.ts'
import { StepBudget } from '../../../../mesh-gateway/src/policy/compile/step-budget.ts'
import { AskedRequest } from '../../../../mesh-gateway/src/policy/decide/asked-request.ts'
import { validated } from '../../../../mesh-gateway/src/policy/read/validated.ts'
import { atOneGo } from '../../../../mesh-gateway/src/process/in-slices.ts'

/** `a.test:443 GET,PUT /a/*` */
function rule(text: string, id: string): HostRule {
  const [pattern = '', methods = '-', ...paths] = text.split(' ')
  return hostRule(id, validated(parseHostPattern(pattern)), {
    methods: methods === '-' ? null : methods.split(','),
    paths: paths.length === 0 ? null : paths.map((path) => validated(parsePathGlob(path))),
  })
}
const rulesOf = (texts: readonly string[]) => texts.map((text, place) => rule(text, `${place}`))
const ofHost = (texts: readonly string[]) => atOneGo(rulesOfHostInSteps(rulesOf(texts)))

/** Rules that fit nothing that is asked here, so that there are more than are looked at in turn. */
const FILLERS = Array.from({ length: 5 }, () => 'a.test:9 NEVER')
const asked = (port: number, method: string | null, path = '/') =>
  new AskedRequest(
    {
      ...{ agent: { tenant: 'acme', agent: 'bot' }, host: 'a.test', port },
      ...{ request: method === null ? null : { method, path }, allowedDestinations: [] },
    },
    null,
  )

/** Places of the rules, in lists of one to three and of more than are looked at in turn: behind the fillers, and between. */
function alike(
  texts: readonly string[],
  pick: (rules: ReturnType<typeof ofHost>) => HostRule | null,
) {
  const short = pick(ofHost(texts))?.id ?? null
  const behind = pick(ofHost([...FILLERS, ...texts]))?.id ?? null
  const before = pick(ofHost([...texts, ...FILLERS]))?.id ?? null
  assert.equal(ofHost(texts).byPort, null)
  assert.notEqual(ofHost([...FILLERS, ...texts]).byPort, null)
  const expected = short === null ? null : `${Number(short) + FILLERS.length}`
  assert.deepEqual([behind, before], [expected, short])
  return short === null ? null : Number(short)
}

describe('the rules of one host', () => {
  const allowing: [texts: string[], port: number, method: string | null, place: number | null][] = [
    [['a.test'], 443, null, 0],
    [['a.test'], 80, 'GET', 0],
    [['a.test'], 8443, null, null],
    [['a.test:8443'], 8443, null, 0],
    [['a.test:8443'], 443, null, null],
    [['a.test:443', 'a.test'], 443, null, 0],
    [['a.test', 'a.test:443'], 443, null, 0],
    [['a.test:443', 'a.test'], 80, null, 1],
    [['a.test:80', 'a.test:443'], 443, null, 1],
    [['a.test GET'], 443, null, null],
    [['a.test GET'], 443, 'GET', 0],
    [['a.test GET'], 443, 'PUT', null],
    [['a.test GET', 'a.test'], 443, 'GET', 0],
    [['a.test GET', 'a.test'], 443, 'PUT', 1],
    [['a.test GET', 'a.test'], 443, null, 1],
    [['a.test', 'a.test GET'], 443, 'GET', 0],
    [['a.test GET', 'a.test PUT,GET'], 443, 'PUT', 1],
    [['a.test PUT', 'a.test GET', 'a.test GET'], 443, 'GET', 1],
    [['a.test:443 GET', 'a.test GET'], 80, 'GET', 1],
    [['a.test GET', 'a.test:443 GET'], 443, 'GET', 0],
    [['a.test - /a'], 443, null, null],
    [['a.test - /b', 'a.test'], 443, 'GET', 1],
  ]
  for (const [texts, port, method, place] of allowing)
    it(`allow ${method ?? 'a tunnel'} on ${port} by ${place}: ${texts.join(', ')}`, () => {
      assert.equal(
        alike(texts, (of) => firstAllowing(of, asked(port, method))),
        place,
      )
    })

  const byPath: [
    texts: string[],
    port: number,
    method: string | null,
    path: string,
    place: number | null,
  ][] = [
    [['a.test - /a'], 443, 'GET', '/a', 0],
    [['a.test - /a'], 443, 'GET', '/b', null],
    [['a.test - /a'], 443, null, '/a', null],
    [['a.test - /a'], 8443, 'GET', '/a', null],
    [['a.test:8443 - /a', 'a.test - /a'], 443, 'GET', '/a', 1],
    [['a.test PUT /a', 'a.test GET /a'], 443, 'GET', '/a', 1],
    [['a.test - /a', 'a.test'], 443, 'GET', '/a', 0],
    [['a.test', 'a.test - /a'], 443, 'GET', '/a', 0],
    [['a.test - /b', 'a.test - /*', 'a.test'], 443, 'GET', '/a', 1],
    [['a.test - /b /a'], 443, 'GET', '/a', 0],
    [['a.test GET', 'a.test - /a'], 443, 'PUT', '/a', 1],
    [['a.test - /a'], 443, 'GET', '/a//b', null],
  ]
  for (const [texts, port, method, path, place] of byPath)
    it(`allow ${method ?? 'a tunnel'} ${path} on ${port} by ${place}: ${texts.join(', ')}`, () => {
      assert.equal(
        alike(texts, (of) => firstAllowing(of, asked(port, method, path))),
        place,
      )
    })

  const ports: [texts: string[], port: number, denying: number | null, forPort: number | null][] = [
    [['a.test'], 443, 0, 0],
    [['a.test'], 80, 0, 0],
    [['a.test'], 8443, 0, null],
    [['a.test:443'], 443, 0, 0],
    [['a.test:443'], 80, null, null],
    [['a.test:8443'], 8443, 0, 0],
    [['a.test:80', 'a.test:443'], 443, 1, 1],
    [['a.test:80', 'a.test'], 443, 1, 1],
    [['a.test:80', 'a.test', 'a.test:443'], 443, 1, 1],
    [['a.test:443', 'a.test'], 443, 0, 0],
    [['a.test', 'a.test:8443'], 8443, 0, 1],
    [['a.test:8443', 'a.test'], 8443, 0, 0],
    [['a.test GET /a'], 443, 0, 0],
  ]
  for (const [texts, port, denying, forPort] of ports)
    it(`of ${texts.join(', ')} deny ${port} by ${denying}, and are for it by ${forPort}`, () => {
      assert.equal(
        alike(texts, (of) => firstDenying(of, port)),
        denying,
      )
      assert.equal(
        alike(texts, (of) => firstForPort(of, port)),
        forPort,
      )
    })

  it('are looked up from five on', () => {
    const of = (count: number) => ofHost(Array.from({ length: count }, () => 'a.test'))
    assert.equal(of(4).byPort, null)
    assert.notEqual(of(5).byPort, null)
    assert.equal(of(5).paths, null)
    assert.notEqual(ofHost(['a.test - /a']).paths, null)
  })

  it('are written as policy writes them, with what they leave out', () => {
    const { text, methods, paths, scheme, withoutServerName } = hostRule(
      'id',
      validated(parseHostPattern('*.A.test:8443')),
    )
    assert.deepEqual(
      { text, methods, paths, scheme, withoutServerName },
      {
        ...{ text: '*.a.test:8443', methods: null, paths: null },
        ...{ scheme: 'https', withoutServerName: false },
      },
    )
  })
})

describe('a table of hosts', () => {
  const table = (...texts: string[]) => atOneGo(hostTableInSteps(rulesOf(texts)))
  const found = (of: ReturnType<typeof table>, host: string, port = 443) =>
    findRule(of, host, firstDenying, port)?.id ?? null

  const hosts: [texts: string[], host: string, id: string | null][] = [
    [['a.test'], 'a.test', '0'],
    [['a.test'], 'x.a.test', null],
    [['*.a.test'], 'x.a.test', '0'],
    [['*.a.test'], 'x.y.a.test', '0'],
    [['*.a.test'], 'a.test', null],
    [['*.a.test'], 'xa.test', null],
    [['*.a.test', 'x.a.test'], 'x.a.test', '1'],
    [['*.a.test', '*.y.a.test'], 'x.y.a.test', '1'],
    [['*.y.a.test', '*.a.test'], 'x.y.a.test', '0'],
    [['*.test', '*.a.test'], 'x.b.test', '0'],
    [['*.a.test', '*.longer.name.b.test'], 'x.a.test', '0'],
    [['*.a.test'], 'test', null],
    [[], 'a.test', null],
    // the nearest wildcard is not for the port, a wider one is
    [['*.y.a.test:80', '*.a.test'], 'x.y.a.test', '1'],
    [['x.a.test:80', '*.a.test'], 'x.a.test', '1'],
  ]
  for (const [texts, host, id] of hosts)
    it(`has ${id === null ? 'no rule' : `rule ${id}`} for ${host}: ${texts.join(', ')}`, () => {
      assert.equal(found(table(...texts), host), id)
    })

  it('knows how long the longest host is that a wildcard stands below, to look no further', () => {
    assert.equal(table('*.a.test', '*.longer.test', 'a.very.much.longer.test').longestBelow, 11)
    assert.equal(table('a.test').longestBelow, 0)
    assert.equal(table('*.a.test').rules.length, 1)
  })
})

describe('what is asked of rules', () => {
  it('has its path made canonical once, and says what is wrong with it', () => {
    const good = asked(443, 'GET', '/%61?x')
    assert.equal(good.fault, null)
    assert.equal(good.path, '/a')
    assert.equal(good.fault, null)
    const bad = asked(443, 'GET', '/a//b')
    assert.equal(bad.fault, null)
    assert.equal(bad.path, null)
    assert.equal(bad.fault, 'ambiguous')
    const tunnel = asked(443, null)
    assert.deepEqual([tunnel.method, tunnel.path, tunnel.fault], [null, null, null])
    assert.deepEqual([good.method, good.port], ['GET', 443])
  })

  it('matches rules with paths up to 8192 characters, the query not among them', () => {
    const of = (length: number, more = '') => asked(443, 'GET', `/${'a'.repeat(length - 1)}${more}`)
    assert.equal(of(8192).path?.length, 8192)
    assert.equal(of(8192, '?x').path?.length, 8192)
    const long = of(8193)
    assert.equal(long.path, null)
    assert.equal(long.fault, 'too-long')
  })

  it('is undecided when its budget did not suffice', () => {
    const plain = asked(443, 'GET')
    assert.equal(plain.undecided, false)
    assert.equal(plain.budget, plain.budget)
    const budget = new StepBudget(2)
    assert.deepEqual([budget.spend(2), budget.exhausted, budget.spent], [true, false, 2])
    assert.deepEqual([budget.spend(1), budget.exhausted, budget.spent], [false, true, 3])
    const bounded = new AskedRequest(
      {
        ...{ agent: { tenant: 'a', agent: 'b' }, host: 'a.test', port: 443 },
        ...{ request: null, allowedDestinations: [] },
      },
      budget,
    )
    assert.equal(bounded.undecided, true)
    assert.equal(bounded.budget, budget)
    assert.equal(new StepBudget().spend(200_000), true)
    assert.equal(new StepBudget().spend(200_001), false)
  })
})
