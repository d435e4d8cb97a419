/** Each fault that a schema finds in a policy file, with its place and what was probably meant. */
import assert from 'node:assert/strict'
import { z } from 'zod'
import { globalSchema, tenantSchema } from '../../../../mesh-gateway/src/policy/read/schema.ts'
import { schemaFaults } from '../../../../mesh-gateway/src/policy/read/schema-faults.ts'

function faultsOf(value: unknown, schema: z.ZodType = tenantSchema, most = 100): string[] {
  const { error } = schema.safeParse(value)
  return error === undefined
    ? []
    : schemaFaults(schema, error, value, most).map(
        ({ pointer, message }) => `${pointer}: ${message}`,
      )
}
const acme = (more: object) => faultsOf({ tenant: 'acme', ...more })
const HOST = 'must be a host, or an object with a host'

describe('a fault of a policy file', () => {
  const table: [what: string, more: object, faults: string[]][] = [
    ['none', { mode: 'audit' }, []],
    [
      'a name that is no label',
      { tenant: 'Acme' },
      ['/tenant: "Acme" is not a lower-case DNS label'],
    ],
    ['a key that is nearly known', { mod: 'audit' }, ['/mod: unknown key; did you mean mode']],
    [
      'a key that is nothing like one',
      { zzzzzz: 1 },
      ['/zzzzzz: unknown key; known here: tenant, mode, egress, delegation'],
    ],
    [
      'a key of a rule',
      { egress: { allow: ['a.test', { host: 'a.test', zzzzzz: 1 }] } },
      [
        '/egress/allow/1/zzzzzz: unknown key; known here: host, methods, paths, scheme, noServerName',
      ],
    ],
    [
      'a key of an agent',
      { egress: { agents: { a: { zzzzzz: 1 } } } },
      ['/egress/agents/a/zzzzzz: unknown key; known here: mode, allow, deny, limits'],
    ],
    [
      'several keys, with what a pointer escapes',
      { 'a/b~': 1, egress: { denny: [], alow: [] } },
      [
        '/egress/denny: unknown key; did you mean deny',
        '/egress/alow: unknown key; did you mean allow',
        '/a~1b~0: unknown key; known here: tenant, mode, egress, delegation',
      ],
    ],
    ['null for a host', { egress: { allow: [null] } }, [`/egress/allow/0: ${HOST}`]],
    ['a list for a host', { egress: { allow: [['a.test']] } }, [`/egress/allow/0: ${HOST}`]],
    ['a number for a host', { egress: { allow: [7] } }, [`/egress/allow/0: ${HOST}`]],
    [
      'a text that is no host',
      { egress: { allow: ['a.test', 'a.test:0'] } },
      ['/egress/allow/1: "a.test:0" has no valid port after the colon'],
    ],
    ['an object without a host', { egress: { allow: [{}] } }, ['/egress/allow/0/host: is missing']],
    [
      'an empty list of methods',
      { egress: { allow: [{ host: 'a.test', methods: [] }] } },
      ['/egress/allow/0/methods: must not be empty; leave it out for any'],
    ],
    [
      'a limit of none',
      { egress: { limits: { requestsPerMinute: 0 } } },
      ['/egress/limits/requestsPerMinute: must be 1 or more'],
    ],
    [
      'a port that is none of a rule',
      { egress: { allow: [{ host: 'a.test:0' }] } },
      ['/egress/allow/0/host: "a.test:0" has no valid port after the colon'],
    ],
  ]
  for (const [what, more, faults] of table)
    it(`is said with its place: ${what}`, () => {
      assert.deepEqual(acme(more), faults)
    })

  it('is none in a file whose values are at their bounds', () => {
    const hops = (maxHops: number) => acme({ delegation: { maxHops } })
    assert.deepEqual([hops(0), hops(64)], [[], []])
    assert.deepEqual(hops(-1), ['/delegation/maxHops: must be 0 or more'])
    assert.deepEqual(hops(65), ['/delegation/maxHops: must be 64 or less'])
    const limit = (burst: number) =>
      acme({ egress: { limits: { requestsPerMinute: burst, maxBodyBytes: 0 } } })
    assert.deepEqual([limit(1), limit(1_000_000_000)], [[], []])
    assert.deepEqual(limit(1_000_000_001), [
      '/egress/limits/requestsPerMinute: must be 1000000000 or less',
    ])
    const ports = (...list: number[]) => faultsOf({ egress: { ports: list } }, globalSchema)
    assert.deepEqual(ports(1, 65_535), [])
    assert.deepEqual(ports(0, 65_536), [
      '/egress/ports/0: must be 1 or more',
      '/egress/ports/1: must be 65535 or less',
    ])
    assert.deepEqual(acme({ $schema: 'x'.repeat(2048) }), [])
    assert.deepEqual(acme({ $schema: 'x'.repeat(2049) }), [
      '/$schema: must have 2048 characters or fewer',
    ])
  })

  it('is what each kind of text says is wrong with it', () => {
    const allow = (rule: object) => acme({ egress: { allow: [{ host: 'a.test', ...rule }] } })
    assert.deepEqual(allow({ paths: ['/v1/**'] }), [])
    assert.deepEqual(allow({ paths: ['v1'] }), [
      '/egress/allow/0/paths/0: "v1" does not begin with /',
    ])
    const call = (rule: object) =>
      acme({ delegation: { allow: [{ from: 'a', to: 'b', ...rule }] } })
    assert.deepEqual(call({ methods: ['p.S/M'] }), [])
    assert.deepEqual(call({ methods: ['M'] }), [
      '/delegation/allow/0/methods/0: "M" names no service; write package.Service/Method, package.Service/* or *',
    ])
    assert.deepEqual(call({ to: 'a/b/c' }), [
      '/delegation/allow/0/to: "a/b/c" has more than one slash; write tenant/agent',
    ])
    const cidrs = (text: string) => faultsOf({ egress: { denyCidrs: [text] } }, globalSchema)
    assert.deepEqual(cidrs('10.0.0.0/8'), [])
    assert.deepEqual(cidrs('10.0.0.1/8').length, 1)
  })

  const methods: [method: string, fault: string | null][] = [
    ['GET', null],
    ['M-SEARCH', null],
    ['get', 'is not upper case; write GET'],
    ['gEt', 'is not upper case; write GET'],
    ['m-search', 'is not an HTTP method'],
    ['GET ', 'is not an HTTP method'],
    [' GET', 'is not an HTTP method'],
    ['GET1', 'is not an HTTP method'],
    ['1GET', 'is not an HTTP method'],
    ['get1', 'is not an HTTP method'],
    ['1get', 'is not an HTTP method'],
    ['-GET', 'is not an HTTP method'],
    ['GET-', 'is not an HTTP method'],
    ['', 'is not an HTTP method'],
    ['*', 'is not a method; without methods any is allowed'],
    ['CONNECT', 'opens a tunnel, whose methods nobody sees; write the host alone'],
  ]
  for (const [method, fault] of methods)
    it(`is the method ${JSON.stringify(method)}: ${fault ?? 'no, it is good'}`, () => {
      assert.deepEqual(
        acme({ egress: { allow: [{ host: 'a.test', methods: [method] }] } }),
        fault === null ? [] : [`/egress/allow/0/methods/0: ${JSON.stringify(method)} ${fault}`],
      )
    })

  it('shows eighty characters of a text', () => {
    const [fault] = acme({ egress: { deny: [`${'a'.repeat(90)}/`] } })
    assert.equal(
      fault,
      `/egress/deny/0: "${'a'.repeat(80)}" holds a path; write { "host": …, "paths": […] } instead`,
    )
  })

  it('is an outer name that is no DNS name, and no other', () => {
    const of = (name: string) =>
      faultsOf({ egress: { tls: { echOuterNames: [name] } } }, globalSchema)
    assert.deepEqual(of('cloudflare-ech.com'), [])
    for (const name of ['A.test', 'a_b.test/', '*.a.test', ''])
      assert.deepEqual(of(name), [
        `/egress/tls/echOuterNames/0: ${JSON.stringify(name)} is not a lower-case DNS name`,
      ])
  })

  it('of a key where none is known names none', () => {
    assert.deepEqual(faultsOf({ a: 1 }, z.strictObject({})), ['/a: unknown key'])
    assert.deepEqual(faultsOf({ zzzzzz: 1 }, z.strictObject({ $schema: z.string().optional() })), [
      '/zzzzzz: unknown key',
    ])
    assert.deepEqual(faultsOf({ zzzzzz: 1 }, z.strictObject({ ab: z.string().optional() })), [
      '/zzzzzz: unknown key; known here: ab',
    ])
  })

  it('is one of so many at most', () => {
    const wrong = {
      tenant: 'acme',
      egress: { zzzzzz: 1, yyyyyy: 1 },
      delegation: { zzzzzz: 1, yyyyyy: 1 },
    }
    assert.equal(faultsOf(wrong).length, 4)
    assert.equal(faultsOf(wrong, tenantSchema, 4).length, 4)
    assert.deepEqual(
      faultsOf(wrong, tenantSchema, 3).map((fault) => fault.split(':')[0]),
      ['/egress/zzzzzz', '/egress/yyyyyy', '/delegation/zzzzzz'],
    )
    assert.equal(faultsOf(wrong, tenantSchema, 1).length, 1)
  })
})
