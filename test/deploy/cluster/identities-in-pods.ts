/** What pods have of their identities, which kubelet swaps while they run, and what their gateways have taken over. */
import { waitFor } from '../../support/wait-for.ts'
import { PLANNER, RESEARCHER } from './agents.ts'
import type { Cluster } from './cluster.ts'
import { adminOf, gatewayPods } from './gateway-release.ts'
import { SWAPPED } from './node-programs.ts'
import { fileIn } from './pods.ts'

/** Resolves when every pod has another certificate, and the gateways use theirs. */
export async function certificatesChange(
  cluster: Cluster,
  change: () => Promise<void>,
): Promise<void> {
  const before = await filesOf(cluster, 'tls.crt')
  await takenOver(cluster, change, async () =>
    (await filesOf(cluster, 'tls.crt')).every((text, at) => text !== before[at]),
  )
}

/** Resolves when every pod has that many roots, and the gateways use them. */
export async function rootsChange(
  cluster: Cluster,
  count: number,
  change: () => Promise<void>,
): Promise<void> {
  await takenOver(cluster, change, async () =>
    (await filesOf(cluster, 'ca.crt')).every(
      (text) => text.split('BEGIN CERTIFICATE').length === count + 1,
    ),
  )
}

async function takenOver(
  cluster: Cluster,
  change: () => Promise<void>,
  isInPods: () => Promise<boolean>,
): Promise<void> {
  const before = await generations(cluster)
  await change()
  await waitFor('the files in every pod', isInPods, SWAPPED)
  await waitFor(
    'identities in use',
    async () => (await generations(cluster)).every((now, at) => now > (before[at] ?? Number.NaN)),
    SWAPPED,
  )
}

async function generations(cluster: Cluster): Promise<readonly number[]> {
  return Promise.all(
    (await gatewayPods(cluster)).map(async (pod) => {
      const text = await adminOf(cluster, pod, '/metrics')
      return Number(/^clawmesh_reload_generation\{what="identity"\} (\d+)/m.exec(text)?.[1])
    }),
  )
}

/** One file of each pod that has an identity. */
export async function filesOf(cluster: Cluster, name: string): Promise<readonly string[]> {
  const gateways = await gatewayPods(cluster)
  const places = [
    ...gateways.map((pod) => [pod, '/etc/clawmesh/identity'] as const),
    ...[PLANNER, RESEARCHER].map((pod) => [pod, '/identity'] as const),
  ]
  return Promise.all(places.map(([pod, dir]) => fileIn(cluster, pod, `${dir}/${name}`)))
}
