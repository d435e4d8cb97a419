import assert from 'node:assert/strict'
import { chainFaultInWords } from '../../../mesh-gateway/src/live/chain-fault.ts'
import type { RevokedGround } from '../../../mesh-gateway/src/live/judge.ts'

const ground = (what: RevokedGround['what']): RevokedGround => ({
  ...{ code: 'MESH_REVOCATION_STALE', what, message: 'as the list says' },
})

describe('a chain that is no longer good', () => {
  it('says whether its tree was revoked, or a certificate in it, and by which agent', () => {
    const of = 'the certificate that x delegated with'
    const actor = (
      why: Extract<Parameters<typeof chainFaultInWords>[0], { ground: 'actor' }>['why'],
    ) => chainFaultInWords({ ground: 'actor', id: 'x', why })
    assert.deepEqual(chainFaultInWords({ ground: 'chain', revoked: ground('txn') }), {
      ...{ code: 'MESH_REVOCATION_STALE', message: 'as the list says' },
    })
    assert.deepEqual(actor({ untrusted: 'MESH_IDENTITY_EXPIRED' }), {
      ...{ code: 'MESH_CHAIN_REVOKED', message: `${of} is trusted no more` },
    })
    for (const what of ['certificate', 'agent'] as const)
      assert.deepEqual(actor({ revoked: ground(what) }), {
        ...{ code: 'MESH_CHAIN_REVOKED', message: `${of} has been revoked` },
      })
    assert.deepEqual(actor({ revoked: ground('list') }), {
      ...{ code: 'MESH_REVOCATION_STALE', message: 'as the list says' },
    })
  })
})
