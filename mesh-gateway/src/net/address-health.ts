/**
 * A circuit breaker per address: an address that failed to connect is unhealthy and comes last for a while: 30 s after
 * the first failure, twice as long after each further one. After that time one connection tries it again, and the
 * others wait for its result.
 */
export interface AddressHealth {
  /** False while the address is avoided. True once when that time is over: the caller then tries it for all. */
  mayTry(key: string): boolean
  /** Reports that it has connected. */
  good(key: string): void
  /** Reports that it failed to connect, or that a later attempt was faster. */
  bad(key: string): void
  /** Keeps the order, with avoided addresses last. */
  order<A>(addresses: readonly A[], keyOf: (address: A) => string): readonly A[]
  /** Forgets all other addresses. */
  keepOnly(keys: ReadonlySet<string>): void
  /** How long it is still avoided, in milliseconds, and its failures; null when it is healthy. */
  state(key: string): { readonly avoidedMs: number; readonly failures: number } | null
  /** The number of remembered addresses. */
  readonly size: number
}

export interface AddressHealthOptions {
  /** How long an address is avoided after its first failure, in milliseconds; doubles with each. Default 30,000. */
  readonly firstMs?: number
  /** The maximum time, in milliseconds. Default 600,000. */
  readonly longestMs?: number
  /** Maximum remembered addresses; over it the oldest is evicted. Default 10,000. */
  readonly max?: number
  /** Milliseconds of a monotonic clock. */
  readonly now?: () => number
}

interface Failing {
  readonly failures: number
  readonly untilMs: number
  /** Its time was over, and one caller is trying it. */
  readonly tried: boolean
}

/** How long the others wait for that caller, in milliseconds. */
const TRIAL_MS = 1_000

export function createAddressHealth(options: AddressHealthOptions = {}): AddressHealth {
  const { firstMs = 30_000, longestMs = 600_000, max = 10_000 } = options
  const { now = () => performance.now() } = options
  const failing = new Map<string, Failing>()

  function mayTry(key: string): boolean {
    const known = failing.get(key)
    if (known === undefined) return true
    const nowMs = now()
    if (known.untilMs > nowMs) return false
    failing.set(key, { failures: known.failures, untilMs: nowMs + TRIAL_MS, tried: true })
    return true
  }

  return {
    mayTry,
    good: (key) => void failing.delete(key),
    bad(key) {
      const known = failing.get(key)
      const nowMs = now()
      // concurrent connections have all seen the same failure
      if (known !== undefined && !known.tried && known.untilMs > nowMs) return
      const failures = (known?.failures ?? 0) + 1
      const pauseMs = Math.min(longestMs, firstMs * 2 ** (failures - 1))
      failing.delete(key)
      failing.set(key, { failures, untilMs: nowMs + pauseMs, tried: false })
      const oldest = failing.size > max ? failing.keys().next().value : undefined
      if (oldest !== undefined) failing.delete(oldest)
    },
    order(addresses, keyOf) {
      if (addresses.length < 2 || failing.size === 0) return addresses
      const good: (typeof addresses)[number][] = []
      const avoided: (typeof addresses)[number][] = []
      for (const address of addresses)
        if (mayTry(keyOf(address))) good.push(address)
        else avoided.push(address)
      return avoided.length === 0 ? addresses : [...good, ...avoided]
    },
    keepOnly(keys) {
      for (const key of failing.keys()) if (!keys.has(key)) failing.delete(key)
    },
    state(key) {
      const known = failing.get(key)
      if (known === undefined) return null
      return { avoidedMs: Math.max(0, known.untilMs - now()), failures: known.failures }
    },
    get size() {
      return failing.size
    },
  }
}
