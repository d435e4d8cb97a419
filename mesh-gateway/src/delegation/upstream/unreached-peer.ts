/**
 * The error for a peer that was not reached. It carries the last tried address for the record, never for the caller.
 */
import { MeshError } from '@clawmesh/proto'
import type { Endpoint } from './locate.ts'

export class UnreachedPeer extends MeshError {
  readonly endpoint: Endpoint

  constructor({ code, message, hint, retryAfterMs, facts, cause }: MeshError, endpoint: Endpoint) {
    super(code, message, {
      ...{ hint, facts, cause },
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    })
    this.endpoint = endpoint
  }
}
