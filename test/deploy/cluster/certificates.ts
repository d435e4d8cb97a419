/** The certificate of the gateway in its Secret, which kubelet swaps in running pods. */
import { waitFor } from '../../support/wait-for.ts'
import { tell } from './figures.ts'
import { adminOf, gatewayPods, secretOf, TENANTS } from './gateway-release.ts'
import { SWAPPED } from './node-programs.ts'
import type { World } from './world.ts'

export function certificates(get: () => World): void {
  it('takes over its new certificate in every pod', async () => {
    const { cluster, ca } = get()
    const pods = await gatewayPods(cluster)
    const identity = await ca.gatewayDir({ name: 'gw', tenants: [...TENANTS] })
    await cluster.apply(await secretOf('gateway-identity', identity))
    const began = performance.now()
    for (const pod of pods)
      await waitFor(
        'the certificate',
        async () =>
          /^clawmesh_reload_generation\{what="identity"\} 2$/m.test(
            await adminOf(cluster, pod, '/metrics'),
          ),
        SWAPPED,
      )
    tell('from a Secret to both pods', performance.now() - began)
  })
}
