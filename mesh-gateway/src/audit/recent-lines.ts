/**
 * The latest lines of the audit log in memory, for the admin port: rings of lines as they were written, one for each
 * kind, so that many requests of one kind do not push out the others, and shared by the agents, so that one does not push
 * out what the others did. A record costs one write into a ring, in the batch that makes it text; all else is done when
 * somebody asks.
 */
import type { AuditRecord } from './audit-record.ts'
import { type RingSize, SharedRing } from './shared-ring.ts'

export type LineKind = 'refused' | 'delegation' | 'egress'

export interface RecentLines {
  /** @param line of the record, as it is written to the audit log */
  add(record: AuditRecord, line: string): void
  /** The oldest first. */
  of(kind: LineKind): readonly string[]
}

const MEBI = 1024 * 1024
const SIZES: Readonly<Record<LineKind, RingSize>> = Object.freeze({
  refused: { lines: 1_000, chars: MEBI },
  delegation: { lines: 2_000, chars: 2 * MEBI },
  egress: { lines: 1_000, chars: MEBI },
})

/** @param sizes default: 4,000 lines, 4 Mi characters */
export function createRecentLines(
  sizes: Readonly<Record<LineKind, RingSize>> = SIZES,
): RecentLines {
  const rings: Readonly<Record<LineKind, SharedRing>> = {
    refused: new SharedRing(sizes.refused),
    delegation: new SharedRing(sizes.delegation),
    egress: new SharedRing(sizes.egress),
  }
  return {
    add(record, line) {
      rings[record.action_allowed ? record.event : 'refused'].add(nameOf(record), line)
    },
    of: (kind) => rings[kind].all(),
  }
}

/** Clients that nobody knows are one, however many they are. */
function nameOf({ tenant, agent_id: agent }: AuditRecord): string {
  return agent === null ? '' : `${tenant}/${agent}`
}
