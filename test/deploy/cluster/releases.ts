/** Releases of both charts: installed, changed, rolled back, removed, and refused. */
import assert from 'node:assert/strict'
import type { Values } from '../chart/helm.ts'
import { OUTSIDE_ADDRESS } from '../policies/addresses.ts'
import type { Cluster } from './cluster.ts'
import { gatewayValues, RELEASE } from './gateway-release.ts'
import type { World } from './world.ts'

export function releases(get: () => World): void {
  describe('releases', () => {
    it('of a tenant makes its namespace, which enforces restricted', async () => {
      const { cluster } = get()
      const path = 'jsonpath={.metadata.labels}'
      const labels = await cluster.kubectl('get', 'namespace', 'acme', '-o', path)
      assert.match(labels, /"pod-security.kubernetes.io\/enforce":"restricted"/)
      const ran = await cluster.tryKubectl([
        ...['run', 'root', '-n', 'acme', '--image=root', '--restart=Never'],
      ])
      assert.equal(ran.code, 1)
      assert.match(ran.stderr, /violates PodSecurity "restricted:latest"/)
    })

    it('a second one of a tenant is refused, and nothing has changed', async () => {
      const { cluster } = get()
      const before = await versions(get())
      const values = tenantValues('acme')
      const ran = await cluster.release('install', 'other', 'clawmesh-tenant', values)
      assert.equal(ran.code, 1)
      assert.match(ran.stderr, /tenant: acme is there already, .* is of release tenant-acme/)
      assert.deepEqual(await versions(get()), before)
    })

    it('with a bad value are refused, and the release stays as it was', async () => {
      const { cluster, digest } = get()
      const before = await versions(get())
      const ran = await cluster.release('upgrade', RELEASE, 'clawmesh-gateway', {
        ...gatewayValues(digest),
        replicas: 0,
      })
      assert.equal(ran.code, 1)
      assert.match(ran.stderr, /'\/replicas'/)
      assert.deepEqual(await versions(get()), before)
    })

    it('are taken by an API server that refuses unknown fields', async () => {
      const { cluster } = get()
      for (const name of [RELEASE, 'tenant-acme']) {
        const { stdout } = await cluster.helm('get', 'manifest', name)
        const args = ['apply', '--dry-run=server', '--validate=strict', '-f', '-']
        const ran = await cluster.tryKubectl(args, stdout)
        assert.equal(ran.code, 0, ran.stderr)
      }
    })
  })
}

/** Beside the gateway. */
export async function installTenants(cluster: Cluster): Promise<void> {
  for (const tenant of ['acme', 'globex']) {
    const ran = await cluster.release(
      ...(['install', `tenant-${tenant}`, 'clawmesh-tenant'] as const),
      tenantValues(tenant),
    )
    assert.equal(ran.code, 0, ran.stderr)
  }
}

/** What a tenant of these tests may. */
export const POLICY = {
  egress: { allow: [OUTSIDE_ADDRESS] },
  delegation: { allow: [{ from: 'planner', to: 'researcher' }] },
}

/** The values of the release of a tenant. */
export function tenantValues(tenant: string, policy: object = POLICY): Values {
  return { tenant, gateway: { release: RELEASE }, policy }
}

/** Every object of the charts, by its version. */
async function versions({ cluster }: World): Promise<string> {
  const kinds = 'deployments,configmaps,services,networkpolicies,resourcequotas,secrets'
  const path =
    '{range .items[*]}{.kind}/{.metadata.name} {.metadata.generation} {.data}{"\\n"}{end}'
  return cluster.kubectl('get', kinds, '--all-namespaces', '-o', `jsonpath=${path}`)
}
