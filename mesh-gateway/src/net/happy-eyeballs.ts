/**
 * Connects to the first of several addresses that answers (RFC 8305, section 5), for both planes. Tries the next
 * address when the one before has failed, or has not connected within 250 ms. Takes the first connection and aborts the
 * other attempts. It dials nothing itself, and tries only the given addresses, which were judged before.
 */
import { isIPv6 } from 'node:net'
import type { AddressHealth } from './address-health.ts'

/** The controls of one attempt. */
export interface Attempt {
  /** Aborts when another address has won, when the time is over, or when no request waits any more. */
  readonly signal: AbortSignal
  /** Reports a completed step, e.g. TCP before TLS. The next address then waits for the full delay again. */
  progressed(): void
}

export type AttemptEnd<T, F> = { readonly connection: T } | { readonly failure: F }

export interface RaceOptions<A, T, F> {
  readonly health: Pick<AddressHealth, 'good' | 'bad'>
  keyOf(address: A): string
  /** Returns a failure; rejects only to end the whole race. */
  connect(address: A, attempt: Attempt): Promise<AttemptEnd<T, F>>
  /** Closes a connection that came after the winner. */
  discard(connection: T): void
  /** The delay before `next` is tried besides `address`, in milliseconds. Default 250. */
  delayMs?(address: A, next: A): number
  /** Timeout for all addresses together, in milliseconds. Default: each attempt ends by itself. */
  readonly timeoutMs?: number
  /** Ends the race; pending attempts leave no trace. */
  readonly signal?: AbortSignal
}

export type RaceEnd<A, T, F> =
  | { readonly address: A; readonly connection: T }
  | {
      /** In the order of failure. */
      readonly failures: readonly { readonly address: A; readonly failure: F }[]
      /** The attempts still pending at the timeout, in the order of addresses. */
      readonly unanswered: readonly A[]
      readonly aborted: boolean
    }

/** Connection Attempt Delay (RFC 8305, section 5). */
export const CONNECTION_ATTEMPT_DELAY_MS = 250
/** Maximum concurrent attempts: for a name with hundreds of addresses, the oldest attempt makes room for the next. */
const MAX_ATTEMPTS = 6

/** @param addresses the best first; at least one */
export function raceConnections<A, T, F>(
  addresses: readonly A[],
  options: RaceOptions<A, T, F>,
): Promise<RaceEnd<A, T, F>> {
  return new Promise((resolve, reject) => new Race(addresses, options, resolve, reject).start())
}

/** Alternates the address families (RFC 8305, section 4), beginning with that of the first address. */
export function interleaveFamilies<A>(
  addresses: readonly A[],
  ipOf: (address: A) => string,
): readonly A[] {
  const [first] = addresses
  if (first === undefined) return addresses
  const leads = isIPv6(ipOf(first))
  const leading = addresses.filter((address) => isIPv6(ipOf(address)) === leads)
  if (leading.length === addresses.length) return addresses
  const others = addresses.filter((address) => isIPv6(ipOf(address)) !== leads)
  const turns = Array.from({ length: Math.max(leading.length, others.length) }, (_, turn) =>
    [leading, others].flatMap((family) => family.slice(turn, turn + 1)),
  )
  return turns.flat()
}

interface Running<A> {
  readonly address: A
  readonly controller: AbortController
}

class Race<A, T, F> {
  readonly #addresses: readonly A[]
  readonly #options: RaceOptions<A, T, F>
  readonly #resolve: (end: RaceEnd<A, T, F>) => void
  readonly #reject: (cause: unknown) => void
  readonly #failures: { readonly address: A; readonly failure: F }[] = []
  /** In the order of their start. */
  readonly #running = new Set<Running<A>>()
  readonly #onAbort = () => this.#endWithout(true)
  #latest: Running<A> | null = null
  #next = 0
  #over = false
  #delay: NodeJS.Timeout | undefined
  #deadline: NodeJS.Timeout | undefined

  constructor(
    addresses: readonly A[],
    options: RaceOptions<A, T, F>,
    resolve: (end: RaceEnd<A, T, F>) => void,
    reject: (cause: unknown) => void,
  ) {
    this.#addresses = addresses
    this.#options = options
    this.#resolve = resolve
    this.#reject = reject
  }

  start(): void {
    const { signal, timeoutMs } = this.#options
    if (signal?.aborted === true) {
      this.#endWithout(true)
      return
    }
    signal?.addEventListener('abort', this.#onAbort)
    if (timeoutMs !== undefined)
      this.#deadline = setTimeout(() => this.#endWithout(false), timeoutMs)
    this.#tryNext()
  }

  #tryNext(): void {
    clearTimeout(this.#delay)
    const address = this.#addresses[this.#next]
    if (address === undefined) {
      if (this.#running.size === 0) this.#endWithout(false)
      return
    }
    this.#next += 1
    const [oldest] = this.#running
    if (oldest !== undefined && this.#running.size >= MAX_ATTEMPTS) this.#giveUp(oldest)
    const one = { address, controller: new AbortController() }
    this.#running.add(one)
    this.#latest = one
    this.#waitForNext(one)
    const progressed = () => {
      if (!this.#over && this.#latest === one) this.#waitForNext(one)
    }
    this.#options
      .connect(address, { signal: one.controller.signal, progressed })
      .then((end) => this.#onEnd(one, end))
      .catch((cause: unknown) => this.#finish(() => this.#reject(cause)))
  }

  #waitForNext({ address }: Running<A>): void {
    clearTimeout(this.#delay)
    const next = this.#addresses[this.#next]
    if (next === undefined) return
    const ms = this.#options.delayMs?.(address, next) ?? CONNECTION_ATTEMPT_DELAY_MS
    if (Number.isFinite(ms)) this.#delay = setTimeout(() => this.#tryNext(), ms)
  }

  #onEnd(one: Running<A>, end: AttemptEnd<T, F>): void {
    const { health, keyOf, discard } = this.#options
    const wanted = this.#running.delete(one)
    if (this.#over || !wanted) {
      if ('connection' in end) discard(end.connection)
    } else if ('connection' in end) this.#win(one, end.connection)
    else {
      health.bad(keyOf(one.address))
      this.#failures.push({ address: one.address, failure: end.failure })
      if (one === this.#latest || this.#running.size === 0) this.#tryNext()
    }
  }

  #win({ address }: Running<A>, connection: T): void {
    const { health, keyOf } = this.#options
    const at = this.#addresses.indexOf(address)
    // attempts that began earlier are slower; those that began later are unknown
    for (const slower of this.#running)
      if (this.#addresses.indexOf(slower.address) < at) health.bad(keyOf(slower.address))
    health.good(keyOf(address))
    this.#finish(() => this.#resolve({ address, connection }))
  }

  #giveUp(one: Running<A>): void {
    this.#running.delete(one)
    this.#options.health.bad(this.#options.keyOf(one.address))
    one.controller.abort()
  }

  #endWithout(aborted: boolean): void {
    const unanswered = [...this.#running].map(({ address }) => address)
    const { health, keyOf } = this.#options
    if (!aborted) for (const address of unanswered) health.bad(keyOf(address))
    this.#finish(() => this.#resolve({ failures: this.#failures, unanswered, aborted }))
  }

  #finish(tell: () => void): void {
    if (this.#over) return
    this.#over = true
    clearTimeout(this.#delay)
    clearTimeout(this.#deadline)
    this.#options.signal?.removeEventListener('abort', this.#onAbort)
    for (const { controller } of this.#running) controller.abort()
    tell()
  }
}
