/**
 * How many connections to peers the callers of one tenant may wait for at once. Each holds a socket, for seconds where nobody
 * answers, and goes on when its caller has gone: without a bound, calls to ever new ports would take every descriptor.
 */
import { MeshError } from '@clawmesh/proto'

export interface Dials {
  /** @throws MeshError MESH_LIMIT_CONCURRENCY, before anything is dialled */
  run(dial: () => Promise<void>): Promise<void>
}

/** More than a tenant has busy peers, all of which are dialled anew when the gateway's certificate has changed. */
const MAX_PER_TENANT = 2_048

export function createDials(most: number = MAX_PER_TENANT): Dials {
  let underWay = 0
  return {
    async run(dial) {
      if (underWay >= most)
        throw new MeshError(
          'MESH_LIMIT_CONCURRENCY',
          `the tenant waits for ${most} connections to peers already`,
          { retryAfterMs: 1_000 },
        )
      underWay += 1
      try {
        await dial()
      } finally {
        underWay -= 1
      }
    },
  }
}
