/** Counts the delegations in the tree of one root, over all its agents, against a budget. */
import { MeshError } from '@clawmesh/proto'

export interface Budgets {
  /**
   * Takes one delegation from the budget of the tree `txn`. False when that would exceed `max`.
   * @param tenant the tenant in which the tree began
   * @throws MeshError MESH_LIMIT_TREES when the tree is new and its tenant may have no more trees
   */
  spend(txn: string, max: number, tenant: string): Promise<boolean>
}

export interface MemoryBudgetsOptions {
  /**
   * How long a tree is remembered, in milliseconds: as long as any of its tokens is valid. Read each time; the longest
   * counts.
   */
  readonly keepMs: () => number
  /** Maximum trees, about 100 bytes each; one tenant may have half of what the others leave. Default 1,000,000. */
  readonly maxTrees?: number
  /** Milliseconds of a monotonic clock. */
  readonly now?: () => number
}

/** The maximum of the store; the limit is the tenant's, and may change while a tree grows. */
export const UNBOUNDED = 2 ** 31 - 1

const MAX_TREES = 1_000_000
const SLICES = 8
/** A larger Map stops the event loop while it grows. */
const SLICE_TREES = 65_536

/** Trees first counted in the same period. They are forgotten together, so that no tree needs a timer or an object. */
interface Slice {
  readonly startMs: number
  lastMs: number
  readonly counts: Map<string, number>
  /** The number of trees per tenant. */
  readonly tenants: Map<string, number>
}

/**
 * Counts in this process. A tree is remembered from its first delegation on: every token that can extend it is from
 * then or later, and none lives longer than `keepMs`. It is never evicted early, even when there is no room for new
 * trees.
 */
export function createMemoryBudgets(options: MemoryBudgetsOptions): Budgets {
  const { keepMs, maxTrees = MAX_TREES, now = () => performance.now() } = options
  /** The oldest first. */
  const slices: Slice[] = []
  const tenants = new Map<string, number>()
  let trees = 0
  let longestMs = 0

  function forget(nowMs: number): void {
    for (;;) {
      const [oldest] = slices
      if (oldest === undefined || oldest.lastMs + longestMs > nowMs) return
      slices.shift()
      trees -= oldest.counts.size
      for (const [tenant, count] of oldest.tenants) add(tenants, tenant, -count)
    }
  }

  function sliceAt(nowMs: number): Slice {
    const last = slices.at(-1)
    if (last !== undefined && nowMs - last.startMs < longestMs / SLICES)
      if (last.counts.size < SLICE_TREES) return last
    const fresh = { startMs: nowMs, lastMs: nowMs, counts: new Map(), tenants: new Map() }
    slices.push(fresh)
    return fresh
  }

  function begin(txn: string, tenant: string, nowMs: number): void {
    const own = tenants.get(tenant) ?? 0
    const share = Math.max(1, Math.floor((own + maxTrees - trees) / 2))
    if (trees >= maxTrees || own >= share)
      throw treesFull(`${own} trees of delegations of tenant ${tenant} are being counted`)
    const slice = sliceAt(nowMs)
    slice.lastMs = nowMs
    slice.counts.set(txn, 1)
    add(slice.tenants, tenant, 1)
    add(tenants, tenant, 1)
    trees += 1
  }

  return {
    async spend(txn, max, tenant) {
      const nowMs = now()
      longestMs = Math.max(longestMs, keepMs())
      forget(nowMs)
      for (const { counts } of slices) {
        const spent = counts.get(txn)
        if (spent === undefined) continue
        counts.set(txn, Math.min(UNBOUNDED, spent + 1))
        return spent < max
      }
      begin(txn, tenant, nowMs)
      return max >= 1
    },
  }
}

export function treesFull(message?: string): MeshError {
  return new MeshError('MESH_LIMIT_TREES', message, { retryAfterMs: 60_000 })
}

function add(counts: Map<string, number>, key: string, by: number): void {
  const count = (counts.get(key) ?? 0) + by
  if (count === 0) counts.delete(key)
  else counts.set(key, count)
}
