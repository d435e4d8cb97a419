/** What grounds are judged by, beside what the planes' own tests show. */
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { keyIdentity } from '@clawmesh/agent-sdk/mesh'
import { judgeChain } from '../../../mesh-gateway/src/live/judge.ts'
import { createTrust } from '../../../mesh-gateway/src/live/trust.ts'
import { NO_REVOCATIONS } from '../../../mesh-gateway/src/revocation/revocations.ts'
import { makeTestCa } from '../../support/test-ca.ts'

describe('a certificate that a token names', () => {
  it('vouches for nothing once its root has expired, as that of a connection', async () => {
    await using stack = new AsyncDisposableStack()
    const ca = stack.adopt(await makeTestCa(), (one) => one.close())
    const identity = await ca.open(await ca.agentDir({ tenant: 'acme', agent: 'planner' }))
    const [root] = identity.current().roots
    assert.ok(root !== undefined)
    const issuerKey = keyIdentity(new X509Certificate(root.pem))
    const id = identity.current().identity.id
    const links = [{ fingerprint: '', serial: '', issuerKey }]
    const chain = {
      ...{ txn: 'one', actors: [id] },
      certificates: [{ identity: { id }, links, rootFingerprint: null }],
    }
    const trust = createTrust(identity)
    const judged = (nowMs: number) =>
      judgeChain(chain, { trust, revocations: NO_REVOCATIONS, nowMs })
    const endMs = root.notAfter.getTime()
    assert.equal(judged(endMs), null)
    assert.deepEqual(judged(endMs + 1), {
      ...{ ground: 'actor', id, why: { untrusted: 'MESH_IDENTITY_UNTRUSTED' } },
    })
  })
})
