import assert from 'node:assert/strict'
import { MeshError } from '@clawmesh/proto'
import fc from 'fast-check'
import { routeOf } from '../../../mesh-gateway/src/delegation/route.ts'

const names = { meshDomain: 'mesh.internal', own: new Set(['gateway.mesh.internal', 'localhost']) }

function codeOf(target: string): string {
  try {
    routeOf(target, names)
    return 'routed'
  } catch (error) {
    assert.ok(error instanceof MeshError)
    return error.code
  }
}

describe('routing by name', () => {
  it('takes a peer name, with or without a port, in any case', () => {
    const peer = { tenant: 'acme', agent: 'researcher' }
    const host = 'researcher.acme.mesh.internal'
    const plain = { kind: 'peer', peer, host, port: null, key: host }
    const key = `${host}:7443`
    assert.deepEqual(routeOf(host, names), plain)
    assert.deepEqual(routeOf(key, names), { kind: 'peer', peer, host, port: 7443, key })
    assert.deepEqual(routeOf('Researcher.ACME.mesh.internal', names), plain)
  })

  it('takes its own names for itself, whatever the port', () => {
    for (const target of ['gateway.mesh.internal', 'GATEWAY.mesh.internal:8443', 'localhost:1'])
      assert.deepEqual(routeOf(target, names), { kind: 'self' })
  })

  it('refuses what is not one plain spelling of a name', () => {
    const malformed = [
      '',
      ':443',
      'a b',
      'user@researcher.acme.mesh.internal',
      'researcher.acme.mesh.internal:0',
      'researcher.acme.mesh.internal:65536',
      'researcher.acme.mesh.internal:07443',
      'researcher.acme.mesh.internal:7443:8443',
      'researcher.acme.mesh.internal/x',
      'researcher.acme.mesh.internal%00',
      '[::1]:7443',
      '[fe80::1%eth0]',
      'https://researcher.acme.mesh.internal',
      'researcher.acme.mesh.internal,other.acme.mesh.internal',
      'ресёрчер.acme.mesh.internal',
    ]
    for (const target of malformed) assert.equal(codeOf(target), 'MESH_ROUTE_MALFORMED', target)
  })

  it('knows no addresses, no other domains and no names of another depth', () => {
    const unknown = [
      '127.0.0.1:7443',
      '2130706433',
      '0x7f.1',
      'example.com',
      'mesh.internal',
      'acme.mesh.internal',
      'a.researcher.acme.mesh.internal',
      'researcher.acme.mesh.internal.',
      'researcher.acme.mesh.internal.evil.com',
      'researcher..mesh.internal',
      '-x.acme.mesh.internal',
      'researcher.acmemesh.internal',
    ]
    for (const target of unknown)
      assert.match(codeOf(target), /^MESH_ROUTE_(UNKNOWN|MALFORMED)$/, target)
  })

  it('answers any string with a route or a coded refusal', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 400 }), (target) => {
        assert.match(codeOf(target), /^(routed|MESH_ROUTE_(UNKNOWN|MALFORMED))$/)
      }),
    )
  })
})
