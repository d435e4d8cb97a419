/** Pods that are deleted, rollouts and rollbacks, while requests and delegated calls run through the Service: none fails. */
import assert from 'node:assert/strict'
import { waitFor } from '../../support/wait-for.ts'
import { NAMESPACE } from '../api-server/commands.ts'
import { startAgents, whileCalling } from './agents.ts'
import type { Cluster } from './cluster.ts'
import { first, timed } from './figures.ts'
import {
  gatewayPods,
  gatewayValues,
  RELEASE,
  rolledOut,
  secretOf,
  tokenOf,
} from './gateway-release.ts'
import { SLOW_CHUNKS, slowRequestsOpen } from './outside.ts'
import { listenOn, startPods } from './pods.ts'
import { assertAllServed, keepSending, send, THROUGH_SERVICE } from './requests.ts'
import type { World } from './world.ts'

const CALLER = { namespace: 'acme', name: 'caller' }
const SLOW_ONES = 20

export function noCallFails(get: () => World): void {
  describe('no call fails', () => {
    let token = ''
    before(async () => {
      const { cluster, digest, ca } = get()
      await startPods(cluster, { ...CALLER, digest, script: listenOn(7443) })
      for (const agent of ['planner', 'researcher']) {
        const identity = await ca.agentDir({ tenant: 'acme', agent })
        await cluster.apply(await secretOf(`${agent}-identity`, identity, 'acme'))
      }
      await startAgents(cluster, digest)
      token = await tokenOf(cluster, first(await gatewayPods(cluster)), 'acme', 'caller')
    })

    /** With slow requests that are open when it begins, quick ones that begin all the while, and delegated calls. */
    const underLoad = (what: string, change: () => Promise<void>) =>
      whileCalling(get().cluster, async () => {
        const { cluster } = get()
        const quick = keepSending(cluster, CALLER, token)
        const slow = send(cluster, CALLER, {
          ...{ ...THROUGH_SERVICE, token, path: '/slow', width: SLOW_ONES, forMs: 0 },
        })
        await slowOnesAreOpen(cluster)
        await timed(what, change).finally(() => quick.stop())
        assert.deepEqual(await slow, { [`200 ${SLOW_CHUNKS}`]: SLOW_ONES })
        assertAllServed(await quick.stop())
      })

    it('while a pod is deleted: its open calls end, new ones go to the other', async () => {
      const { cluster } = get()
      const pod = first(await gatewayPods(cluster))
      await underLoad('the end of a pod', async () => {
        await cluster.kubectl('delete', 'pod', '-n', NAMESPACE, pod.name)
      })
      await rolledOut(cluster)
    })

    it('while a new configuration is rolled out', async () => {
      const { cluster, digest } = get()
      const values = { ...gatewayValues(digest), drainSeconds: 25 }
      await underLoad('helm upgrade of both pods', async () => {
        const ran = await cluster.release('upgrade', RELEASE, 'clawmesh-gateway', values)
        assert.equal(ran.code, 0, ran.stderr)
        await rolledOut(cluster)
      })
    })

    it('while it is rolled back', async () => {
      const { cluster } = get()
      await underLoad('helm rollback of both pods', async () => {
        const ran = await cluster.helm('rollback', RELEASE)
        assert.equal(ran.code, 0, ran.stderr)
        await rolledOut(cluster)
      })
    })
  })
}

/** Those are the ones that have reached the world outside. */
async function slowOnesAreOpen({ programs }: Cluster): Promise<void> {
  await waitFor('the slow requests', () => slowRequestsOpen(programs) === SLOW_ONES, {
    ...{ withinMs: 60_000, everyMs: 50 },
  })
}
