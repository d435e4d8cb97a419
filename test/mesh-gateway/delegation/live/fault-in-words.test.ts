/** What a caller reads when its call may not begin or may not go on, and whether it may go on by Watch. */
import assert from 'node:assert/strict'
import { ERRORS } from '@clawmesh/proto'
import type { AdmittedCall } from '../../../../mesh-gateway/src/delegation/live/admitted.ts'
import {
  calleeRefusal,
  callerRefusal,
  faultInWords,
} from '../../../../mesh-gateway/src/delegation/live/fault-in-words.ts'
import type { Fault, RevokedGround } from '../../../../mesh-gateway/src/live/judge.ts'

const ID = 'spiffe://mesh.internal/tenant/acme/agent/b'
const call = (resumable: boolean, tenant: string | null = 'acme'): AdmittedCall => ({
  grounds: {
    ...{ agent: 'a', caller: null, callee: null, token: null },
    chain: { txn: 'the tree', actors: [], certificates: [] },
  },
  question:
    tenant === null
      ? null
      : {
          ...{ caller: { tenant, agent: 'a' }, callee: { tenant: 'acme', agent: 'b' } },
          ...{ method: 'm', withinChain: false },
        },
  resumable,
})
const ground = (what: RevokedGround['what']): RevokedGround => ({
  ...{ code: 'MESH_IDENTITY_REVOKED', what, message: 'said by the list' },
})
const said = (fault: Fault, of = call(true)) => {
  const { code, message, facts } = faultInWords(fault, of)
  return { code, message, facts }
}
const watch = { resume: 'watch' }

describe('why a call may not go on', () => {
  it('of its caller: another certificate goes on by Watch, an agent that is revoked does not', () => {
    const caller = (why: Extract<Fault, { ground: 'caller' }>['why']) =>
      said({ ground: 'caller', id: ID, why })
    assert.deepEqual(caller({ untrusted: 'MESH_IDENTITY_EXPIRED' }), {
      ...{ code: 'MESH_IDENTITY_EXPIRED', message: ERRORS.MESH_IDENTITY_EXPIRED.meaning },
      facts: watch,
    })
    for (const what of ['certificate', 'list', 'agent'] as const)
      assert.deepEqual(caller({ revoked: ground(what) }), {
        ...{ code: 'MESH_IDENTITY_REVOKED', message: 'said by the list' },
        facts: what === 'agent' ? {} : watch,
      })
  })

  it('of its callee: in words about the peer, with the same way out', () => {
    const callee = (why: Extract<Fault, { ground: 'callee' }>['why']) =>
      said({ ground: 'callee', id: ID, why })
    for (const [untrusted, why] of [
      ['MESH_IDENTITY_EXPIRED', 'has expired'],
      ['MESH_IDENTITY_UNTRUSTED', 'is no longer trusted'],
    ] as const)
      assert.deepEqual(callee({ untrusted }), {
        ...{ code: 'MESH_PEER_UNTRUSTED', message: `the certificate of ${ID} ${why}` },
        facts: watch,
      })
    const revoked = (what: RevokedGround['what']) => callee({ revoked: ground(what) })
    assert.deepEqual(revoked('certificate'), {
      ...{ code: 'MESH_PEER_REVOKED', message: `a certificate of ${ID} has been revoked` },
      facts: watch,
    })
    assert.deepEqual(revoked('agent'), {
      ...{ code: 'MESH_PEER_REVOKED', message: `${ID} has been revoked`, facts: {} },
    })
    assert.deepEqual(revoked('list'), {
      ...{ code: 'MESH_IDENTITY_REVOKED', message: 'said by the list', facts: watch },
    })
  })

  it('of its chain, its token or its agent: for good', () => {
    const why = { revoked: ground('certificate') }
    assert.deepEqual(said({ ground: 'chain', revoked: ground('txn') }).facts, { txn: 'the tree' })
    const actor = said({ ground: 'actor', id: ID, why })
    assert.deepEqual([actor.code, actor.facts], ['MESH_CHAIN_REVOKED', { txn: 'the tree' }])
    for (const fault of ['agent', 'token', 'binding'] as const)
      assert.deepEqual(said({ ground: fault, revoked: ground('token') }), {
        ...{ code: 'MESH_IDENTITY_REVOKED', message: 'said by the list', facts: {} },
      })
    assert.deepEqual(
      [said({ ground: 'key' }), said({ ground: 'life' })].map(({ code, facts }) => [code, facts]),
      [
        ['MESH_TOKEN_KEY_UNKNOWN', {}],
        ['MESH_TOKEN_EXPIRED', {}],
      ],
    )
  })

  it('of policy: with the rule of its own tenant, and a hint, policy’s or that of the code', () => {
    const policy = (rule: string | null, hint: string | null, of = call(true)) => {
      const code = 'MESH_POLICY_NOT_ALLOWED'
      return faultInWords({ ground: 'policy', policy: { code, rule, hint } }, of)
    }
    const own = policy('acme.json#/delegation/allow/0', 'ask')
    assert.deepEqual(own.facts, { ...watch, rule: 'acme.json#/delegation/allow/0' })
    assert.equal(own.hint, 'ask')
    assert.deepEqual(policy('acme.json#/x', null, call(true, 'globex')).facts, watch)
    assert.deepEqual(policy('acme.json#/x', null, call(true, null)).facts, watch)
    assert.deepEqual(policy(null, null, call(false)).facts, {})
    assert.equal(policy(null, null).hint, ERRORS.MESH_POLICY_NOT_ALLOWED.hint)
  })

  it('of a call that cannot be resumed says nothing of Watch', () => {
    const why = { untrusted: 'MESH_IDENTITY_EXPIRED' as const }
    assert.deepEqual(said({ ground: 'caller', id: ID, why }, call(false)).facts, {})
  })

  it('is the same for one that begins', () => {
    const begins = callerRefusal(ground('agent'))
    assert.deepEqual([begins.code, begins.message], ['MESH_IDENTITY_REVOKED', 'said by the list'])
    assert.equal(calleeRefusal(ID, ground('agent')).message, `${ID} has been revoked`)
  })
})
