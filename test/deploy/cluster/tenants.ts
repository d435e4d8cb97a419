/** Tenants that come, change, are rolled back and go, while another one's calls run. */
import assert from 'node:assert/strict'
import { waitFor } from '../../support/wait-for.ts'
import { first, tell } from './figures.ts'
import { gatewayPods, tokenOf } from './gateway-release.ts'
import { SWAPPED } from './node-programs.ts'
import { listenOn, type PodPlace, startPods } from './pods.ts'
import { POLICY, tenantValues } from './releases.ts'
import { assertAllServed, keepSending, send } from './requests.ts'
import type { World } from './world.ts'

/** Of the tenant that must not notice. */
const CALLER: PodPlace = { namespace: 'globex', name: 'caller' }
/** The one that comes and goes: the gateway has its name, and no policy for it. */
const TENANT = 'initech'

export function tenants(get: () => World): void {
  describe('a tenant', () => {
    let token = ''
    let pods: readonly PodPlace[] = []
    let calls: ReturnType<typeof keepSending> | null = null

    before('calls of another one run', async () => {
      const { cluster, digest } = get()
      await startPods(cluster, { ...CALLER, digest, script: listenOn(7443) })
      pods = await gatewayPods(cluster)
      assert.equal(pods.length, 2)
      const globex = await waitFor(
        'the policy of globex',
        () => tokenOf(cluster, first(pods), CALLER.namespace, 'bot').catch(() => null),
        SWAPPED,
      )
      await everywhere('the policy of globex', '200', globex)
      calls = keepSending(cluster, CALLER, globex)
    })
    after(() => calls?.stop())

    const everywhere = async (what: string, status: string, by = token) => {
      const all = () => Promise.all(pods.map((pod) => statusOf(get(), pod, by)))
      const began = performance.now()
      await waitFor(what, async () => (await all()).every((each) => each === status), SWAPPED)
      tell(`${what}: its effect in both pods after`, performance.now() - began)
    }
    const helm = async (...args: readonly string[]) => {
      const ran = await get().cluster.helm(...args)
      assert.equal(ran.code, 0, ran.stderr)
    }

    it('gets no token until it comes', async () => {
      const issuing = tokenOf(get().cluster, first(pods), TENANT, 'bot')
      await assert.rejects(issuing, /tenant initech has no policy/)
    })

    it('comes', async () => {
      const { cluster } = get()
      const began = performance.now()
      const ran = await cluster.release(
        ...(['install', `tenant-${TENANT}`, 'clawmesh-tenant'] as const),
        tenantValues(TENANT),
      )
      assert.equal(ran.code, 0, ran.stderr)
      token = await waitFor(
        'its policy',
        () => tokenOf(cluster, first(pods), TENANT, 'bot').catch(() => null),
        SWAPPED,
      )
      await everywhere('a tenant that comes', '200')
      tell('a tenant that comes, in all', performance.now() - began)
    })

    it('changes', async () => {
      const policy = { ...POLICY, egress: { ...POLICY.egress, deny: POLICY.egress.allow } }
      const ran = await get().cluster.release(
        ...(['upgrade', `tenant-${TENANT}`, 'clawmesh-tenant'] as const),
        tenantValues(TENANT, policy),
      )
      assert.equal(ran.code, 0, ran.stderr)
      await everywhere('a policy that changes', '403')
    })

    it('is rolled back', async () => {
      await helm('rollback', `tenant-${TENANT}`)
      await everywhere('a rollback', '200')
    })

    it('goes, with its namespace', async () => {
      const { cluster } = get()
      await helm('uninstall', `tenant-${TENANT}`)
      await everywhere('a tenant that goes', '403')
      await waitFor(
        'the end of its namespace',
        async () => !/initech/.test(await cluster.kubectl('get', 'namespaces', '-o', 'name')),
        SWAPPED,
      )
    })

    it('does all that while no call of another one fails, and no pod is started anew', async () => {
      assertAllServed((await calls?.stop()) ?? {})
      assert.deepEqual(await gatewayPods(get().cluster), pods)
    })
  })
}

/** Of a request by the egress port of one pod, sent within it. */
async function statusOf({ cluster }: World, pod: PodPlace, token: string): Promise<string> {
  const asked = { gateway: '127.0.0.1:8080', token, path: '/quick', width: 1, forMs: 0 } as const
  const outcome = await send(cluster, pod, asked)
  return Object.keys(outcome)[0]?.split(' ')[0] ?? 'nothing'
}
