import assert from 'node:assert/strict'
import { certificatesOf } from '../../../../mesh-gateway/src/admin/api/certificates.ts'
import { makeTestCa, type TestCa } from '../../../support/test-ca.ts'

describe('the certificates and keys of a gateway', () => {
  let ca: TestCa
  before(async () => {
    ca = await makeTestCa()
  })
  after(() => ca.close())

  it('are told with their ends, and with nothing that is secret', async () => {
    const snapshot = await ca.load(await ca.issue('gw', 'gateway'))
    const until = '2026-12-01T00:00:00.000Z'
    const key = { kid: 'k', created: '2026-11-01T00:00:00.000Z' }
    const found = certificatesOf({
      identity: { current: () => snapshot },
      keyRing: {
        list: () => [
          { ...key, role: 'active', until: null },
          { ...key, role: 'verifying', until },
        ],
      },
      egressChain: snapshot.certificateChain,
      crlNextUpdate: 1_800_000_000,
    })
    const notAfter = snapshot.notAfter.toISOString()
    assert.deepEqual(
      found.map(({ kind, role, until: end }) => [kind, role, end]),
      [
        ['certificate', null, notAfter],
        ['egress certificate', null, notAfter],
        ['root', null, snapshot.roots[0]?.notAfter.toISOString()],
        ['signing key', 'active', null],
        ['signing key', 'verifying', until],
        ['list of revoked', null, '2027-01-15T08:00:00.000Z'],
      ],
    )
    const [certificate, egress, root] = found
    assert.equal(certificate?.name, snapshot.identity.id)
    assert.equal(egress?.fingerprint, snapshot.fingerprint)
    assert.match(egress?.name ?? '', /URI:spiffe:\/\/mesh\.internal\/gateway\/gw-1/)
    assert.match(root?.name ?? '', /^(?:O|CN)=/)
    assert.ok(!JSON.stringify(found).includes('PRIVATE'))
  })

  it('are only those that there are', async () => {
    const snapshot = await ca.load(await ca.issue('gw-2', 'gateway'))
    const found = certificatesOf({
      ...{ identity: { current: () => snapshot }, keyRing: { list: () => [] } },
      ...{ egressChain: null, crlNextUpdate: null },
    })
    assert.deepEqual(
      found.map(({ kind }) => kind),
      ['certificate', 'root'],
    )
    const from = { identity: { current: () => snapshot }, keyRing: { list: () => [] } }
    assert.equal(certificatesOf({ ...from, egressChain: null, crlNextUpdate: 0 }).length, 2)
  })
})
