import assert from 'node:assert/strict'
import type { IdentitySnapshot, IdentityStore } from '@clawmesh/agent-sdk/mesh'
import { createSpiffeTemplate, Secret } from '@clawmesh/proto'
import { createRouteNames } from '../../../mesh-gateway/src/delegation/own-names.ts'

const spiffe = createSpiffeTemplate({ trustDomain: 'mesh.internal' })
const snapshot = (generation: number, ...dnsNames: string[]): IdentitySnapshot => ({
  ...{ generation, identity: spiffe.gateway('gw'), dnsNames, fingerprint: '' },
  ...{ notBefore: new Date(0), notAfter: new Date(1), certificateChain: '', roots: [] },
  privateKey: new Secret(''),
})

describe('the names of the gateway itself', () => {
  it('are those of its certificate, those configured and localhost; no wildcard, and no name of a peer', () => {
    let current = snapshot(1, 'gateway.mesh.internal', '*.mesh.internal', 'b.acme.mesh.internal')
    let configured: readonly string[] = ['edge.example', 'c.acme.mesh.internal']
    const identity: IdentityStore = Object.assign(Object.create(null), { current: () => current })
    const names = createRouteNames({
      ...{ identity, meshDomain: 'mesh.internal', names: () => configured },
    })
    const first = names()
    assert.deepEqual([...first.own], ['gateway.mesh.internal', 'edge.example', 'localhost'])
    assert.equal(first.meshDomain, 'mesh.internal')
    assert.equal(names(), first, 'the very same, while nothing changes')
    configured = ['other.example']
    assert.deepEqual([...names().own], ['gateway.mesh.internal', 'other.example', 'localhost'])
    current = snapshot(2, 'new.mesh.internal')
    assert.deepEqual([...names().own], ['new.mesh.internal', 'other.example', 'localhost'])
    const bare = createRouteNames({ identity, meshDomain: 'mesh.internal' })
    assert.deepEqual([...bare().own], ['new.mesh.internal', 'localhost'])
    assert.equal(bare(), bare())
  })
})
