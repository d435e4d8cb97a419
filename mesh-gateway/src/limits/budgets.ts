/** How many delegations the tree of one root has begun, however many agents it spreads over. */
import { MeshError } from '@clawmesh/proto'

export interface Budgets {
  /**
   * Takes one from what the tree `txn` may have in all. False when that would be more than `max`.
   * @param tenant that the tree began in
   * @throws MeshError MESH_LIMIT_TREES when the tree is new and its tenant has as many as can be counted
   */
  spend(txn: string, max: number, tenant: string): Promise<boolean>
}

export interface MemoryBudgetsOptions {
  /** How long a tree is remembered, in milliseconds: as long as any of its tokens is taken. Read each time; the longest counts. */
  readonly keepMs: () => number
  /** Trees that are counted at once, about 100 bytes each; of one tenant half of what others leave. Default 1,000,000. */
  readonly maxTrees?: number
  /** Milliseconds of a monotonic clock. */
  readonly now?: () => number
}

/** As many as the store can count; what is allowed is the tenant's, and may change while a tree grows. */
export const UNBOUNDED = 2 ** 31 - 1

const MAX_TREES = 1_000_000
const SLICES = 8
/** A larger Map stops the event loop while it grows. */
const SLICE_TREES = 65_536

/** Trees that were first counted within one time: forgotten together, so that no tree needs a clock or an object of its own. */
interface Slice {
  readonly startMs: number
  lastMs: number
  readonly counts: Map<string, number>
  /** Trees of each tenant. */
  readonly tenants: Map<string, number>
}

/**
 * Counts in this process. A tree is remembered from its first delegation on: no token that can extend it is younger than its
 * root's, and none lives longer. It is never forgotten before, also when there is no room for others.
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
