/**
 * How many tasks each caller, and each tenant of callers, may have running, so that no one of them fills the agent for the
 * others. What others leave free is shared out again and again: a newcomer gets a task as long as one is free.
 */
import { type AgentIdentity, MeshError } from '@clawmesh/proto'

export interface RunningSharesOptions {
  /** Tasks that may run at once. */
  readonly maxRunning: number
  /** Of the callers of one tenant. Null: three quarters of what other tenants leave. */
  readonly maxRunningPerTenant: number | null
  /** Of one caller. Null: two thirds of what other callers leave of its tenant's share. */
  readonly maxRunningPerCaller: number | null
}

export interface RunningShares {
  /** @throws MeshError MESH_LIMIT_CONCURRENCY, which names the full share: the agent's, the tenant's or the caller's */
  check(caller: AgentIdentity): void
  /** Counts a task, also one that is over a share: an earlier process may have begun it. Returns what ends it, once. */
  add(caller: Pick<AgentIdentity, 'id' | 'tenant'>): () => void
}

const PART_OF_TENANT = 3 / 4
const PART_OF_CALLER = 2 / 3
const RETRY_AFTER_MS = 1_000

export function createRunningShares(options: RunningSharesOptions): RunningShares {
  const { maxRunning, maxRunningPerTenant, maxRunningPerCaller } = options
  const tenants = new Map<string, number>()
  const callers = new Map<string, number>()
  let running = 0

  return {
    check({ id, tenant }) {
      const ofTenant = tenants.get(tenant) ?? 0
      const ofCaller = callers.get(id) ?? 0
      const free = maxRunning - running
      const tenantShare = maxRunningPerTenant ?? shareOf(ofTenant + free, PART_OF_TENANT)
      const left = Math.min(free, tenantShare - ofTenant)
      const callerShare = maxRunningPerCaller ?? shareOf(ofCaller + left, PART_OF_CALLER)
      if (free < 1) throw full('the agent runs as many tasks as it may')
      if (left < 1) throw full('the agent runs as many tasks of one tenant as it may')
      if (ofCaller >= callerShare)
        throw full('the agent runs as many tasks of one caller as it may')
    },
    add({ id, tenant }) {
      let ended = false
      const count = (by: 1 | -1) => {
        running += by
        change(tenants, tenant, by)
        change(callers, id, by)
      }
      count(1)
      return () => {
        if (!ended) count(-1)
        ended = true
      }
    },
  }
}

/** At least one: rounding must not leave a caller without a share. */
function shareOf(all: number, part: number): number {
  return Math.max(1, Math.floor(all * part))
}

function change(counts: Map<string, number>, key: string, by: 1 | -1): void {
  const count = (counts.get(key) ?? 0) + by
  if (count === 0) counts.delete(key)
  else counts.set(key, count)
}

function full(message: string): MeshError {
  return new MeshError('MESH_LIMIT_CONCURRENCY', message, {
    hint: 'finish or cancel one of the tasks first, or try again later',
    retryAfterMs: RETRY_AFTER_MS,
  })
}
