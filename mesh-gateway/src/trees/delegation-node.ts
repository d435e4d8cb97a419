/** One delegation of a tree, merged from all its records, in any order. */
import type { TreeRecord } from './tree-record.ts'

export type State = 'running' | 'ended' | 'canceled' | 'refused' | 'cut' | 'unknown'

export interface Standing {
  /**
   * `ended`: its event stream came to its end; only its caller knows whether the task succeeded. `cut`: it was admitted
   * and ended with an error. `unknown`: the log contains nothing of its stream.
   */
  readonly state: State
  /** For `refused` and `cut`. */
  readonly code: string | null
}

/** Maximum streams with two records, opening and end. */
const MAX_OPEN = 1_000

export class DelegationNode {
  readonly caller: string
  readonly callee: string
  readonly delegationId: string
  parentId: string | null
  before: readonly string[]
  startMs: number
  endMs: number
  /** The number of repeated refusals; 1 for anything else. */
  times = 1
  #last: TreeRecord | null = null
  #canceledMs = Number.POSITIVE_INFINITY
  readonly #open = new Set<string>()
  readonly #ended = new Set<string>()

  constructor(record: TreeRecord) {
    this.caller = record.caller
    this.callee = record.callee
    this.delegationId = record.delegationId
    this.parentId = record.parentId
    this.before = record.before
    this.startMs = record.startMs
    this.endMs = record.endMs
  }

  add(record: TreeRecord): void {
    this.parentId ??= record.parentId
    if (record.before.length > this.before.length) this.before = record.before
    this.times = Math.max(this.times, record.times)
    if (record.kind === 'cancel') {
      this.#widen(record)
      if (record.status === 0) this.#canceledMs = Math.min(this.#canceledMs, record.startMs)
      return
    }
    if (record.kind === 'other') return
    this.#widen(record)
    if (record.openId !== null) this.#pair(record.openId, record.phase === 'open')
    if (record.phase === 'open') return
    if (this.#last === null || record.endMs >= this.#last.endMs) this.#last = record
  }

  standing(): Standing {
    const last = this.#last
    if (this.#open.size > 0) return { state: 'running', code: null }
    // canceling a task that has ended has no effect
    if (this.#canceledMs <= (last?.endMs ?? Number.POSITIVE_INFINITY)) {
      if (this.#canceledMs !== Number.POSITIVE_INFINITY) return { state: 'canceled', code: null }
    }
    if (last === null) return { state: 'unknown', code: null }
    if (!last.allowed) return { state: 'refused', code: last.code }
    if (last.status === 0) return { state: 'ended', code: null }
    if (last.code === 'MESH_CALL_CANCELED') return { state: 'canceled', code: null }
    return { state: 'cut', code: last.code ?? `gRPC ${last.status}` }
  }

  #widen({ startMs, endMs }: TreeRecord): void {
    this.startMs = Math.min(this.startMs, startMs)
    this.endMs = Math.max(this.endMs, endMs)
  }

  /** In logs of two gateways, or rotated files in any order, the end may come first. */
  #pair(openId: string, opens: boolean): void {
    const [own, other] = opens ? [this.#open, this.#ended] : [this.#ended, this.#open]
    if (other.delete(openId)) return
    if (own.size < MAX_OPEN) own.add(openId)
  }
}
