/**
 * Session affinity: which replica of a peer holds a delegation. The caller gets the replica's mark with the answer and
 * sends it with later calls about that delegation; the gateway also remembers it, for callers that do not. A mark is a
 * keyed hash (HMAC, RFC 2104): a plain hash of an address can be found by trying all addresses. A mark chooses only
 * among addresses that DNS has named.
 */
import { createHmac, randomBytes } from 'node:crypto'

export interface ReplicaMarks {
  /** The mark of one address of a peer, by the newest key. */
  of(ip: string, port: number): string
  /** The marks by every valid key: a mark from before a key rotation is still recognised. */
  all(ip: string, port: number): readonly string[]
  /** Grows when the marks change. */
  generation(): number
}

export interface ReplicaMarkOptions {
  /** Called once per generation. Newest first, never empty. Gateways that serve the same agents need the same keys. */
  readonly keys: () => readonly Buffer[]
  /** Grows when the keys change. */
  readonly generation: () => number
}

const MARK_LENGTH = 16

export function createReplicaMarks({ keys, generation }: ReplicaMarkOptions): ReplicaMarks {
  // deriving a key from a signing key takes a tenth of a millisecond, and there are many addresses
  let held: readonly Buffer[] = []
  let heldBy: number | null = null
  const all = (ip: string, port: number) => {
    if (heldBy !== generation()) {
      held = keys()
      heldBy = generation()
    }
    return held.map((key) => markOf(key, ip, port))
  }
  return { of: (ip, port) => all(ip, port)[0] ?? '', all, generation }
}

/** For a single gateway: the marks end with the process. */
export function createOwnReplicaMarks(): ReplicaMarks {
  const own = [randomBytes(32)]
  return createReplicaMarks({ keys: () => own, generation: () => 1 })
}

function markOf(key: Buffer, ip: string, port: number): string {
  return createHmac('sha256', key).update(`${ip} ${port}`).digest('base64url').slice(0, MARK_LENGTH)
}

export interface Holders {
  /** The mark of the replica that holds a delegation; null when unknown. */
  of(delegationId: string): string | null
  remember(delegationId: string, replica: string): void
}

/** @param max over it, the oldest are evicted. Default 10 000. */
export function createHolders(max = 10_000): Holders {
  const held = new Map<string, string>()
  return {
    of: (delegationId) => held.get(delegationId) ?? null,
    remember(delegationId, replica) {
      held.delete(delegationId)
      held.set(delegationId, replica)
      const oldest = held.size > max ? held.keys().next().value : undefined
      if (oldest !== undefined) held.delete(oldest)
    },
  }
}
