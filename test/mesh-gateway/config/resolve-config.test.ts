import assert from 'node:assert/strict'
import { MeshError } from '@clawmesh/proto'
import fc from 'fast-check'
import { formatConfig } from '../../../mesh-gateway/src/config/format-config.ts'
import { resolveConfig } from '../../../mesh-gateway/src/config/resolve-config.ts'
import { FILE_SETTINGS, SETTINGS } from '../../../mesh-gateway/src/config/settings.ts'

const least = {
  trustDomain: 'mesh.internal',
  identity: { dir: 'identity' },
  policy: { dir: '/etc/policy' },
  keys: { dir: 'keys' },
}

describe('the configuration', () => {
  const resolve = (
    value: unknown,
    env: Record<string, string> = {},
    flags: Record<string, string> = {},
  ) =>
    resolveConfig({
      file:
        value === undefined
          ? null
          : {
              path: 'conf/gateway.json',
              bytes: Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)),
            },
      env,
      flags,
      cwd: '/srv',
    })
  const faultsOf = (...args: Parameters<typeof resolve>): string[] => {
    try {
      resolve(...args)
    } catch (error) {
      assert.ok(error instanceof MeshError)
      assert.equal(error.code, 'MESH_CONFIG_INVALID')
      return error.message
        .split('\n')
        .slice(1)
        .map((line) => line.trim())
    }
    return []
  }

  it('has the defaults of the contract', () => {
    const { config } = resolve(least)
    assert.deepEqual(config.egress.listen, { host: '127.0.0.1', port: 8080 })
    assert.deepEqual(config.delegation.listen, { host: '127.0.0.1', port: 8443 })
    assert.deepEqual(config.admin.listen, { host: '127.0.0.1', port: 9090 })
    assert.equal(config.meshDomain, 'mesh.internal')
    assert.equal(config.drainMs, 30_000)
    assert.equal(config.tokens.ttlMs, 15 * 60_000)
    assert.equal(config.tokens.maxTtlMs, 60 * 60_000)
    assert.equal(config.tokens.issuer, 'https://gateway.mesh.internal')
    assert.deepEqual(config.timeouts, {
      dnsMs: 5000,
      dialMs: 10_000,
      headerMs: 10_000,
      idleTunnelMs: 300_000,
      answerMs: 900_000,
    })
    assert.equal(config.audit.file, 'stdout')
  })

  it('takes flags over environment over file, and paths relative to where they were named', () => {
    const { config } = resolve(
      { ...least, drainMs: '5s', tokens: { ttlMs: 60_000 } },
      {
        MESH_DRAIN_MS: '6s',
        MESH_KEYS_DIR: 'from-env',
        MESH_DELEGATION_NAMES: 'a.example, b.example',
        MESH_AUDIT_FILE: '',
      },
      { 'drain-ms': '7s' },
    )
    assert.equal(config.drainMs, 7000)
    assert.equal(config.tokens.ttlMs, 60_000)
    assert.equal(config.identity.dir, '/srv/conf/identity')
    assert.equal(config.policy.dir, '/etc/policy')
    assert.equal(config.keys.dir, '/srv/from-env')
    assert.deepEqual(config.delegation.names, ['a.example', 'b.example'])
    assert.equal(config.audit.file, 'stdout')
  })

  it('tells every fault at once, with the key and where it came from', () => {
    const faults = faultsOf(
      {
        ...least,
        trustDomain: 'MESH',
        egress: { listn: 'x' },
        polcy: {},
        tokens: { ttlMs: -1 },
        drainMs: true,
      },
      { MESH_ADMIN_LISTEN: '9090', MESH_IDENTITY_DIRR: 'x' },
      { 'delegation-listen': '127.0.0.1:99999', 'log-level': 'loud' },
    )
    const expected = [
      'MESH_IDENTITY_DIRR: no such variable; did you mean MESH_IDENTITY_DIR',
      'trustDomain (conf/gateway.json): must be a lower-case DNS name, e.g. mesh.internal',
      'egress.listn (conf/gateway.json): unknown key; did you mean listen',
      'polcy (conf/gateway.json): unknown key; did you mean policy',
      'tokens.ttlMs (conf/gateway.json): must be from 1000 to 86400000 milliseconds',
      'drainMs (conf/gateway.json): must be a time: 15m, 30s, or a number of milliseconds',
      'admin.listen (MESH_ADMIN_LISTEN): must be host:port, e.g. 127.0.0.1:9090',
      'delegation.listen (--delegation-listen): has a port above 65535',
      'log.level (--log-level): must be debug, info, warn or error',
    ]
    assert.deepEqual(faults.toSorted(), expected.toSorted())
  })

  it('says how to give what is missing', () => {
    assert.deepEqual(faultsOf(undefined, { MESH_POLICY_DIR: 'p', MESH_IDENTITY_DIR: 'i' }), [
      'trustDomain: missing; set it in the file, by MESH_TRUST_DOMAIN or by --trust-domain',
      'keys.dir: missing; set it in the file, by MESH_KEYS_DIR or by --keys-dir',
    ])
  })

  it('finds the section that a key belongs to', () => {
    assert.deepEqual(faultsOf({ ...least, maxTtlMs: 5 }), [
      'maxTtlMs (conf/gateway.json): unknown key; did you mean tokens.maxTtlMs',
    ])
  })

  it('refuses a section that is no object, JSON that is none, a key that stands there twice, and __proto__', () => {
    assert.match(faultsOf({ ...least, egress: 5 })[0] ?? '', /^egress \(conf\/gateway\.json\): /)
    assert.match(faultsOf('{ "a": 1,')[0] ?? '', /^conf\/gateway\.json:1:\d+: /)
    assert.match(faultsOf('[]')[0] ?? '', /must hold one JSON object/)
    assert.match(faultsOf('{"drainMs":1,"drainMs":2}')[0] ?? '', /^conf\/gateway\.json:1:\d+: /)
    const text = JSON.stringify(least).replace('{', '{"__proto__":{"drainMs":1},')
    assert.ok(faultsOf(text).length > 0)
    assert.ok(faultsOf('').length > 0)
  })

  it('refuses two listeners on one address, and tokens that may outlive their longest life', () => {
    assert.deepEqual(
      faultsOf({ ...least, egress: { listen: '127.0.0.1:8443' }, tokens: { ttlMs: '2h' } }),
      [
        'tokens.ttlMs (conf/gateway.json): is more than tokens.maxTtlMs',
        'delegation.listen (conf/gateway.json): is the same address as egress.listen',
      ],
    )
  })

  it('takes a Redis without credentials in its URL, and refuses what would have no effect', () => {
    const { config } = resolve(
      { ...least, limits: { redis: null } },
      { MESH_LIMITS_REDIS_URL: 'rediss://redis.internal:6380/2' },
    )
    assert.equal(config.limits.redis.url, 'rediss://redis.internal:6380/2')
    assert.equal(config.limits.whenRedisIsAway, 'refuse')
    const faults = (redis: object) => faultsOf({ ...least, limits: { redis } })
    assert.match(faults({ url: 'redis://:hunter2@host' })[0] ?? '', /passwordFile/)
    assert.ok(faults({ url: 'redis://:hunter2@host' }).every((one) => !one.includes('hunter2')))
    for (const url of ['host:6379', 'http://host', 'redis://', 'redis://host?x=1'])
      assert.equal(faults({ url }).length, 1, url)
    assert.match(faults({ url: 'redis://host', caFile: 'ca.pem' })[0] ?? '', /no effect/)
    assert.match(faults({ passwordFile: 'secret' })[0] ?? '', /no effect/)
  })

  it('exports no spans unless told where to, and sends a token over TLS or not beyond this machine', () => {
    assert.deepEqual(resolve(least).config.traces, {
      ...{ url: null, caFile: null, tokenFile: null, ratio: 1 },
    })
    const url = 'http://127.0.0.1:4318/v1/traces'
    const { config } = resolve(
      { ...least, traces: { url, tokenFile: 'token' } },
      { MESH_TRACES_RATIO: '0.25' },
    )
    assert.deepEqual(config.traces, {
      ...{ url, caFile: null, tokenFile: '/srv/conf/token', ratio: 0.25 },
    })
    const faults = (traces: object) => faultsOf({ ...least, traces })
    for (const bad of ['collector:4318', 'ftp://host/v1/traces', 'http://host', 'http:///v1'])
      assert.equal(faults({ url: bad }).length, 1, bad)
    assert.ok(faults({ url: 'http://u:hunter2@host/x' }).every((one) => !one.includes('hunter2')))
    const elsewhere = 'http://collector.example/v1/traces'
    assert.match(faults({ url: elsewhere, tokenFile: 't' })[0] ?? '', /needs https/)
    assert.match(faults({ url: elsewhere, caFile: 'c' })[0] ?? '', /no effect/)
    assert.match(faults({ tokenFile: 't' })[0] ?? '', /no effect/)
    for (const ratio of [-1, 1.5, 'half', '1.2.3']) assert.equal(faults({ url, ratio }).length, 1)
  })

  it('warns of other MESH_ variables, and leaves those of other tools and of Kubernetes alone', () => {
    const { warnings } = resolve(least, {
      MESH_FAVOURITE_COLOUR: 'red',
      MESH_PKI_PASSPHRASE: 'x',
      MESH_NO_NODE_PATCHES: '1',
      MESH_GATEWAY_SERVICE_HOST: '10.0.0.1',
      MESH_GATEWAY_PORT_8080_TCP_ADDR: '10.0.0.1',
    })
    assert.deepEqual(warnings, [
      'MESH_FAVOURITE_COLOUR is no setting of the gateway and is not used',
    ])
  })

  it('never repeats a value that may be a secret', () => {
    const secret = '-----BEGIN PRIVATE KEY-----MIGHAgEAMBMG'
    const faults = faultsOf(
      { ...least, trustDomain: secret, log: { level: secret }, egress: { listen: secret } },
      { MESH_DRAIN_MS: secret },
    )
    assert.ok(faults.length >= 4)
    assert.ok(!faults.join().includes('MIGH'))
  })

  it('is shown in a form that a file can have, and reads back the same', () => {
    const { config } = resolve({
      ...least,
      egress: { listen: '[::1]:8080' },
      dns: { servers: ['10.0.0.2', '[fd00::2]:53'] },
    })
    assert.deepEqual(resolve(formatConfig(config)).config, config)
  })

  it('has a variable and a flag for every setting, and no two alike', () => {
    assert.equal(new Set(SETTINGS.map((one) => one.env)).size, SETTINGS.length)
    assert.equal(new Set(SETTINGS.map((one) => one.flag)).size, SETTINGS.length)
    const { config } = resolve(least)
    const leaves = (value: object, prefix = ''): string[] =>
      Object.entries(value).flatMap(([key, inner]) =>
        typeof inner === 'object' && inner !== null && !Array.isArray(inner) && key !== 'listen'
          ? leaves(inner, `${prefix}${key}.`)
          : [`${prefix}${key}`],
      )
    const known = [...SETTINGS, ...FILE_SETTINGS].map((one) => one.key)
    assert.deepEqual(leaves(config).toSorted(), known.toSorted())
  })

  describe('of peers that no DNS knows', () => {
    const peers = (value: unknown, more: object = {}) =>
      resolve({ ...least, delegation: { peers: value, ...more } }).config.delegation.peers
    const faults = (value: unknown, more: object = {}) =>
      faultsOf({ ...least, delegation: { peers: value, ...more } }).map((line) =>
        line.replace('delegation.peers', '').replace(' (conf/gateway.json)', ''),
      )
    const NAME = 'b.acme.mesh.internal'

    it('takes one address or several of each name, in one spelling', () => {
      assert.equal(resolve(least).config.delegation.peers, null)
      assert.equal(peers(null), null)
      assert.deepEqual(peers({}), {})
      assert.deepEqual(
        peers({
          [NAME]: '10.0.0.7:7443',
          'c.acme.mesh.internal': ['[FD00:0::7]:1', '[::ffff:10.0.0.8]:65535', 'build-box:7443'],
        }),
        {
          [NAME]: ['10.0.0.7:7443'],
          'c.acme.mesh.internal': ['[fd00::7]:1', '10.0.0.8:65535', 'build-box:7443'],
        },
      )
      const { config } = resolve(least, {
        MESH_DELEGATION_PEERS: `${NAME}=10.0.0.7:1, c.acme.mesh.internal=[fd00::7]:1,${NAME}=box:2`,
      })
      assert.deepEqual(config.delegation.peers, {
        [NAME]: ['10.0.0.7:1', 'box:2'],
        'c.acme.mesh.internal': ['[fd00::7]:1'],
      })
      assert.deepEqual(resolve(formatConfig(config)).config, config)
    })

    it('refuses names that are no peer of this mesh, or the gateway', () => {
      const form = 'must be a full peer name, <agent>.<tenant>.mesh.internal, in lower case'
      for (const name of [
        ...['b', 'b.mesh.internal', 'a.b.acme.mesh.internal', 'b.acme.other.internal', ''],
        ...['B.acme.mesh.internal', `${NAME}.`, `${NAME}:7443`, '*.acme.mesh.internal', '10.0.0.1'],
      ])
        assert.deepEqual(faults({ [name]: '10.0.0.7:1' }), [`.${name}: ${form}`], name)
      assert.deepEqual(faults({ 'acme/b': '10.0.0.7:1' }), [
        `.acme/b: must be the full name, ${NAME}`,
      ])
      assert.deepEqual(faults({ [NAME]: '10.0.0.7:1' }, { names: [NAME] }), [
        `.${NAME}: is a name of the gateway itself, in delegation.names`,
      ])
      const source = { MESH_DELEGATION_PEERS: 'b=10.0.0.7:1' }
      assert.deepEqual(faultsOf(least, source), [
        `delegation.peers.b (MESH_DELEGATION_PEERS): ${form}`,
      ])
    })

    it('refuses what is no address of one machine, each with its place', () => {
      const host = 'must have an IP address or a lower-case host name before the port'
      const form = 'must be host:port, e.g. 10.0.0.7:7443 or [fd00::7]:7443'
      const port = 'must have a port from 1 to 65535'
      const one = 'must not be an unspecified, multicast or broadcast address'
      const brackets = 'must have an IPv6 address in its brackets, without a zone'
      for (const [address, message] of [
        ...[
          5,
          null,
          {},
          '',
          '10.0.0.7',
          ':1',
          'x:',
          'fd00::7:1',
          'http://x:1',
          'x:1/',
          'x:-1',
          'x:1 ',
        ].map((text) => [text, text === ':1' ? host : form] as const),
        ...(['x:0', '10.0.0.7:65536', '[fd00::7]:99999'] as const).map(
          (text) => [text, port] as const,
        ),
        ...(
          ['0.0.0.0:1', '[::]:1', '224.0.0.1:1', '[ff02::1]:1', '255.255.255.255:1'] as const
        ).map((text) => [text, one] as const),
        ...(['[10.0.0.7]:1', '[fe80::1%eth0]:1', '[x]:1', '[]:1'] as const).map(
          (text) => [text, brackets] as const,
        ),
        ...(
          [
            '010.0.0.7:1',
            '0x7f.1:1',
            '2130706433:1',
            '1.2.3:1',
            'Box:1',
            'a_b:1',
            'user@x:1',
          ] as const
        ).map((text) => [text, host] as const),
      ])
        assert.deepEqual(faults({ [NAME]: address }), [`.${NAME}: ${message}`], String(address))
      assert.deepEqual(faults({ [NAME]: ['10.0.0.7:1', 'x:0', '[::ffff:10.0.0.7]:1'] }), [
        `.${NAME}.1: ${port}`,
        `.${NAME}.2: is given twice`,
      ])
      assert.deepEqual(faults({ [NAME]: [] }), [`.${NAME}: must have one address at least`])
      const many = Array.from({ length: 65 }, (_, index) => `10.0.0.7:${index + 1}`)
      assert.deepEqual(faults({ [NAME]: many }), [`.${NAME}: must have 64 addresses at most`])
    })

    it('refuses what is no map of names, and a name that stands there twice', () => {
      const object = 'must be an object of peer names, each with an address or a list of addresses'
      for (const value of [[], 5, true]) assert.deepEqual(faults(value), [`: ${object}`])
      for (const text of ['x', `${NAME}=`, `=10.0.0.7:1`, `${NAME}=10.0.0.7:1,`])
        assert.deepEqual(faults(text), [': must be name=host:port, and further ones after commas'])
      const twice = JSON.stringify({ ...least, delegation: { peers: { [NAME]: 'x:1' } } }).replace(
        '"x:1"',
        `"x:1","${NAME}":"y:1"`,
      )
      assert.match(faultsOf(twice)[0] ?? '', /^conf\/gateway\.json:1:\d+: /)
      const many = Array.from({ length: 10_001 }, (_, n) => [`b${n}.acme.mesh.internal`, 'x:1'])
      assert.deepEqual(faults(Object.fromEntries(many)), [': must have 10000 names at most'])
    })
  })

  describe('of other issuers of tokens', () => {
    const entry = {
      issuer: 'https://login.example',
      jwksUri: 'https://login.example/keys',
      tenants: ['acme'],
    }
    const withIssuers = (issuers: unknown, more: object = {}) => ({
      ...least,
      tokens: { issuers, ...more },
    })
    const whole = {
      issuer: entry.issuer,
      jwksUri: entry.jwksUri,
      caFile: null,
      tokenFile: null,
      audience: 'clawmesh-egress',
      algorithms: [
        ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
        ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
      ],
      tenants: ['acme'],
      fixedTenant: null,
      claims: { tenant: 'tenant', agent: 'agent_id', destinations: 'allowed_destinations' },
      destinations: 'claim',
      maxTtlMs: null,
    }

    it('names files beside the configuration', () => {
      const files = { caFile: 'ca.crt', tokenFile: '/run/token' }
      const [found] = resolve(withIssuers([{ ...entry, ...files }])).config.tokens.issuers
      assert.deepEqual([found?.caFile, found?.tokenFile], ['/srv/conf/ca.crt', '/run/token'])
      const empty = faultsOf(withIssuers([{ ...entry, caFile: '', tokenFile: 7 }]))
      assert.equal(empty.length, 2)
    })

    it('has narrow defaults, and names every key of an entry', () => {
      assert.deepEqual(resolve(least).config.tokens.issuers, [])
      assert.deepEqual(resolve(withIssuers([entry])).config.tokens.issuers, [whole])
      const keys = Object.entries(whole).flatMap(([key, value]) =>
        key === 'claims' ? Object.keys(value ?? {}).map((name) => `claims.${name}`) : [key],
      )
      assert.deepEqual(
        FILE_SETTINGS.map((one) => one.entry.toSorted()),
        [keys.toSorted()],
      )
    })

    it('prints what a file could hold', () => {
      const { config } = resolve(
        withIssuers([
          entry,
          {
            ...{ ...entry, issuer: 'kubernetes', jwksUri: 'http://[::1]:8001/openid/v1/jwks?x=1' },
            ...{ fixedTenant: 'acme', destinations: 'policy', maxTtlMs: '12h' },
            claims: { agent: '/kubernetes.io/serviceaccount/name' },
            algorithms: ['RS256'],
          },
        ]),
      )
      assert.equal(config.tokens.issuers[1]?.maxTtlMs, 43_200_000)
      assert.deepEqual(resolve(formatConfig(config)).config, config)
    })

    it('tells every fault with the place in the list', () => {
      const faults = faultsOf(
        withIssuers([
          { ...entry, tenant: 'acme', claims: { agnt: 'x', agent: '/~' } },
          {
            ...{ issuer: '', jwksUri: 'http://login.example/keys', algorithms: ['HS256'] },
            ...{ tenants: ['Acme'], destinations: 'all', maxTtlMs: '25h' },
          },
          { jwksUri: 'https://u:p@login.example/', tenants: [], algorithms: [] },
          'https://login.example',
        ]),
      )
      const file = '(conf/gateway.json): '
      assert.deepEqual(
        faults.toSorted(),
        [
          `tokens.issuers.0.claims.agent ${file}is no JSON pointer: ~ is written ~0 in one, and / within a name ~1`,
          `tokens.issuers.0.claims.agnt ${file}unknown key; did you mean agent`,
          `tokens.issuers.0.tenant ${file}unknown key; did you mean tenants`,
          `tokens.issuers.1.algorithms.0 ${file}must be one of ${whole.algorithms.join(', ')}`,
          `tokens.issuers.1.destinations ${file}must be claim or policy`,
          `tokens.issuers.1.issuer ${file}must not be empty`,
          `tokens.issuers.1.jwksUri ${file}must be https; http is for loopback hosts alone`,
          `tokens.issuers.1.maxTtlMs ${file}must be from 1000 to 86400000 milliseconds`,
          `tokens.issuers.1.tenants.0 ${file}must be a lower-case DNS label, e.g. acme`,
          `tokens.issuers.2.algorithms ${file}must name one at least`,
          `tokens.issuers.2.issuer ${file}is missing: the iss of its tokens`,
          `tokens.issuers.2.jwksUri ${file}must not carry credentials`,
          `tokens.issuers.2.tenants ${file}must name one tenant at least`,
          `tokens.issuers.3 ${file}must be an object, not a string`,
        ].toSorted(),
      )
      assert.deepEqual(faultsOf(withIssuers('https://login.example')), [
        `tokens.issuers ${file}must be a list of issuers`,
      ])
      assert.deepEqual(faultsOf({ ...least, issuers: [] }), [
        `issuers ${file}unknown key; did you mean tokens.issuers`,
      ])
    })

    it('needs the tenants that each may speak for', () => {
      for (const tenants of [undefined, null, '*', [], ['*']])
        assert.equal(faultsOf(withIssuers([{ ...entry, tenants }])).length, 1, String(tenants))
    })

    it('takes no URL by which somebody on the way could give it keys', () => {
      for (const jwksUri of ['http://127.0.0.1:1/', 'http://localhost/k', 'https://10.0.0.1/k'])
        assert.deepEqual(faultsOf(withIssuers([{ ...entry, jwksUri }])), [], jwksUri)
      for (const jwksUri of [
        ...['http://127.0.0.1.evil.example/', 'http://localhost.evil.example/', 'http://[::2]/'],
        ...['http://10.0.0.1/', 'file:///keys', 'ftp://x/', 'keys', '//x/y', 'https://x/#y'],
      ])
        assert.equal(faultsOf(withIssuers([{ ...entry, jwksUri }])).length, 1, jwksUri)
    })

    it('takes no two that are alike, nor the gateway itself', () => {
      const own = { ...entry, issuer: 'https://gateway.mesh.internal' }
      assert.deepEqual(faultsOf(withIssuers([entry, own, entry])), [
        'tokens.issuers.1.issuer (conf/gateway.json): is tokens.issuer, the gateway itself',
        'tokens.issuers.2.issuer (conf/gateway.json): is the same as tokens.issuers.0.issuer',
      ])
    })

    it('takes nothing that would have no effect', () => {
      const faults = (more: object) =>
        faultsOf(withIssuers([{ ...entry, ...more }])).map((line) =>
          line.replace('tokens.issuers.0.', '').replace(' (conf/gateway.json)', ''),
        )
      assert.deepEqual(faults({ fixedTenant: 'acme', claims: { tenant: 'tid' } }), [
        'claims.tenant: has no effect with fixedTenant',
      ])
      for (const tenants of [['globex'], ['acme', 'globex']])
        assert.deepEqual(faults({ fixedTenant: 'acme', tenants }), [
          'fixedTenant: must be the one tenant in tenants',
        ])
      assert.deepEqual(faults({ destinations: 'policy', claims: { destinations: 'to' } }), [
        'claims.destinations: has no effect with destinations: policy',
      ])
    })
  })

  it('of any JSON is read or refused with MESH_CONFIG_INVALID, never anything else', () => {
    fc.assert(
      fc.property(
        fc.json(),
        fc.dictionary(fc.constantFrom(...SETTINGS.map((one) => one.env)), fc.string()),
        (text, env) => {
          faultsOf(text, env)
        },
      ),
      { numRuns: 200 },
    )
  })
})
