import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { createSpiffeTemplate, MeshError } from '@clawmesh/proto'
import { destinationSet } from '../../../../mesh-gateway/src/net/destination-set.ts'
import {
  createClaimMapping,
  type MapClaimsOptions,
} from '../../../../mesh-gateway/src/tokens/external/map-claims.ts'

const NOW_MS = 1_800_000_000_500
const SECONDS = 1_800_000_000
const ISSUER = 'https://issuer.example'
const PREFIX = createHash('sha256').update(ISSUER).digest('hex').slice(0, 8)

describe('the claims of a token of another issuer', () => {
  const good = {
    tenant: 'acme',
    agent_id: 'bot',
    to: ['API.test'],
    iat: SECONDS,
    exp: SECONDS + 60,
  }
  const policy = destinationSet(['policy.test'])
  const map = (payload: object, issuer: object = {}, options: Partial<MapClaimsOptions> = {}) =>
    createClaimMapping({
      issuer: {
        ...{ issuer: ISSUER, jwksUri: 'https://issuer.example/keys', audience: 'clawmesh-egress' },
        ...{
          algorithms: ['ES256' as const],
          tenants: ['acme'],
          fixedTenant: null,
          caFile: null,
          tokenFile: null,
          maxTtlMs: null,
          destinations: 'claim' as const,
        },
        claims: { tenant: 'tenant', agent: 'agent_id', destinations: 'to' },
        ...issuer,
      },
      spiffe: createSpiffeTemplate({ trustDomain: 'mesh.internal' }),
      allowedDestinations: async () => policy,
      ...{ maxTtlMs: () => 900_000, skewMs: 30_000, now: () => NOW_MS },
      ...options,
    })({ ...payload }, 'head.body.signature')
  const refusal = async (...asked: Parameters<typeof map>): Promise<MeshError> => {
    try {
      await map(...asked)
    } catch (error) {
      assert.ok(error instanceof MeshError, String(error))
      return error
    }
    return assert.fail(`taken: ${JSON.stringify(asked[0])}`)
  }

  it('become those of our own form', async () => {
    const { claims, destinations } = await map({ ...good, nbf: SECONDS - 5, jti: 'a', else: 1 })
    assert.equal(destinations, null)
    assert.deepEqual(claims, {
      ...{ iss: ISSUER, aud: 'clawmesh-egress', agent_id: 'bot', tenant: 'acme' },
      sub: 'spiffe://mesh.internal/tenant/acme/agent/bot',
      allowed_destinations: ['api.test'],
      ...{ iat: SECONDS, nbf: SECONDS - 5, exp: SECONDS + 60, jti: `${PREFIX}:a` },
    })
  })

  it('leave out when it was made: then it was made now, and is good from then', async () => {
    const { claims } = await map({ ...good, iat: undefined })
    assert.deepEqual([claims.iat, claims.nbf], [SECONDS, SECONDS])
  })

  it('have times that are numbers, and a life that is not too long', async () => {
    for (const claim of ['iat', 'nbf', 'exp'])
      for (const odd of ['5', -1, null]) {
        const error = await refusal({ ...good, [claim]: odd })
        assert.equal(error.code, 'MESH_TOKEN_MALFORMED')
        assert.match(error.message, new RegExp(`^the claim ${claim} `))
      }
    assert.equal((await refusal({ ...good, exp: undefined })).code, 'MESH_TOKEN_MALFORMED')
    for (const [times, code] of [
      [{ exp: SECONDS + 900 }, null],
      [{ exp: SECONDS + 901 }, 'MESH_TOKEN_LIFETIME'],
      [{ iat: undefined, exp: SECONDS + 900 }, null],
      [{ iat: undefined, exp: SECONDS + 901 }, 'MESH_TOKEN_LIFETIME'],
      [{ iat: SECONDS + 30, exp: SECONDS + 60 }, null],
      [{ iat: SECONDS + 31, exp: SECONDS + 60 }, 'MESH_TOKEN_NOT_YET_VALID'],
    ] as const)
      if (code === null) await map({ ...good, ...times })
      else assert.equal((await refusal({ ...good, ...times })).code, code)
    const { message } = await refusal({ ...good, exp: SECONDS + 901 })
    assert.equal(message, 'the token lives longer than the 900 seconds that are accepted')
  })

  it('name a tenant that the issuer may speak for, and an agent, or are refused by the claim', async () => {
    const other = { claims: { tenant: '/a/t', agent: '/a/n', destinations: 'to' } }
    for (const [payload, issuer, claim] of [
      [{ ...good, tenant: undefined }, {}, 'tenant'],
      [{ ...good, tenant: 'A_B' }, {}, 'tenant'],
      [{ ...good, tenant: 5 }, {}, 'tenant'],
      [{ ...good, agent_id: 'A_B' }, {}, 'agent_id'],
      [{ ...good, agent_id: ['bot'] }, {}, 'agent_id'],
      [good, other, '/a/t'],
      [{ ...good, a: { t: 'acme' } }, other, '/a/n'],
    ] as const) {
      const error = await refusal(payload, issuer)
      assert.equal(error.code, 'MESH_TOKEN_MALFORMED')
      assert.ok(error.message.startsWith(`the claim ${claim} `), error.message)
    }
    assert.equal((await refusal({ ...good, tenant: 'globex' })).code, 'MESH_TOKEN_TENANT')
    const fixed = {
      fixedTenant: 'acme',
      claims: { tenant: null, agent: 'agent_id', destinations: 'to' },
    }
    assert.equal((await map({ ...good, tenant: 'globex' }, fixed)).claims.tenant, 'acme')
    const wrong = { ...fixed, fixedTenant: null }
    assert.match((await refusal(good, wrong)).message, /^the claim tenant /)
  })

  it('carry no chain of delegation, whatever is in it', async () => {
    for (const claim of ['act', 'txn', 'may_act'])
      for (const value of [null, undefined, {}]) {
        const error = await refusal({ ...good, [claim]: value })
        assert.equal(error.code, 'MESH_TOKEN_MALFORMED')
        assert.ok(error.message.includes(`(${claim})`))
      }
  })

  it('name destinations as a list or as OAuth does, 200 at most, or leave them to policy', async () => {
    const to = async (value: unknown) =>
      (await map({ ...good, to: value })).claims.allowed_destinations
    assert.deepEqual(await to(['*.A.test:8443', 'b.test']), ['*.a.test:8443', 'b.test'])
    assert.deepEqual(await to(' a.test  b.test '), ['a.test', 'b.test'])
    for (const none of ['', []]) assert.deepEqual(await to(none), [])
    const hosts = (count: number) => Array.from({ length: count }, (_, n) => `h${n}.test`)
    assert.equal((await to(hosts(200))).length, 200)
    for (const odd of [undefined, 5, {}, hosts(201), ['*'], [5], 'a.test *'])
      assert.match((await refusal({ ...good, to: odd })).message, /^the claim to /)
    const byPolicy = { claims: { tenant: 'tenant', agent: 'agent_id', destinations: null } }
    const asked: unknown[] = []
    const { claims, destinations } = await map(good, byPolicy, {
      allowedDestinations: async (agent) => {
        asked.push(agent)
        return policy
      },
    })
    assert.deepEqual(asked, [{ tenant: 'acme', agent: 'bot' }])
    assert.equal(destinations, policy)
    assert.equal(claims.allowed_destinations, policy.texts)
  })

  it('keep a binding, and an id that a list can hold, or get one of what was signed', async () => {
    const cnf = { 'x5t#S256': 'A'.repeat(43) }
    assert.deepEqual((await map({ ...good, cnf })).claims.cnf, cnf)
    assert.equal((await refusal({ ...good, cnf: null })).code, 'MESH_TOKEN_MALFORMED')
    const id = async (jti: unknown) => (await map({ ...good, jti })).claims.jti
    assert.equal(await id('x'.repeat(119)), `${PREFIX}:${'x'.repeat(119)}`)
    const signed = createHash('sha256').update('head.body').digest('base64url')
    for (const odd of [undefined, '', 5, 'a b', 'x'.repeat(120)])
      assert.equal(await id(odd), `${PREFIX}:sha256:${signed}`)
  })
})
