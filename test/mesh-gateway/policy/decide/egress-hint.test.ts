/** What would help after a refusal on the way out: the rule that is nearly the one, by look-ups that do not grow with policy. */
import assert from 'node:assert/strict'
import { decideEgress, type EgressQuestion } from '../../../../mesh-gateway/src/policy/index.ts'
import { policyOf } from '../policies.ts'

const METADATA = 'the metadata service of a cloud hands out credentials: leave it out of reach'

interface Asked {
  readonly agent?: string
  readonly port?: number
  readonly request?: EgressQuestion['request']
  readonly token?: readonly string[]
}

/** What is said of a host under these rules of acme; the token allows it unless one is given. */
function hint(egress: object, host: string, asked: Asked = {}, global: object = {}): string | null {
  const { agent = 'bot', port = 443, request = null } = asked
  const own = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
  return decideEgress(
    {
      ...{ agent: { tenant: 'acme', agent }, host, port, request },
      allowedDestinations: asked.token ?? [own],
    },
    policyOf({ acme: { egress }, _global: { egress: { ports: [80, 443, 8443], ...global } } }),
  ).hint
}
const add = (wanted: string, agent = 'bot') =>
  `add "${wanted}" to egress.allow of acme.json, the policy of acme/${agent}`
const near = (host: string, rule: string) => `${host} is not allowed; ${rule} is`

describe('the hint after a refusal', () => {
  const rules: [what: string, egress: object, host: string, asked: Asked, hint: string][] = [
    ['no rules', {}, 'a.test', {}, add('a.test')],
    ['another port', {}, 'a.test', { port: 8443 }, add('a.test:8443')],
    ['port 80', {}, 'a.test', { port: 80 }, add('a.test')],
    ['a number', {}, '2001:db8::1', {}, add('[2001:db8::1]')],
    [
      'an agent that the tenant does not name, beside some',
      { agents: { other: {} } },
      'a.test',
      {},
      `${add('a.test')}; acme names no agent bot: if it is of another tenant, its token must be too`,
    ],
    ['an agent that it names', { agents: { bot: {} } }, 'a.test', {}, add('a.test')],
    [
      'a rule for another port',
      { allow: ['a.test:8443'] },
      'a.test',
      {},
      'port 443 is not listed: the rule a.test:8443 is for port 8443; a rule a.test would allow it',
    ],
    [
      'a rule for the usual ports',
      { agents: { bot: { allow: ['*.test'] } } },
      'a.test',
      { port: 8443 },
      'port 8443 is not listed: the rule *.test is for port 80 and 443; a rule a.test:8443 would allow it',
    ],
    [
      'a rule of another agent',
      { agents: { bot: {}, other: { allow: ['a.test'] } } },
      'a.test',
      {},
      'a.test is allowed for agent other, not for bot',
    ],
    [
      'a wildcard of another agent, which says nothing of the host',
      { agents: { bot: {}, other: { allow: ['*.a.test'] } } },
      'x.a.test',
      {},
      add('x.a.test'),
    ],
    [
      'of several agents the first',
      { agents: { bot: {}, first: { allow: ['a.test'] }, last: { allow: ['a.test'] } } },
      'a.test',
      {},
      'a.test is allowed for agent first, not for bot',
    ],
    ['a rule for its parent', { allow: ['a.test'] }, 'x.a.test', {}, near('x.a.test', 'a.test')],
    ['one further up', { allow: ['a.test'] }, 'x.y.a.test', {}, near('x.y.a.test', 'a.test')],
    [
      'the nearest one above it',
      { allow: ['a.test', 'y.a.test'] },
      'x.y.a.test',
      {},
      near('x.y.a.test', 'y.a.test'),
    ],
    [
      'one of the agent above it',
      { agents: { bot: { allow: ['a.test:8443'] } } },
      'x.a.test',
      {},
      near('x.a.test', 'a.test:8443'),
    ],
    [
      'a wildcard below it',
      { allow: ['*.a.test'] },
      'a.test',
      {},
      `${near('a.test', '*.a.test')}, which does not include a.test itself`,
    ],
    [
      'a wildcard below it with a port',
      { allow: ['*.a.test:8443'] },
      'a.test',
      {},
      `${near('a.test', '*.a.test:8443')}, which does not include a.test itself`,
    ],
    [
      'the agent’s own wildcard before that of all',
      { allow: ['*.a.test:80'], agents: { bot: { allow: ['*.a.test:8443'] } } },
      'a.test',
      {},
      `${near('a.test', '*.a.test:8443')}, which does not include a.test itself`,
    ],
    ['a rule right below it', { allow: ['x.a.test'] }, 'a.test', {}, near('a.test', 'x.a.test')],
    [
      'of several below it the first',
      { allow: ['x.a.test', 'y.a.test'] },
      'a.test',
      {},
      near('a.test', 'x.a.test'),
    ],
    ['one further down', { allow: ['x.y.a.test'] }, 'a.test', {}, add('a.test')],
    ['a name of few letters that is nearly one', { allow: ['ab.io'] }, 'ac.io', {}, add('ac.io')],
    ['a name with one letter wrong', { allow: ['a.test'] }, 'b.test', {}, near('b.test', 'a.test')],
    [
      'a short name with two letters wrong',
      { allow: ['abc.test'] },
      'xyc.test',
      {},
      add('xyc.test'),
    ],
    [
      'a long name with two letters wrong',
      { allow: ['abcdefg.test'] },
      'xycdefg.test',
      {},
      near('xycdefg.test', 'abcdefg.test'),
    ],
    [
      'a long name with three letters wrong',
      { allow: ['abcdefghijklmnopq.test'] },
      'xyzdefghijklmnopq.test',
      {},
      add('xyzdefghijklmnopq.test'),
    ],
    [
      'a name that is nearly one of the agent’s own',
      { agents: { bot: { allow: ['abcdefg.test'] } } },
      'xbcdefg.test',
      {},
      near('xbcdefg.test', 'abcdefg.test'),
    ],
    ['the metadata service', { allow: ['a.test'] }, '169.254.169.254', {}, METADATA],
    ['its name', {}, 'metadata.google.internal', {}, METADATA],
  ]
  for (const [what, egress, host, asked, expected] of rules)
    it(`of a host that no rule allows looks at ${what}`, () => {
      assert.equal(hint(egress, host, asked), expected)
    })

  const get = (path: string, method = 'GET') => ({ request: { method, path } })
  const contents: [rule: object, asked: Asked, hint: string][] = [
    [
      { methods: ['GET'] },
      {},
      'names methods GET, which a tunnel hides; send the request in absolute or relay form, or allow the host alone',
    ],
    [
      { paths: ['/a', '/b'] },
      {},
      'names paths /a, /b, which a tunnel hides; send the request in absolute or relay form, or allow the host alone',
    ],
    [
      { methods: ['GET', 'PUT'], paths: ['/a'] },
      {},
      'names methods GET, PUT and paths /a, which a tunnel hides; send the request in absolute or relay form, or allow the host alone',
    ],
    [{ methods: ['GET', 'PUT'] }, get('/', 'POST'), 'names methods GET, PUT only'],
    [{ methods: ['GET'], paths: ['/a'] }, get('/a', 'POST'), 'names methods GET only'],
    [{ methods: ['GET'], paths: ['/a'] }, get('/b'), 'names methods GET and paths /a only'],
    [{ paths: ['/a'] }, get('/b'), 'names paths /a only'],
    [
      { paths: ['/a'] },
      get('/a//b'),
      'names paths, and this path is ambiguous: no //, /./, /../, \\ or encoded slashes',
    ],
    [
      { paths: ['/a'] },
      get(`/${'a'.repeat(8192)}`),
      'names paths, and this path is longer than 8192 characters',
    ],
    [{ methods: ['A', 'B', 'C', 'D', 'E'] }, get('/'), 'names methods A, B, C, D, E only'],
    [
      { methods: ['A', 'B', 'C', 'D', 'E', 'F'] },
      get('/'),
      'names methods A, B, C, D, E and 1 more only',
    ],
    [
      { paths: ['/1', '/2', '/3', '/4', '/5', '/6', '/7'] },
      get('/'),
      'names paths /1, /2, /3, /4, /5 and 2 more only',
    ],
  ]
  for (const [rule, asked, expected] of contents)
    it(`of a rule that matches the host says what it names: ${expected.slice(0, 60)}`, () => {
      const egress = { allow: [{ host: 'a.test', ...rule }] }
      assert.equal(hint(egress, 'a.test', asked), `the rule a.test matches but ${expected}`)
    })

  const tokens: [what: string, token: string[], hint: string][] = [
    ['nothing', [], 'allowed_destinations of the token is empty; ask for a token that names some'],
    [
      'something else',
      ['z.example'],
      'x.a.test is not in allowed_destinations of the token; ask for a token that names it',
    ],
    [
      'another port',
      ['x.a.test:8443'],
      'port 443 is not listed: allowed_destinations has x.a.test:8443; ask for a token that names x.a.test:443',
    ],
    [
      'a wildcard on another port',
      ['*.A.test:8443'],
      'port 443 is not listed: allowed_destinations has *.a.test:8443; ask for a token that names x.a.test:443',
    ],
    ['its parent', ['a.test'], 'x.a.test is not in allowed_destinations; a.test is'],
    ['what is below it', ['y.x.a.test'], 'x.a.test is not in allowed_destinations; y.x.a.test is'],
    [
      'a wildcard below it',
      ['*.x.a.test'],
      'x.a.test is not in allowed_destinations; *.x.a.test is, which does not include x.a.test itself',
    ],
    [
      'what is no host, and then its parent',
      ['no host', 'a.test'],
      'x.a.test is not in allowed_destinations; a.test is',
    ],
    ['one letter wrong', ['x.b.test'], 'x.a.test is not in allowed_destinations; x.b.test is'],
    [
      'its parent behind one that is misspelt',
      ['x.b.test', 'a.test'],
      'x.a.test is not in allowed_destinations; a.test is',
    ],
    [
      'its parent in the twentieth place',
      [...Array.from({ length: 19 }, (_, n) => `unlike-${n}.example`), 'a.test'],
      'x.a.test is not in allowed_destinations; a.test is',
    ],
    [
      'its parent beyond',
      [...Array.from({ length: 20 }, (_, n) => `unlike-${n}.example`), 'a.test'],
      'x.a.test is not in allowed_destinations of the token; ask for a token that names it',
    ],
    [
      'one letter wrong beyond that',
      [...Array.from({ length: 20 }, (_, n) => `unlike-${n}.example`), 'x.b.test'],
      'x.a.test is not in allowed_destinations of the token; ask for a token that names it',
    ],
  ]
  for (const [what, token, expected] of tokens)
    it(`of a token looks at what it has: ${what}`, () => {
      assert.equal(hint({ allow: ['x.a.test'] }, 'x.a.test', { token }), expected)
    })

  it('of a port names those that there are, and leads to no metadata service', () => {
    const listed = (ports: number[], host = 'a.test') =>
      hint({ allow: ['a.test:9000'] }, host, { port: 9000 }, { ports })
    const has = (ports: string) =>
      `port 9000 is not listed: egress.ports of _global.json has ${ports}; add it there, and to a rule for the host`
    assert.equal(listed([]), has('none'))
    assert.equal(listed([443]), has('443'))
    assert.equal(listed([1, 2, 3, 4, 5]), has('1, 2, 3, 4, 5'))
    assert.equal(listed([1, 2, 3, 4, 5, 6]), has('1, 2, 3, 4, 5 and 1 more'))
    assert.equal(listed([443], '169.254.169.254'), METADATA)
    assert.equal(
      hint({ allow: ['169.254.169.254'] }, '169.254.169.254', { token: ['a.test'] }),
      METADATA,
    )
  })

  it('of a deny rule names it', () => {
    assert.equal(
      hint({ deny: ['*.a.test:443'] }, 'x.a.test'),
      '*.a.test:443 is denied by acme.json#/egress/deny/0; deny rules always win',
    )
  })

  it('of a search that was given up names the file', () => {
    const paths = Array.from({ length: 1_000 }, (_, n) => `/**${'a'.repeat(400)}**${n}`)
    const { request } = get(`/${'a'.repeat(8_000)}`)
    assert.equal(
      hint({ allow: [{ host: 'a.test', paths }] }, 'a.test', { request }),
      'the rules for a.test in acme.json have too many wildcards for this path; write more of the paths out, or fewer of them',
    )
  })

  it('looks at twenty names of each list for one that is misspelt', () => {
    const names = (count: number) => Array.from({ length: count }, (_, n) => `unlike-${n}.example`)
    const of = (before: number) =>
      hint({ allow: [...names(before), 'abcdefg.test'] }, 'xbcdefg.test')
    assert.equal(of(19), near('xbcdefg.test', 'abcdefg.test'))
    assert.equal(of(20), add('xbcdefg.test'))
    const own = { allow: names(30), agents: { bot: { allow: ['abcdefg.test'] } } }
    assert.equal(hint(own, 'xbcdefg.test'), near('xbcdefg.test', 'abcdefg.test'))
  })
})
