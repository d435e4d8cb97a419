/**
 * Limits the pending connections to peers per tenant. Each holds a socket, for seconds if no peer answers, and
 * continues after its caller has left: without a bound, calls to ever new ports would take every descriptor.
 */
import { MeshError } from '@clawmesh/proto'

export interface Dials {
  /** @throws MeshError MESH_LIMIT_CONCURRENCY, before anything is dialled */
  run(dial: () => Promise<void>): Promise<void>
}

/** More than the busy peers of a tenant, which are all dialled again after a change of the gateway's certificate. */
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
