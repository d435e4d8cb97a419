/**
 * The resolver of both data planes. With `servers` it asks them directly and honours TTLs; without, the
 * system's own way (hosts file included) answers addresses, kept for a moment since it tells no TTL.
 * One question for many askers; answers and refusals are kept within bounds.
 */
import { promises as dns } from 'node:dns'
import { isIPv6 } from 'node:net'
import {
  type ResolvedAddress,
  type ResolvedService,
  ResolveFailure,
  type Resolver,
} from './resolver.ts'

export interface ResolverOptions {
  /** `ip:port` or `[ip]:port` of DNS servers. Default: the system's resolver. */
  readonly servers?: readonly string[]
  /** How long one question may take, in milliseconds. Default 5000. */
  readonly timeoutMs?: number
  /** Milliseconds of a monotonic clock. */
  readonly now?: () => number
}

/** An answer of the system has no TTL; it is kept this long. */
const SYSTEM_TTL_MS = 5_000
/** A name that is not there is asked for again after this long. */
const NEGATIVE_TTL_MS = 2_000
/** The system's resolver holds one of the four threads that files are written with: names that are slow must not take them all. */
const SYSTEM_LOOKUPS = 2
const MAX_TTL_MS = 3_600_000
const MAX_ENTRIES = 10_000

interface Entry<T> {
  readonly answer: readonly T[] | ResolveFailure
  readonly expires: number
}

/** @throws TypeError when an entry of `servers` is not an address. */
export function createResolver(options: ResolverOptions = {}): Resolver {
  const timeoutMs = options.timeoutMs ?? 5_000
  const now = options.now ?? (() => performance.now())
  const direct = new dns.Resolver({ timeout: Math.max(1, Math.floor(timeoutMs / 2)), tries: 2 })
  const servers = options.servers ?? []
  const turn = takeTurns(SYSTEM_LOOKUPS)
  if (servers.length > 0) setServers(direct, servers)

  async function askAddresses(host: string): Promise<ResolvedAddress[]> {
    if (servers.length === 0) return await systemAddresses(host, turn)
    const answers = await Promise.allSettled([
      direct.resolve4(host, { ttl: true }),
      direct.resolve6(host, { ttl: true }),
    ])
    const found = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []))
    if (found.length > 0)
      return found.map(({ address, ttl }) => ({ ip: address, ttlMs: ttl * 1000 }))
    const failures = answers.map((answer) =>
      failureOf(answer.status === 'rejected' ? answer.reason : undefined),
    )
    // "no such record" is known only when both questions were answered
    throw failures.find((failure) => failure.kind !== 'not-found') ?? failures[0]
  }

  async function askServices(name: string): Promise<(ResolvedService & { ttlMs: number })[]> {
    const records = await direct.resolveSrv(name)
    // c-ares gives no TTL with SRV records; the addresses behind them have theirs
    return records.map(({ name: host, port, priority, weight }) => ({
      host: host.toLowerCase().replace(/\.$/, ''),
      port,
      priority,
      weight,
      ttlMs: SYSTEM_TTL_MS,
    }))
  }

  const addresses = remember(askAddresses, timeoutMs, now)
  const services = remember(askServices, timeoutMs, now)
  return Object.freeze({ addresses, services, close: () => direct.cancel() })
}

function setServers(resolver: dns.Resolver, servers: readonly string[]): void {
  try {
    resolver.setServers(servers)
  } catch (cause) {
    throw new TypeError('dns servers: each must be an IP address, optionally with :port', { cause })
  }
}

async function systemAddresses(host: string, turn: Turn): Promise<ResolvedAddress[]> {
  const found = await turn(() => dns.lookup(host, { all: true, order: 'verbatim' }))
  return found.map(({ address }) => ({ ip: address, ttlMs: SYSTEM_TTL_MS }))
}

type Turn = <T>(work: () => Promise<T>) => Promise<T>

/** Runs so many at once; the others wait. */
function takeTurns(atOnce: number): Turn {
  const waiting: (() => void)[] = []
  let running = 0
  return async (work) => {
    if (running >= atOnce) await new Promise<void>((resolve) => waiting.push(resolve))
    running += 1
    try {
      return await work()
    } finally {
      running -= 1
      waiting.shift()?.()
    }
  }
}

/** Wraps a question with a cache, single flight and a time limit. */
function remember<T extends { readonly ttlMs: number }>(
  ask: (name: string) => Promise<T[]>,
  timeoutMs: number,
  now: () => number,
): (name: string) => Promise<readonly T[]> {
  const kept = new Map<string, Entry<T>>()
  const asking = new Map<string, Promise<readonly T[]>>()

  async function askOnce(name: string): Promise<readonly T[]> {
    let entry: Entry<T>
    try {
      const answer = await within(ask(name), timeoutMs)
      if (answer.length === 0) throw new ResolveFailure('not-found')
      const ttlMs = Math.min(MAX_TTL_MS, ...answer.map((one) => one.ttlMs))
      entry = { answer, expires: now() + ttlMs }
    } catch (cause) {
      const failure = failureOf(cause)
      // only "it is not there" is an answer; trouble is asked about again at once
      entry = {
        answer: failure,
        expires: failure.kind === 'not-found' ? now() + NEGATIVE_TTL_MS : 0,
      }
    }
    asking.delete(name)
    kept.delete(name)
    if (entry.expires > 0) kept.set(name, entry)
    const oldest = kept.size > MAX_ENTRIES ? kept.keys().next().value : undefined
    if (oldest !== undefined) kept.delete(oldest)
    if (entry.answer instanceof ResolveFailure) throw entry.answer
    return entry.answer
  }

  return (name) => {
    const entry = kept.get(name)
    if (entry !== undefined && entry.expires > now())
      return entry.answer instanceof ResolveFailure
        ? Promise.reject(entry.answer)
        : Promise.resolve(entry.answer)
    const running = asking.get(name)
    if (running !== undefined) return running
    const started = askOnce(name)
    asking.set(name, started)
    return started
  }
}

async function within<T>(answer: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new ResolveFailure('timeout')), timeoutMs)
  })
  try {
    return await Promise.race([answer, late])
  } finally {
    clearTimeout(timer)
  }
}

function failureOf(cause: unknown): ResolveFailure {
  if (cause instanceof ResolveFailure) return cause
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  if (code === 'ENOTFOUND' || code === 'ENODATA') return new ResolveFailure('not-found', cause)
  if (code === 'ETIMEOUT' || code === 'ECANCELLED' || code === 'EAI_AGAIN')
    return new ResolveFailure('timeout', cause)
  return new ResolveFailure('failed', cause)
}

/** `1.2.3.4:53` of an address and a port, brackets where needed. */
export function formatEndpoint(ip: string, port: number): string {
  return isIPv6(ip) ? `[${ip}]:${port}` : `${ip}:${port}`
}
