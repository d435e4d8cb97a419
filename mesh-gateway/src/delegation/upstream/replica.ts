/**
 * Which replica of a peer holds a delegation. The caller is told its mark with the answer and shows it again when it
 * calls about that delegation; the gateway remembers as well, for callers that do not.
 * A mark says nothing about addresses, and chooses only among those that DNS has named.
 */
import { hash } from 'node:crypto'

/** The mark of one address of a peer. */
export function replicaOf(ip: string, port: number): string {
  return hash('sha256', `${ip} ${port}`, 'base64url').slice(0, 16)
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
