/**
 * Folds repeated refusals into summaries, so that a client in a loop does not fill the audit log. Within a window the
 * first records of each kind are written in full; the others are counted, and reported by one record when the window
 * ends. A kind is: client (agent and source), reason (code), and destination. Each request is reported exactly once,
 * alone or in a summary. docs/decisions/refusals-are-bounded-and-folded.md
 */
import { sourceOf } from '../net/client-address.ts'
import type { AuditRecord } from './audit-record.ts'
import type { AuditLogHandle } from './open-audit-log.ts'

export interface FoldOptions {
  readonly audit: AuditLogHandle
  /** Called for each record that is counted in a summary. */
  readonly onFolded?: () => void
  /** In milliseconds. Default 10,000. */
  readonly windowMs?: number
  /** Records of one kind that are written in full per window. Default 10. */
  readonly first?: number
}

export interface FoldedAuditLog extends AuditLogHandle {
  /** Ends the window now: writes its summaries. */
  flush(): void
}

interface Kind {
  count: number
  last: AuditRecord | null
  repeated: number
  bytesUp: number
  bytesDown: number
}

/** Maximum kinds of one agent at one source that are told apart by destination; further ones by code alone. */
const MAX_KINDS_OF_ONE = 50
/** Maximum for all together; further ones by code alone. */
const MAX_KINDS = 10_000
/** Refusals before the destination is looked at, and too frequent to count by destination. */
const OF_NO_DESTINATION: ReadonlySet<string> = Object.freeze(
  new Set(['MESH_RATE_LIMITED', 'MESH_LIMIT_CONCURRENCY', 'MESH_LIMIT_UNAVAILABLE']),
)

export function foldRepeats(options: FoldOptions): FoldedAuditLog {
  const { audit, onFolded, windowMs = 10_000, first = 10 } = options
  let kinds = new Map<string, Kind>()
  let kindsOf = new Map<string, number>()
  let timer: NodeJS.Timeout | null = null

  function kindOf(record: AuditRecord): Kind {
    const who = `${record.event} ${record.tenant}/${record.agent_id} ${sourceOf(record.client_ip)}`
    const why = `${who} ${record.reason}`
    const short = OF_NO_DESTINATION.has(record.reason ?? '')
    const known = kinds.get(short ? why : `${why} ${whereTo(record)}`)
    if (known !== undefined) return known
    const many = kindsOf.get(who) ?? 0
    if (kinds.size >= MAX_KINDS) return find(`${record.event} ${record.reason}`)
    if (short || many >= MAX_KINDS_OF_ONE) return find(why)
    kindsOf.set(who, many + 1)
    return find(`${why} ${whereTo(record)}`)
  }

  function find(key: string): Kind {
    const known = kinds.get(key)
    if (known !== undefined) return known
    const fresh: Kind = { count: 0, last: null, repeated: 0, bytesUp: 0, bytesDown: 0 }
    kinds.set(key, fresh)
    return fresh
  }

  function flush(): void {
    if (timer !== null) clearTimeout(timer)
    timer = null
    const ended = kinds
    kinds = new Map()
    kindsOf = new Map()
    for (const { last, repeated, bytesUp, bytesDown } of ended.values())
      if (last !== null)
        audit.write({ ...last, bytes_up: bytesUp, bytes_down: bytesDown }, repeated)
  }

  return {
    write(record) {
      // a request that was admitted and cut later is no refusal: it always has a line of its own
      if (record.action_allowed || record.destination_ip !== null) {
        audit.write(record)
        return
      }
      timer ??= setTimeout(flush, windowMs).unref()
      const kind = kindOf(record)
      kind.count += 1
      if (kind.count <= first) {
        audit.write(record)
        return
      }
      kind.last = record
      kind.repeated += 1
      kind.bytesUp += record.bytes_up ?? 0
      kind.bytesDown += record.bytes_down ?? 0
      onFolded?.()
    },
    flush,
    ...(audit.openAfterMs === undefined ? {} : { openAfterMs: audit.openAfterMs }),
    healthy: () => audit.healthy(),
    reopen: () => audit.reopen(),
    flushSync() {
      flush()
      audit.flushSync()
    },
    async close() {
      flush()
      await audit.close()
    },
  }
}

function whereTo(record: AuditRecord): string {
  return record.event === 'egress'
    ? `${record.destination_host}:${record.destination_port}`
    : `${record.callee} ${record.grpc_method}`
}
