/**
 * Which replica of a peer holds a delegation. The caller is told its mark with the answer and shows it again when it
 * calls about that delegation; the gateway remembers as well, for callers that do not.
 * A mark is a keyed hash (HMAC, RFC 2104): a plain hash of an address is found again by trying all addresses there are. It
 * chooses only among the addresses that DNS has named.
 */
import { createHmac, randomBytes } from 'node:crypto'

export interface ReplicaMarks {
  /** The mark of one address of a peer, by the newest key. */
  of(ip: string, port: number): string
  /** By each key that counts: a mark that was given before a key rotated is still known. */
  all(ip: string, port: number): readonly string[]
  /** Grows when marks change. */
  generation(): number
}

export interface ReplicaMarkOptions {
  /** Asked once for each generation. Newest first, never empty. Gateways that serve the same agents need the same keys. */
  readonly keys: () => readonly Buffer[]
  /** Grows when keys change. */
  readonly generation: () => number
}

const MARK_LENGTH = 16

export function createReplicaMarks({ keys, generation }: ReplicaMarkOptions): ReplicaMarks {
  // a key is derived from a signing key for a tenth of a millisecond, and there are many addresses
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

/** For one gateway alone: marks end with the process. */
export function createOwnReplicaMarks(): ReplicaMarks {
  const own = [randomBytes(32)]
  return createReplicaMarks({ keys: () => own, generation: () => 1 })
}

function markOf(key: Buffer, ip: string, port: number): string {
  return createHmac('sha256', key).update(`${ip} ${port}`).digest('base64url').slice(0, MARK_LENGTH)
}

export interface Holders {
  /** The mark of the replica that holds a delegation; null when that is not known. */
  of(delegationId: string): string | null
  remember(delegationId: string, replica: string): void
}

/** @param max the oldest are forgotten beyond it. Default 10 000. */
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
