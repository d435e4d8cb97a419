import assert from 'node:assert/strict'
import type { EgressClaims } from '@clawmesh/proto'
import { destinationSet } from '../../../mesh-gateway/src/net/destination-set.ts'
import { certificateClaim } from '../../../mesh-gateway/src/tokens/certificate-claim.ts'
import { withGrounds } from '../../../mesh-gateway/src/tokens/token-grounds.ts'

const BOT = 'spiffe://mesh.internal/tenant/acme/agent/bot-01'
const PLANNER = 'spiffe://mesh.internal/tenant/acme/agent/planner'
const ORIGIN = 'spiffe://mesh.internal/tenant/globex/agent/origin'
const linkOf = (byte: string) => ({
  ...{ fingerprint: byte.repeat(32), serial: byte, issuerKey: 'ff'.repeat(32) },
})
const crtOf = (byte: string) => certificateClaim([linkOf(byte)])
const named = (id: string, byte: string) => ({
  ...{ identity: { id }, links: [linkOf(byte)], rootFingerprint: null },
})

describe('what a token lets its holder in for', () => {
  const claims: EgressClaims = {
    ...{ iss: 'gateway', aud: 'clawmesh-egress', sub: BOT, agent_id: 'bot-01', tenant: 'acme' },
    ...{ allowed_destinations: ['api.test'], iat: 0, nbf: 0, exp: 100, jti: 'id' },
  }
  const token = { jti: 'id', issuer: 'gateway', kid: 'key', endMs: 100_000, graceEndMs: 130_000 }
  const cnf = { 'x5t#S256': Buffer.from('ab'.repeat(32), 'hex').toString('base64url') }

  it('is itself alone, with an end, and a while longer for clocks that differ', () => {
    const { grounds, destinations, ...rest } = withGrounds(claims, 'key', 30_000)
    assert.deepEqual(rest, claims)
    assert.equal(destinations, undefined)
    assert.deepEqual(grounds, {
      ...{ agent: BOT, caller: null, callee: null, chain: null },
      token: { ...token, boundTo: null },
    })
    assert.equal(withGrounds(claims, null, 0).grounds.token?.kid, null)
  })

  it('is the certificate that it was exchanged for, which stands in its place where it is bound to it', () => {
    for (const more of [{}, { cnf }]) {
      const { grounds } = withGrounds({ ...claims, ...more, crt: crtOf('01') }, 'key', 0)
      assert.deepEqual(grounds.caller, named(BOT, '01'))
      assert.equal(grounds.token?.boundTo, null)
    }
  })

  it('is the certificate that it is bound to, known by its fingerprint alone', () => {
    const { grounds } = withGrounds({ ...claims, cnf }, 'key', 30_000)
    assert.equal(grounds.caller, null)
    assert.deepEqual(grounds.token?.boundTo, {
      identity: { id: BOT },
      links: [{ fingerprint: 'ab'.repeat(32), serial: '', issuerKey: '' }],
      rootFingerprint: null,
    })
  })

  it('is every agent that delegated, the origin first, and each certificate that is named', () => {
    const act = {
      ...{ sub: PLANNER, crt: crtOf('02') },
      act: { sub: PLANNER, act: { sub: ORIGIN, crt: crtOf('03') } },
    }
    const { grounds } = withGrounds({ ...claims, act, txn: 'tree' }, 'key', 0)
    assert.deepEqual(grounds.chain, {
      txn: 'tree',
      actors: [ORIGIN, PLANNER, PLANNER],
      certificates: [named(PLANNER, '02'), named(ORIGIN, '03')],
    })
  })

  it('is no chain where a half of one is claimed', () => {
    for (const half of [{ act: { sub: PLANNER } }, { txn: 'tree' }])
      assert.equal(withGrounds({ ...claims, ...half }, 'key', 0).grounds.chain, null)
  })

  it('are the destinations of policy where they stand for those that are listed', () => {
    const set = destinationSet(['api.test'])
    assert.equal(withGrounds(claims, 'key', 0, set).destinations, set)
  })

  it('is nothing where it names no certificate that can be read', () => {
    assert.throws(() => withGrounds({ ...claims, crt: ['x'] }, 'key', 0), {
      code: 'MESH_TOKEN_MALFORMED',
    })
  })
})
