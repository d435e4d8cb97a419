/**
 * Reads from a record of the audit log what it says about a tree of delegations: a call that begins or continues a
 * task.
 */
import { isUuidV7 } from '@clawmesh/proto'
import { seesTaskThrough, startsTask } from '../policy/decide/task-methods.ts'
import { type Fields, readFields } from '../recorded/recorded-case.ts'

export interface TreeRecord {
  readonly rootId: string
  /** SPIFFE IDs. */
  readonly caller: string
  readonly callee: string
  readonly delegationId: string
  /** Null where the chain begins, and in logs of older gateways. */
  readonly parentId: string | null
  /** SPIFFE IDs of the agents that delegated before the caller, the origin first. */
  readonly before: readonly string[]
  /** `follow`: a stream of the task's events, such as Delegate and Watch. */
  readonly kind: 'follow' | 'cancel' | 'other'
  /** Milliseconds since the epoch. */
  readonly startMs: number
  readonly endMs: number
  /** False for a refused call; true for one that was admitted and then cut. */
  readonly allowed: boolean
  /** The error code; null on success. */
  readonly code: string | null
  /** Number of the gRPC status; null while it is open. */
  readonly status: number | null
  readonly phase: 'open' | 'end' | null
  readonly openId: string | null
  /** The number of equal refusals for which the record stands. */
  readonly times: number
}

/** Lines without a root are skipped. */
const NAMES_ROOT = '"root_id":"'

/** @param root of the wanted tree; null: any. A line that does not contain it costs one text search */
export function mayTellOf(line: string, root: string | null): boolean {
  return line.includes(root ?? NAMES_ROOT)
}

/** `foreign`: not a line of an audit log. Null: a record without a task in a tree. */
export function readTreeRecord(line: string): TreeRecord | 'foreign' | null {
  const fields = readFields(line)
  if (typeof fields.get('action_allowed') !== 'boolean') return 'foreign'
  if (fields.get('event') !== 'delegation') return null
  const text = (name: string) => textOf(fields, name)
  const [rootId, caller, callee] = [text('root_id'), text('caller'), text('callee')]
  const [method, time] = [text('grpc_method'), Date.parse(text('time') ?? '')]
  if (rootId === null || caller === null || callee === null || method === null) return null
  if (!(startsTask(method) || seesTaskThrough(method)) || Number.isNaN(time)) return null
  const delegationId = text('delegation_id') ?? text('request_id')
  if (delegationId === null || !isUuidV7(rootId)) return null
  const chain = chainOf(fields.get('chain'))
  const parentId = text('parent_id')
  return {
    ...{ rootId, caller, callee, delegationId, parentId },
    before: chain.at(-1) === caller ? chain.slice(0, -1) : chain,
    kind: kindOf(method),
    startMs: time - numberOf(fields, 'duration_ms', 0),
    endMs: time,
    // older gateways recorded a cut call as refused; it had a connection
    allowed: fields.get('action_allowed') === true || text('destination_ip') !== null,
    code: text('reason'),
    status: fields.get('grpc_status') === null ? null : numberOf(fields, 'grpc_status', 2),
    phase: phaseOf(fields.get('phase')),
    openId: text('open_id'),
    times: Math.max(1, numberOf(fields, 'repeated', 1)),
  }
}

const STREAMS = /\/(?:Watch|SubscribeToTask|TaskSubscription)$/

function kindOf(method: string): TreeRecord['kind'] {
  if (startsTask(method) || STREAMS.test(method)) return 'follow'
  return /\/Cancel(?:Task)?$/.test(method) ? 'cancel' : 'other'
}

function phaseOf(value: unknown): TreeRecord['phase'] {
  return value === 'open' || value === 'end' ? value : null
}

function textOf(fields: Fields, name: string): string | null {
  const value = fields.get(name)
  return typeof value === 'string' && value.length <= 512 ? value : null
}

function numberOf(fields: Fields, name: string, otherwise: number): number {
  const value = fields.get(name)
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : otherwise
}

/** The maximum depth of a token. */
const MAX_CHAIN = 64

function chainOf(value: unknown): readonly string[] {
  if (!Array.isArray(value)) return []
  return value
    .slice(0, MAX_CHAIN)
    .filter((one): one is string => typeof one === 'string' && one.length <= 512)
}
