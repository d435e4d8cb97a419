import assert from 'node:assert/strict'
import fc from 'fast-check'
import { readPolicyFile } from '../../../../mesh-gateway/src/policy/read/read-file.ts'
import { readStrictJson } from '../../../../mesh-gateway/src/policy/read/strict-json.ts'
import { faultsOf } from '../policies.ts'

const faults = (text: string) => faultsOf('acme.json', text)
const within = (inner: string) => faults(`{ "tenant": "acme", ${inner} }`)

describe('a policy file', () => {
  it('that is right has no fault', () => {
    const example = `{ "$schema": "https://example.com/policy.schema.json", "tenant": "acme", "mode": "enforce",
      "egress": {
        "allow": ["api.openai.com", "*.githubusercontent.com:443", { "host": "api.github.com", "methods": ["GET"], "paths": ["/repos/acme/**"] }],
        "deny": ["gist.github.com"],
        "limits": { "requestsPerMinute": 600, "burst": 60, "concurrentTunnels": 100, "maxBodyBytes": 10485760 },
        "agents": { "bot-01": { "mode": "audit", "allow": ["api.stripe.com"] } } },
      "delegation": {
        "allow": [{ "from": "planner", "to": "researcher", "methods": ["*"] }, { "from": "planner", "to": "globex/translator" }],
        "accept": [{ "from": "globex/planner", "to": "researcher" }],
        "maxHops": 4, "maxDelegationsPerRoot": 50,
        "limits": { "callsPerMinute": 600, "concurrentStreams": 200 },
        "agents": { "researcher": { "mayOriginate": false } } } }`
    assert.deepEqual(faults(example), [])
    const global =
      '{ "egress": { "deny": ["*.pastebin.com"], "denyCidrs": [], "allowCidrs": ["10.20.0.0/16"], "ports": [80, 443] } }'
    assert.deepEqual(faultsOf('_global.json', global), [])
  })

  it('shows every fault at once, each with line, column and pointer', () => {
    const text = `{
  "tenant": "globex",
  "mod": "audit",
  "egress": {
    "allow": ["*", { "host": "a.test", "meth": ["GET"] }],
    "agents": { "bot-01": { "alow": [] } }
  },
  "delegation": { "maxHops": -1, "allow": [{ "from": "planner" }] }
}`
    assert.deepEqual(faults(text), [
      'acme.json:2:3 #/tenant: must be the name of the file, "acme"',
      'acme.json:3:3 #/mod: unknown key; did you mean mode',
      'acme.json:5:15 #/egress/allow/0: "*" matches everything; name hosts, or use mode audit to see which are wanted',
      'acme.json:5:40 #/egress/allow/1/meth: unknown key; did you mean methods',
      'acme.json:6:29 #/egress/agents/bot-01/alow: unknown key; did you mean allow',
      'acme.json:8:19 #/delegation/maxHops: must be 0 or more',
      'acme.json:8:44 #/delegation/allow/0/to: is missing',
    ])
  })

  const syntax: [promise: string, content: string | Uint8Array, fault: RegExp][] = [
    ['a byte order mark', '\uFEFF{}', /byte order mark/],
    ['UTF-16', Buffer.from('\uFEFF{}', 'utf16le'), /UTF-16/],
    ['bytes that are not UTF-8', Buffer.from([0x7b, 0xff, 0x7d]), /is not UTF-8/],
    ['an empty file', '', /is empty/],
    ['a blank file', ' \n', /is empty/],
    ['a line comment', '{ "tenant": "acme" } // x', /1:22: a comment; JSON has none/],
    ['a block comment', '{ /* x */ }', /a comment/],
    ['a hash comment', '# x\n{}', /a comment/],
    ['a trailing comma in an object', '{ "tenant": "acme", }', /a comma before the closing }/],
    ['a trailing comma in an array', '{ "tenant": ["acme",] }', /a comma before the closing ]/],
    ['single quotes', "{ 'tenant': 1 }", /double quotes/],
    ['a truncated file', '{ "tenant": "ac', /ends within a string/],
    ['a file cut between tokens', '{ "tenant": "acme"', /expected a comma or }, found the end/],
    ['two values', '{} {}', /more text after/],
    ['NaN', '{ "tenant": NaN }', /expected a value/],
    ['a number with leading zero', '{ "tenant": 01 }', /expected a comma/],
    ['a raw newline in a string', '{ "tenant": "a\n" }', /control character/],
    ['an escape that JSON has not', '{ "tenant": "\\x41" }', /escape/],
    ['half a surrogate pair', '{ "tenant": "\\ud800" }', /surrogate/],
    ['a bottomless nest', '['.repeat(100_000), /nested deeper/],
    [
      'a key twice',
      '{ "tenant": "acme", "mode": "audit", "mode": "audit" }',
      /#\/mode: the key is there twice/,
    ],
    [
      'a key twice, spelled differently',
      '{ "tenant": "acme", "mode": "audit", "m\\u006fde": "audit" }',
      /twice/,
    ],
    [
      '__proto__',
      '{ "tenant": "acme", "egress": { "agents": { "__proto__": { "x": 1 } } } }',
      /not a key for anything/,
    ],
    ['constructor', '{ "tenant": "acme", "constructor": {} }', /unknown key/],
    ['an array', '[]', /must be an object/],
    ['null', 'null', /must be an object/],
  ]
  for (const [promise, content, fault] of syntax)
    it(`that holds ${promise} is refused, and said why`, () => {
      const found = faultsOf('acme.json', content)
      assert.ok(
        found.some((line) => fault.test(line)),
        found.join('\n'),
      )
    })

  it('with a key of the other kind of file says where the key belongs', () => {
    for (const inner of ['"allowCidrs": []', '"denyCidrs": []', '"ports": [80]', '"tls": {}'])
      assert.match(
        within(`"egress": { ${inner} }`)[0] ?? '',
        /: unknown key here; it belongs in _global\.json$/,
      )
    for (const inner of ['"tenant": "acme"', '"mode": "audit"', '"egress": { "allow": [] }'])
      assert.match(
        faultsOf('_global.json', `{ ${inner} }`)[0] ?? '',
        /here; it belongs in the file of a tenant, such as acme\.json$/,
      )
  })

  const names: [file: string, fault: RegExp | null][] = [
    ['_globl.json', /did you mean _global\.json/],
    ['_global.jsn', /did you mean _global\.json/],
    ['Acme.json', /named after no tenant/],
    ['acme.JSON', /named after no tenant/],
    ['a.b.json', /named after no tenant/],
    ['acme', /named after no tenant/],
    ['.json', /named after no tenant/],
    ['_nothing_like_it.json', /named after no tenant/],
    ['global.json', null],
    ['lobal.jsn', /named after no tenant/],
  ]
  for (const [file, fault] of names)
    it(`called ${file} is ${fault === null ? 'that of a tenant' : 'refused'}`, () => {
      const found = faultsOf(file, '{}')
      if (fault === null) assert.deepEqual(found, [`${file}:1:1 #/tenant: is missing`])
      else assert.match(found.join(), fault)
      // no place in a file that is not read
      if (fault !== null) assert.doesNotMatch(found.join(), /:\d+:\d+ /)
    })

  const rules: [inner: string, fault: RegExp | null][] = [
    ['"egress": { "allow": ["https://api.test/x"] }', /is a URL; write the host alone: api\.test/],
    ['"egress": { "allow": ["10.0.0.0/8"] }', /ranges belong in allowCidrs or denyCidrs/],
    ['"egress": { "allow": ["a.test/x"] }', /holds a path/],
    ['"egress": { "allow": ["a.*.test"] }', /wildcard elsewhere/],
    ['"egress": { "allow": ["*a.test"] }', /wildcard elsewhere/],
    ['"egress": { "allow": ["*.127.0.0.1"] }', /wildcard|IPv4/],
    ['"egress": { "allow": ["*.[::1]"] }', /wildcard before an IP/],
    ['"egress": { "allow": ["127.1"] }', /four numbers/],
    ['"egress": { "allow": ["0x7f.0.0.1"] }', /four numbers/],
    ['"egress": { "allow": ["010.0.0.1"] }', /four numbers/],
    ['"egress": { "allow": ["[fe80::1%eth0]"] }', /character that no host has/],
    ['"egress": { "allow": ["a.test:0"] }', /no valid port/],
    ['"egress": { "allow": ["a.test:65536"] }', /no valid port/],
    ['"egress": { "allow": ["a.test:443x"] }', /no valid port/],
    ['"egress": { "allow": ["a\\u00ad.test"] }', /character that no host has/],
    ['"egress": { "allow": ["a..test"] }', /neither a host name/],
    ['"egress": { "allow": ["-a.test"] }', /neither a host name/],
    ['"egress": { "allow": [""] }', /is empty/],
    ['"egress": { "allow": [7] }', /a host, or an object with a host/],
    ['"egress": { "allow": "a.test" }', /must be a list/],
    ['"egress": { "deny": [{ "host": "a.test" }] }', /must be a string/],
    ['"egress": { "allow": [{ "host": "a.test", "methods": [] }] }', /must not be empty/],
    ['"egress": { "allow": [{ "host": "a.test", "methods": ["get"] }] }', /write GET/],
    [
      '"egress": { "allow": [{ "host": "a.test", "methods": ["*"] }] }',
      /without methods any is allowed/,
    ],
    ['"egress": { "allow": [{ "host": "a.test", "methods": ["CONNECT"] }] }', /tunnel/],
    ['"egress": { "allow": [{ "host": "a.test", "paths": ["x"] }] }', /does not begin with \//],
    ['"egress": { "allow": [{ "host": "a.test", "paths": ["/a/../b"] }] }', /ambiguous/],
    ['"egress": { "allow": [{ "host": "a.test", "paths": ["/a?x=1"] }] }', /query/],
    ['"egress": { "allow": [{ "host": "a.test", "noServerName": "allow" }] }', null],
    ['"egress": { "allow": [{ "host": "a.test", "noServerName": true }] }', /"refuse" or "allow"/],
    [
      '"egress": { "allow": [{ "host": "a.test", "noServerName": "allow", "methods": ["GET"] }] }',
      /allow\/0\/noServerName.* no effect beside methods or paths/,
    ],
    [
      '"egress": { "allow": [{ "host": "a.test", "paths": ["/a"], "noServerName": "refuse" }] }',
      /no effect beside methods or paths/,
    ],
    ['"egress": { "limits": { "burst": 5 } }', /no effect without requestsPerMinute/],
    ['"egress": { "tenantLimits": { "burst": 5 } }', /tenantLimits\/burst.* no effect without/],
    ['"egress": { "tenantLimits": { "concurrentTunnel": 5 } }', /did you mean concurrentTunnels/],
    ['"egress": { "limits": { "concurrentRequests": 0 } }', /must be 1 or more/],
    ['"egress": { "tenantLimits": { "maxBodyBytes": -1 } }', /must be 0 or more/],
    ['"egress": { "limits": { "requestsPerMinute": 0 } }', /1 or more/],
    ['"egress": { "limits": { "requestsPerMinute": 1.5 } }', /whole number/],
    ['"egress": { "agents": { "Bot": {} } }', /"Bot" is not an agent; names are lower-case/],
    ['"egress": { "agents": { "b": { "limits": { "burst": 5 } } } }', /no effect/],
    ['"delegation": { "allow": [{ "from": "globex/a", "to": "b" }] }', /of another tenant/],
    ['"delegation": { "allow": [{ "from": "a", "to": "*/b" }] }', /leaves the tenant open/],
    ['"delegation": { "allow": [{ "from": "a.acme.mesh.internal", "to": "b" }] }', /host name/],
    ['"delegation": { "allow": [{ "from": "spiffe://x/y", "to": "b" }] }', /URI/],
    [
      '"delegation": { "allow": [{ "from": "a", "to": "b", "methods": ["/p.S/M"] }] }',
      /begins with a slash/,
    ],
    [
      '"delegation": { "allow": [{ "from": "a", "to": "b", "methods": ["Do"] }] }',
      /names no service/,
    ],
    [
      '"delegation": { "allow": [{ "from": "a", "to": "b", "methods": ["p.*/M"] }] }',
      /is not package/,
    ],
    ['"delegation": { "accept": [{ "from": "*", "to": "b" }] }', /must name another tenant/],
    ['"delegation": { "accept": [{ "from": "acme/a", "to": "b" }] }', /must name another tenant/],
    ['"delegation": { "accept": [{ "from": "globex/a", "to": "globex/b" }] }', /of another tenant/],
    ['"delegation": { "agents": { "r": { "mayOriginate": "no" } } }', /true or false/],
    ['"mode": "permissive"', /must be "enforce" or "audit"/],
    ['"egress": { "allow": ["a.test", "A.test."] }', null],
  ]
  for (const [inner, fault] of rules)
    it(`${fault === null ? 'may' : 'may not'} hold ${inner}`, () => {
      const found = within(inner)
      if (fault === null) assert.deepEqual(found, [])
      else assert.match(found.join('\n'), fault)
    })

  const globals: [text: string, fault: RegExp][] = [
    ['{ "egress": { "allowCidrs": ["10.0.0.1/8"] } }', /write 10\.0\.0\.0\/8/],
    ['{ "egress": { "denyCidrs": ["fd00::1/8"] } }', /write fd00::\/8/],
    ['{ "egress": { "allowCidrs": ["0.0.0.0/0"] } }', /opens loopback and metadata/],
    ['{ "egress": { "allowCidrs": ["::/0"] } }', /opens loopback and metadata/],
    ['{ "egress": { "tls": { "ech": "grease" } } }', /must be "allow" or "refuse"/],
    [
      '{ "egress": { "tls": { "ech": "refuse", "echOuterNames": ["a.test"] } } }',
      /#\/egress\/tls\/echOuterNames: has no effect where "ech" is "refuse"/,
    ],
    ['{ "egress": { "allowCidrs": ["1.2.3.4"] } }', /1\.2\.3\.4\/32/],
    ['{ "egress": { "allowCidrs": ["1.2.3.4/33"] } }', /between 0 and 32/],
    ['{ "egress": { "allowCidrs": ["a.test/8"] } }', /IP address/],
    ['{ "egress": { "ports": [0] } }', /1 or more/],
    ['{ "egress": { "allow": ["a.test"] } }', /unknown key/],
    ['{ "delegation": { "deny": [{ "from": "planner", "to": "*" }] } }', /must name the tenant/],
    ['{ "tenant": "acme" }', /unknown key/],
  ]
  for (const [text, fault] of globals)
    it(`_global.json may not hold ${text}`, () => {
      assert.match(faultsOf('_global.json', text).join('\n'), fault)
    })

  it('with as many faults as fit is judged within a moment, and of them the first hundred are said', () => {
    const started = performance.now()
    const lines = Array.from({ length: 9_000 }, () => '{"hots":1}').join(',\n')
    const found = faultsOf('acme.json', `{ "tenant": "acme", "egress": { "allow": [${lines}] } }`)
    assert.equal(found.length, 101)
    assert.match(found[100] ?? '', /more than 100 faults; these are the first/)
    assert.match(found[1] ?? '', /unknown key; did you mean host$/)
    assert.ok(performance.now() - started < 5000)
  })

  it('is good with its document, and broken by one fault of any kind', () => {
    const kindOf = (file: string, text: string) => readPolicyFile(file, Buffer.from(text)).kind
    const reading = readPolicyFile('acme.json', Buffer.from('{"tenant":"acme","mode":"audit"}'))
    assert.deepEqual(reading, {
      ...{ kind: 'tenant', file: 'acme.json' },
      document: { tenant: 'acme', mode: 'audit' },
    })
    assert.equal(kindOf('_global.json', '{}'), 'global')
    // of the text alone, of the schema alone, between the parts alone
    assert.equal(kindOf('acme.json', '{"tenant":"acme","tenant":"acme"}'), 'broken')
    assert.equal(kindOf('acme.json', '{"tenant":"acme","mode":"x"}'), 'broken')
    assert.equal(kindOf('acme.json', '{"tenant":"globex"}'), 'broken')
    assert.equal(kindOf('acme.json', '{"tenant":"acme"'), 'broken')
  })

  it('tells a fault at the place of the key, of a missing one at that of its object', () => {
    assert.deepEqual(faults('\n {}'), ['acme.json:2:2 #/tenant: is missing'])
    assert.deepEqual(faults(' []'), ['acme.json:1:2: must be an object, not a list'])
    assert.deepEqual(within('"egress": {\n"allow": [\n{}] }'), [
      'acme.json:3:1 #/egress/allow/0/host: is missing',
    ])
    // in the order of the text, whoever finds them
    assert.deepEqual(
      faults('{ "mode": "x", "mode": "audit", "tenant": "globex", "mod": 1 }').map(
        (fault) => fault.split(': ')[0],
      ),
      ['acme.json:1:16 #/mode', 'acme.json:1:33 #/tenant', 'acme.json:1:53 #/mod'],
    )
  })

  it('with a hundred faults has them all said, and with more that there are more', () => {
    const keys = (count: number) =>
      Array.from({ length: count }, (_, n) => `"zzzz${n}":1`).join(',\n')
    const unknown = (count: number) => faults(`{"tenant":"acme",${keys(count)}}`)
    assert.equal(unknown(100).length, 100)
    assert.doesNotMatch(unknown(100).join('\n'), /more than/)
    assert.equal(unknown(101).length, 101)
    assert.equal(unknown(101)[100], 'acme.json:101:1: more than 100 faults; these are the first')
    const foreign = (count: number) =>
      within(
        `"delegation":{"allow":[${Array.from({ length: count }, () => '{"from":"b/c","to":"d"}').join(',\n')}]}`,
      )
    assert.equal(foreign(100).length, 100)
    assert.doesNotMatch(foreign(100).join('\n'), /more than/)
    assert.match(foreign(101)[100] ?? '', /:101:2: more than 100 faults/)
    const twice = (count: number) =>
      faults(`{"tenant":"acme"${',\n"mode":"audit"'.repeat(count + 1)}}`)
    assert.equal(twice(100).length, 100)
    assert.doesNotMatch(twice(100).join('\n'), /more than/)
    assert.match(twice(101)[100] ?? '', /: more than 100 faults/)
  })

  it('shows nothing that moves the cursor, turns the direction of text or cannot be seen', () => {
    const text = '{ "tenant": "acme", "egress": { "allow": ["\u202egpj.a.test", "b\u200b.test"] } }'
    const found = faults(text).join('|')
    assert.doesNotMatch(found, /[\p{Cc}\p{Cf}]/u)
    assert.match(found, /\?gpj\.a\.test/)
  })

  it('shows keys without the control characters in them', () => {
    const found = faults('{ "tenant": "acme", "\\u001b[2J\\n": 1 }').join('|')
    assert.match(found, /#\/\?\[2J\?: unknown key/)
  })

  it('whatever its bytes, is judged without throwing', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.json(), (bytes, json) => {
        assert.equal(readPolicyFile('acme.json', bytes).kind, 'broken')
        readPolicyFile('acme.json', Buffer.from(json))
        readPolicyFile(
          'acme.json',
          Buffer.from(`{"tenant":"acme","egress":${json},"delegation":${json}}`),
        )
      }),
      { numRuns: 300 },
    )
  })

  it('is read as JSON.parse reads it, where that is strict enough', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 8 }), (json) => {
        if (json.includes('__proto__')) return
        assert.deepEqual(readStrictJson(Buffer.from(json)).value, JSON.parse(json))
      }),
      { numRuns: 500 },
    )
  })
})
