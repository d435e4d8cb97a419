/**
 * Which replica of a peer holds a delegation, as the gateway said with its answers: shown again in calls about it, so
 * that they reach that replica by whichever gateway.
 */
import { METADATA_DELEGATION_ID, METADATA_REPLICA } from '@clawmesh/proto'
import type { Metadata } from '@grpc/grpc-js'

export interface ReplicaMarks {
  /** Adds the mark to the metadata of a call about a delegation, where one is known. */
  show(metadata: Metadata): void
  /** Takes the mark out of the head of an answer to a call with that metadata. */
  keep(sent: Metadata, answered: Metadata): void
}

/** The oldest are forgotten beyond it: without its mark a call goes where the gateway thinks. */
const MAX_MARKS = 1_000

export function createReplicaMarks(): ReplicaMarks {
  const marks = new Map<string, string>()
  const idOf = (metadata: Metadata) => metadata.get(METADATA_DELEGATION_ID)[0]
  return {
    show(metadata) {
      const id = idOf(metadata)
      const mark = typeof id === 'string' ? marks.get(id) : undefined
      if (mark !== undefined) metadata.set(METADATA_REPLICA, mark)
    },
    keep(sent, answered) {
      const id = idOf(sent)
      const [mark] = answered.get(METADATA_REPLICA)
      if (typeof id !== 'string' || typeof mark !== 'string') return
      marks.delete(id)
      marks.set(id, mark)
      const oldest = marks.size > MAX_MARKS ? marks.keys().next().value : undefined
      if (oldest !== undefined) marks.delete(oldest)
    },
  }
}
