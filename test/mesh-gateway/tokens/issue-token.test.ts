import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { createSpiffeTemplate, MeshError } from '@clawmesh/proto'
import { decodeProtectedHeader, jwtVerify } from 'jose'
import { certificateClaim } from '../../../mesh-gateway/src/tokens/certificate-claim.ts'
import {
  createTokenIssuer,
  type TokenIssuerOptions,
  type TokenRequest,
} from '../../../mesh-gateway/src/tokens/issue-token.ts'
import { ringOfOne } from './ring-of-one.ts'

const NOW_MS = 1_800_000_000_500
const SECONDS = 1_800_000_000
const agent = { tenant: 'acme', agent: 'bot-01' }
const LINK = { fingerprint: 'ab'.repeat(32), serial: '01', issuerKey: 'cd'.repeat(32) }
const chain = {
  ...{ act: { sub: 'spiffe://mesh.internal/tenant/acme/agent/planner' }, txn: 'tree' },
  ...{ exp: SECONDS + 600, allowedDestinations: null },
}
const hosts = (count: number) => Array.from({ length: count }, (_, n) => `h${n}.test`)

describe('a token that is issued', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const issue = async (
    request: Partial<TokenRequest> = {},
    options: Partial<TokenIssuerOptions> = {},
  ) =>
    await createTokenIssuer({
      keyRing: ringOfOne('key', privateKey),
      issuer: 'https://gateway.mesh.internal',
      spiffe: createSpiffeTemplate({ trustDomain: 'mesh.internal' }),
      allowedDestinations: () => ['api.test', '*.example.com'],
      ttl: () => ({ ttlMs: 900_000, maxTtlMs: 3_600_000 }),
      now: () => NOW_MS,
      ...options,
    }).issue({ agent, destinations: null, ...request })
  const refusal = async (...asked: Parameters<typeof issue>): Promise<MeshError> => {
    try {
      await issue(...asked)
    } catch (error) {
      assert.ok(error instanceof MeshError, String(error))
      return error
    }
    return assert.fail('issued')
  }

  it('says what its claims say, signed by the key that its header names', async () => {
    const { token, claims } = await issue()
    const { payload } = await jwtVerify(token.reveal(), publicKey, {
      currentDate: new Date(NOW_MS),
    })
    assert.deepEqual(payload, { ...claims })
    assert.deepEqual(decodeProtectedHeader(token.reveal()), {
      ...{ alg: 'ES256', kid: 'key', typ: 'clawmesh-egress+jwt' },
    })
    assert.deepEqual(
      { ...claims, jti: claims.jti.slice(0, 15) },
      {
        ...{ iss: 'https://gateway.mesh.internal', aud: 'clawmesh-egress', tenant: 'acme' },
        ...{ sub: 'spiffe://mesh.internal/tenant/acme/agent/bot-01', agent_id: 'bot-01' },
        allowed_destinations: ['api.test', '*.example.com'],
        ...{ iat: SECONDS, nbf: SECONDS, exp: SECONDS + 900 },
        // the time it was made, and the version of the UUID
        jti: `${NOW_MS.toString(16).padStart(12, '0').replace(/^.{8}/, '$&-')}-7`,
      },
    )
  })

  it('names the certificate, the binding and the chain that it is good with', async () => {
    const boundTo = 'A'.repeat(43)
    const certificate = { links: [LINK], notAfter: new Date(NOW_MS + 1e9) }
    const { claims } = await issue({ boundTo, certificate, chain })
    assert.deepEqual(claims.crt, certificateClaim([LINK]))
    assert.deepEqual(claims.cnf, { 'x5t#S256': boundTo })
    assert.deepEqual([claims.act, claims.txn], [chain.act, 'tree'])
  })

  it('ends with the first of its own time, its certificate and its chain', async () => {
    const certificate = (seconds: number) => ({
      links: [LINK],
      notAfter: new Date((SECONDS + seconds) * 1000 + 999),
    })
    for (const [ends, request] of [
      [900, {}],
      [1, { ttlMs: 1_999 }],
      [3_600, { ttlMs: 3_600_000 }],
      [600, { chain }],
      [900, { chain: { ...chain, exp: SECONDS + 901 } }],
      [300, { certificate: certificate(300) }],
      [900, { certificate: certificate(901) }],
      [300, { chain, certificate: certificate(300) }],
      [60, { chain, certificate: certificate(300), ttlMs: 60_000 }],
    ] as const)
      assert.equal((await issue(request)).claims.exp - SECONDS, ends, JSON.stringify(request))
  })

  it('lives for a second at least, and as long as the gateway says at most', async () => {
    for (const ttlMs of [999, 0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
      const { code, message } = await refusal({ ttlMs })
      assert.equal(code, 'MESH_TOKEN_REQUEST_INVALID')
      assert.match(message, /one second/)
    }
    assert.equal((await issue({ ttlMs: 1000 })).claims.exp, SECONDS + 1)
    const long = await refusal({ ttlMs: 3_600_001 })
    assert.equal(long.code, 'MESH_TOKEN_REQUEST_INVALID')
    assert.match(long.message, /for 3600 seconds at most$/)
    assert.match(long.hint, /tokens\.maxTtlMs/)
    const short = () => ({ ttlMs: 900_000, maxTtlMs: 60_000 })
    assert.equal((await refusal({}, { ttl: short })).code, 'MESH_TOKEN_REQUEST_INVALID')
  })

  it('goes to no agent that is revoked or has no name of the mesh, nor to one that may not originate', async () => {
    const sub = 'spiffe://mesh.internal/tenant/acme/agent/bot-01'
    const gone = await refusal({}, { revoked: (id) => id === sub })
    assert.equal(gone.code, 'MESH_IDENTITY_REVOKED')
    assert.match(gone.hint, /`mesh-gateway revoke agent acme\/bot-01 --undo`/)
    await issue({}, { revoked: (id) => id !== sub })
    for (const odd of [
      { tenant: 'acme', agent: '../x' },
      { tenant: 'a/b', agent: 'bot-01' },
      { tenant: '', agent: '' },
    ])
      assert.equal((await refusal({ agent: odd })).code, 'MESH_TOKEN_REQUEST_INVALID')
    const within = { mayOriginate: () => false }
    const alone = await refusal({}, within)
    assert.equal(alone.code, 'MESH_POLICY_MAY_NOT_ORIGINATE')
    assert.match(alone.message, /^acme\/bot-01 may act only within a delegation$/)
    await issue({ chain }, within)
    await issue({}, { mayOriginate: () => true })
  })

  it('carries of what policy allows what its chain allows too', async () => {
    const of = (allowedDestinations: readonly string[]) => ({
      chain: { ...chain, allowedDestinations },
    })
    const one = await issue(of(['api.test', 'elsewhere.test']))
    assert.deepEqual(one.claims.allowed_destinations, ['api.test'])
    const many = await issue(of(['*.example.com', '*.test']))
    assert.deepEqual(many.claims.allowed_destinations, ['api.test', '*.example.com'])
    const asked = { destinations: ['a.example.com', 'api.test'] }
    const narrow = await issue({ ...of(['*.example.com']), ...asked })
    assert.deepEqual(narrow.claims.allowed_destinations, ['a.example.com'])
    for (const [limits, hint] of [
      [[], 'it allows none at all'],
      [['elsewhere.test'], 'it allows elsewhere.test'],
      [hosts(10), `it allows ${hosts(10).join(', ')}`],
      [hosts(11), `it allows ${hosts(10).join(', ')} and 1 more`],
      [hosts(12), `it allows ${hosts(10).join(', ')} and 2 more`],
    ] as const) {
      const error = await refusal(of(limits))
      assert.deepEqual([error.code, error.hint], ['MESH_TOKEN_DESTINATION', hint])
    }
  })

  it('is for one to 200 destinations that policy allows, or is refused with what it does allow', async () => {
    assert.equal((await refusal({ destinations: [] })).code, 'MESH_TOKEN_REQUEST_INVALID')
    const odd = await refusal({ destinations: ['api.test', '*', 'a b'] })
    assert.equal(odd.code, 'MESH_TOKEN_REQUEST_INVALID')
    assert.match(odd.message, /^not a destination: "\*" .*; "a b" /)
    assert.equal((await refusal({ destinations: ['*'] })).code, 'MESH_TOKEN_REQUEST_INVALID')
    const dropped = await refusal({ destinations: hosts(2), outside: 'drop' })
    assert.equal(dropped.code, 'MESH_POLICY_NOT_ALLOWED')
    const one = await refusal({ destinations: ['api.test', 'h0.test'] })
    assert.match(one.message, /^policy does not allow acme\/bot-01: h0\.test$/)
    const outside = await refusal({ destinations: ['api.test', ...hosts(11)] })
    assert.equal(outside.code, 'MESH_POLICY_NOT_ALLOWED')
    assert.ok(outside.message.endsWith(`allow acme/bot-01: ${hosts(10).join(', ')}`))
    assert.equal(outside.hint, 'it allows api.test, *.example.com')
    const many = (count: number) => ({ allowedDestinations: () => hosts(count) })
    assert.equal((await issue({}, many(200))).claims.allowed_destinations.length, 200)
    assert.equal((await refusal({}, many(201))).code, 'MESH_TOKEN_REQUEST_INVALID')
    assert.equal((await issue({ destinations: ['h5.test'] }, many(201))).claims.exp, SECONDS + 900)
    const asked = await refusal({ destinations: hosts(201), outside: 'drop' })
    assert.equal(asked.code, 'MESH_TOKEN_REQUEST_INVALID')
    // wide patterns that become many
    const wide = await refusal({ destinations: ['*.test'], outside: 'drop' }, many(201))
    assert.match(wide.message, /200 destinations at most/)
  })

  it('is refused when policy allows nothing, with the place to allow it at', async () => {
    const none = { allowedDestinations: () => [] }
    for (const destinations of [null, ['api.test']]) {
      const error = await refusal({ destinations }, none)
      assert.equal(error.code, 'MESH_POLICY_NOT_ALLOWED')
      assert.match(error.message, /allows acme\/bot-01 no destination$/)
      assert.match(error.hint, /for agent bot-01, in the policy of tenant acme$/)
    }
  })

  it('carries in audit mode what the agent names, beyond policy too, and its chain still counts', async () => {
    const audit = { allowedDestinations: () => [], enforced: () => false }
    const destinations = ['anything.test', 'other.test']
    const { claims } = await issue({ destinations }, audit)
    assert.deepEqual(claims.allowed_destinations, destinations)
    const allowedDestinations = ['other.test']
    const narrowed = await issue({ destinations, chain: { ...chain, allowedDestinations } }, audit)
    assert.deepEqual(narrowed.claims.allowed_destinations, ['other.test'])
  })

  it('allows in audit mode whatever policy lets pass, when the agent names nothing, within its chain', async () => {
    const audit = { allowedDestinations: () => ['api.test'], enforced: () => false }
    const { claims } = await issue({ destinations: null }, audit)
    assert.deepEqual(claims.allowed_destinations, ['*'])
    const allowedDestinations = ['other.test', '*.Wide.test']
    const narrowed = await issue(
      { destinations: null, chain: { ...chain, allowedDestinations } },
      audit,
    )
    assert.deepEqual(narrowed.claims.allowed_destinations, ['other.test', '*.wide.test'])
    const nothing = { ...chain, allowedDestinations: [] }
    const error = await refusal({ destinations: null, chain: nothing }, audit)
    assert.equal(error.code, 'MESH_TOKEN_DESTINATION')
  })

  it('fits into a header of 8 KiB', async () => {
    const long = Array.from({ length: 150 }, (_, n) => `${'a'.repeat(60)}.${n}.test`)
    const error = await refusal({}, { allowedDestinations: () => long })
    assert.equal(error.code, 'MESH_TOKEN_REQUEST_INVALID')
    assert.match(error.message, /too long for a header/)
    assert.equal(error.hint, 'name fewer destinations')
    // up to its last character: one more of a destination, or of the name of the key, is one or two more of it
    const lengths = new Set<number>()
    for (const kid of ['k', 'key', 'key-1'])
      for (let more = 30; more < 60; more += 1) {
        const list = [...long.slice(0, 80), `${'b'.repeat(more)}.${'c'.repeat(20)}`]
        const options = {
          keyRing: ringOfOne(kid, privateKey),
          allowedDestinations: () => list,
        }
        const length = await issue({}, options).then(
          ({ token }) => token.reveal().length,
          () => 0,
        )
        lengths.add(length)
      }
    assert.ok(lengths.has(0), 'some are too long')
    assert.equal(Math.max(...lengths), 8192)
  })
})
