import assert from 'node:assert/strict'
import { MeshError } from '@clawmesh/proto'
import fc from 'fast-check'
import { formatConfig } from '../../../mesh-gateway/src/config/format-config.ts'
import { resolveConfig } from '../../../mesh-gateway/src/config/resolve-config.ts'
import { SETTINGS } from '../../../mesh-gateway/src/config/settings.ts'

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

  it('warns of other MESH_ variables, and leaves those of other tools and of Kubernetes alone', () => {
    const { warnings } = resolve(least, {
      MESH_FAVOURITE_COLOUR: 'red',
      MESH_PKI_PASSPHRASE: 'x',
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
    assert.deepEqual(leaves(config).toSorted(), SETTINGS.map((one) => one.key).toSorted())
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
