/** Which agents and methods a rule of delegation speaks of, by its text. */
import assert from 'node:assert/strict'
import {
  intersectMethods,
  methodFault,
  methodMatches,
  parseSelector,
} from '../../../../mesh-gateway/src/policy/compile/selector.ts'

describe('the selector of a rule', () => {
  const good: [text: string, tenant: string | null, agent: string][] = [
    ['planner', null, 'planner'],
    ['*', null, '*'],
    ['globex/planner', 'globex', 'planner'],
    ['globex/*', 'globex', '*'],
    ['a-1/b-2', 'a-1', 'b-2'],
  ]
  for (const [text, tenant, agent] of good)
    it(`names ${agent} of ${tenant ?? 'its own tenant'}: ${text}`, () => {
      assert.deepEqual(parseSelector(text), { tenant, agent })
    })

  const NO_AGENT =
    'is not an agent; names are lower-case letters, digits and hyphens, and * stands alone'
  const bad: [text: string, why: string][] = [
    ['spiffe://mesh/x', 'is a URI; write tenant/agent'],
    ['a/b/c', 'has more than one slash; write tenant/agent'],
    ['a/b/c/d', 'has more than one slash; write tenant/agent'],
    ['a/b/', 'has more than one slash; write tenant/agent'],
    ['planner.acme.mesh.internal', 'is a host name; write the agent, or tenant/agent'],
    ['*/planner', 'leaves the tenant open; name it: tenant/*'],
    ['*/*', 'leaves the tenant open; name it: tenant/*'],
    ['Planner', NO_AGENT],
    ['plan*', NO_AGENT],
    ['**', NO_AGENT],
    ['', NO_AGENT],
    ['globex/', NO_AGENT],
    ['/planner', NO_AGENT],
    ['Globex/planner', NO_AGENT],
    ['Globex/*', NO_AGENT],
    ['globex/Planner', NO_AGENT],
    ['a_b', NO_AGENT],
  ]
  for (const [text, why] of bad)
    it(`is refused, and it is said why: ${JSON.stringify(text)}`, () => {
      assert.equal(parseSelector(text), why)
    })
})

describe('the methods of a rule', () => {
  for (const text of ['*', 'S/*', 'S/M', 'pkg.v1.S/*', 'pkg.v1.Svc_2/Do_it2', '_S/_m'])
    it(`may be ${text}`, () => {
      assert.equal(methodFault(text), null)
    })

  const SHAPE = 'is not package.Service/Method, package.Service/* or *'
  const NO_SERVICE = 'names no service; write package.Service/Method, package.Service/* or *'
  const bad: [text: string, why: string][] = [
    ['/pkg.S/M', 'begins with a slash; write package.Service/Method'],
    ['', NO_SERVICE],
    ['Do', NO_SERVICE],
    ['**', NO_SERVICE],
    ['x*', NO_SERVICE],
    ['pkg.*/M', SHAPE],
    ['pkg.S/M/N', SHAPE],
    ['pkg.S/M*', SHAPE],
    ['pkg.S/*x', SHAPE],
    ['pkg.S/', SHAPE],
    ['1S/M', SHAPE],
    ['x pkg.S/M', SHAPE],
    ['pkg.S/M x', SHAPE],
  ]
  for (const [text, why] of bad)
    it(`may not be ${JSON.stringify(text)}, and it is said why`, () => {
      assert.equal(methodFault(text), why)
    })

  const matches: [patterns: string[] | null, method: string, matched: boolean][] = [
    [null, 'p.S/M', true],
    [[], 'p.S/M', false],
    [['*'], 'p.S/M', true],
    [['p.S/M'], 'p.S/M', true],
    [['p.S/M'], 'p.S/Mx', false],
    [['p.S/*'], 'p.S/M', true],
    [['p.S/*'], 'p.Sx/M', false],
    [['p.S/*'], 'xp.S/M', false],
    [['p.T/*', 'p.S/M'], 'p.S/M', true],
    [['p.T/*', 'p.S/N'], 'p.S/M', false],
  ]
  for (const [patterns, method, matched] of matches)
    it(`${JSON.stringify(patterns)} ${matched ? 'take in' : 'leave out'} ${method}`, () => {
      assert.equal(methodMatches(patterns, method), matched)
    })

  type Patterns = string[] | null
  const common: [a: Patterns, b: Patterns, both: Patterns][] = [
    [null, null, null],
    [null, ['p.S/M'], ['p.S/M']],
    [['p.S/M'], null, ['p.S/M']],
    [['*'], ['p.S/*'], ['p.S/*']],
    [['p.T/M', '*'], null, null],
    [['p.S/*'], ['p.T/M', '*'], ['p.S/*']],
    [['p.S/M'], ['p.S/N'], []],
    [['p.S/*'], ['p.S/M', 'p.T/M'], ['p.S/M']],
    [['p.S/M', 'p.T/M'], ['p.S/*'], ['p.S/M']],
    [['p.S/*'], ['p.S/*'], ['p.S/*']],
    [['p.S/M'], ['p.S/M'], ['p.S/M']],
    [
      ['p.S/M', 'p.T/*'],
      ['p.S/*', 'p.T/N'],
      ['p.S/M', 'p.T/N'],
    ],
    [[], ['p.S/M'], []],
  ]
  for (const [a, b, both] of common)
    it(`${JSON.stringify(a)} and ${JSON.stringify(b)} have ${JSON.stringify(both)} in common`, () => {
      assert.deepEqual(intersectMethods(a, b), both)
    })
})
