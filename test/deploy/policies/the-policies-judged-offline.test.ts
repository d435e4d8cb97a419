/** The NetworkPolicies of both charts, as cyclonus judges them: who reaches whom. */
import assert from 'node:assert/strict'
import { find, type KubeObject, NAMESPACE, render } from '../chart/helm.ts'
import { LEAST } from '../chart/values.ts'
import { judgeByCyclonus } from './cyclonus.ts'
import { OPEN_WITHOUT_POLICY, wantedTable } from './who-reaches-whom.ts'

describe('the NetworkPolicies, judged by cyclonus', function () {
  // it is built when it is not there
  this.timeout(3_600_000)
  let ofGateway: KubeObject
  let ofTenants: readonly KubeObject[]

  before('render them', async () => {
    const gateway = { ...LEAST, tenants: { acme: {}, globex: {} } }
    ofGateway = inNamespace(
      find(await render('clawmesh-gateway', gateway), 'NetworkPolicy'),
      NAMESPACE,
    )
    ofTenants = await Promise.all(
      ['acme', 'globex'].map(async (tenant) =>
        find(
          await render('clawmesh-tenant', { tenant, gateway: { release: 'mesh' } }),
          'NetworkPolicy',
        ),
      ),
    )
  })

  it('let through what the guide says, and nothing else', async () => {
    assert.deepEqual(await judgeByCyclonus([ofGateway, ...ofTenants]), wantedTable())
  })

  it('without that of a tenant: its pods get out and are reached, and others are not', async () => {
    const policies = [ofGateway, ...ofTenants.slice(1)]
    assert.deepEqual(await judgeByCyclonus(policies), wantedTable(OPEN_WITHOUT_POLICY))
  })

  it('without any of them everything is open: the judge sees what the policies close', async () => {
    const rows = Object.values(await judgeByCyclonus([]))
    assert.deepEqual(new Set(rows.flatMap((row) => Object.values(row))), new Set(['open']))
  })
})

function inNamespace(object: KubeObject, namespace: string): KubeObject {
  return { ...object, metadata: { ...object.metadata, namespace } }
}
