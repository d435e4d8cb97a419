/** The wildcards in the certificate of a gateway say which tenants it serves; none at all means every tenant. */
import assert from 'node:assert/strict'
import { createSpiffeTemplate } from '@clawmesh/proto'
import {
  checkIsGatewayFor,
  checkServes,
  servesTenant,
} from '../../../agent-sdk/src/tls/gateway-scope.ts'
import type { PeerCertificate } from '../../../agent-sdk/src/tls/peer-certificate.ts'

const spiffe = createSpiffeTemplate({ trustDomain: 'mesh.internal' })

describe('the certificate of a gateway', () => {
  const table: [dnsNames: string[], serves: boolean][] = [
    [['*.acme.mesh.internal'], true],
    [['gw.mesh.internal', '*.globex.mesh.internal', '*.acme.mesh.internal'], true],
    [[], true],
    [['gw.mesh.internal', 'acme.mesh.internal'], true],
    [['*.globex.mesh.internal'], false],
    [['gw.mesh.internal', '*.globex.mesh.internal'], false],
    // a mistake in a name must not widen it
    [['*.mesh.internal'], false],
    [['*.acme.mesh.example'], false],
    [['*.acme.mesh.internal.example'], false],
    [['*.xacme.mesh.internal'], false],
    [['*.a.acme.mesh.internal'], false],
    [['planner.acme.mesh.internal', '*.globex.mesh.internal'], false],
  ]
  for (const [dnsNames, serves] of table)
    it(`with ${JSON.stringify(dnsNames)} ${serves ? 'serves' : 'does not serve'} acme`, () => {
      assert.equal(servesTenant(dnsNames, 'acme', 'mesh.internal'), serves)
      const check = () =>
        checkServes({ identity: spiffe.gateway('gw'), dnsNames }, 'acme', 'mesh.internal')
      if (serves) check()
      else
        assert.throws(check, {
          code: 'MESH_GATEWAY_NOT_FOR_TENANT',
          message: /gateway\/gw does not cover tenant acme: it lacks \*\.acme\.mesh\.internal$/,
        })
    })

  it('is judged by its kind first, and then by its tenants', () => {
    const check = checkIsGatewayFor('acme', 'mesh.internal')
    const peer = (identity: PeerCertificate['identity'], dnsNames: string[]): PeerCertificate => ({
      ...{ identity, dnsNames, notBefore: new Date(0), notAfter: new Date(1) },
      ...{ fingerprint: '', serial: '', rootFingerprint: '', anchor: '', links: [] },
    })
    check(peer(spiffe.gateway('gw'), ['*.acme.mesh.internal']))
    assert.throws(() => check(peer(spiffe.gateway('gw'), ['*.globex.mesh.internal'])), {
      code: 'MESH_GATEWAY_NOT_FOR_TENANT',
    })
    // an agent is no gateway, whatever names it has
    assert.throws(() => check(peer(spiffe.agent('acme', 'planner'), ['*.acme.mesh.internal'])), {
      code: 'MESH_GATEWAY_UNTRUSTED',
    })
  })
})
