import assert from 'node:assert/strict'
import { namesRefused } from '../../../pki/src/x509/check-names.ts'

const NONE = { uris: [], dnsNames: [], ipAddresses: [], others: [] }

describe('name constraints', () => {
  const refused = (names: object, permitted: object, excluded: object = {}) =>
    namesRefused(
      { ...NONE, ...names },
      { permitted: { ...NONE, ...permitted }, excluded: { ...NONE, ...excluded } },
    )

  it('permit a DNS domain and what is below, whatever the case, and nothing that only ends alike', () => {
    const permitted = { dnsNames: ['mesh.internal'] }
    const good = ['mesh.internal', 'a.mesh.internal', '*.acme.mesh.internal', 'A.MESH.internal']
    assert.deepEqual(refused({ dnsNames: good }, permitted), [])
    const bad = ['evilmesh.internal', 'mesh.internal.', 'internal', 'mesh.internal\0.x']
    assert.deepEqual(refused({ dnsNames: bad }, permitted), bad)
  })

  it('permit URIs of one host, and none that hides another', () => {
    const permitted = { uris: ['mesh.internal'] }
    assert.deepEqual(refused({ uris: ['spiffe://mesh.internal/tenant/a'] }, permitted), [])
    const bad = [
      'spiffe://a.mesh.internal/x',
      'spiffe://mesh.internal@evil/x',
      'spiffe://mesh.internal:80@evil/x',
      'spiffe:mesh.internal',
      'spiffe:///mesh.internal',
      '',
    ]
    assert.deepEqual(refused({ uris: bad }, permitted), bad)
  })

  it('leave a kind free that they do not mention, and let an exclusion win', () => {
    assert.deepEqual(refused({ ipAddresses: [Buffer.alloc(4)] }, { dnsNames: ['a'] }), [])
    assert.deepEqual(refused({ dnsNames: ['x.a'] }, { dnsNames: ['a'] }, { dnsNames: ['x.a'] }), [
      'x.a',
    ])
  })

  it('refuse kinds of names that are constrained and not understood', () => {
    assert.deepEqual(refused({ others: ['email'] }, { others: ['email'] }), ['email'])
    assert.deepEqual(refused({ others: ['email'] }, { dnsNames: ['a'] }), [])
  })

  it('do not keep anybody busy', () => {
    const dnsNames = Array.from({ length: 20_000 }, (_, index) => `n${index}.a`)
    assert.deepEqual(refused({ dnsNames }, { dnsNames }), ['that many names'])
  })
})
