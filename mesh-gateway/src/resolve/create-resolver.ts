/**
 * The DNS resolver of both data planes. With `servers` it asks them directly and honours TTLs; without, it uses the
 * system's resolver (hosts file included), whose answers are cached for a moment since they have no TTL. A name with a
 * dot is absolute: the search list of resolv.conf never turns a judged name into another. Concurrent questions for one
 * name share one lookup. Lookups, queue and cache are bounded, and no agent's names delay or evict those of another.
 */
import { promises as dns } from 'node:dns'
import { isIPv6 } from 'node:net'
import { hasDescriptors } from '../net/descriptors.ts'
import { lookupThreads } from '../process/thread-pool.ts'
import { createAnswers } from './answers.ts'
import { createHostsFile, type HostsFile } from './hosts-file.ts'
import { createLookupQueue, type LookupQueue } from './lookup-queue.ts'
import {
  type ResolvedAddress,
  type ResolvedService,
  ResolveFailure,
  type Resolver,
} from './resolver.ts'
import { withPorts } from './server-addresses.ts'
import { srvTtlMs } from './srv-ttl.ts'
import { within } from './within.ts'

export interface ResolverOptions {
  /** `ip:port` or `[ip]:port` of DNS servers. Default: the system's resolver. */
  readonly servers?: readonly string[]
  /** Timeout of one question, in milliseconds. Default 5000. */
  readonly timeoutMs?: number
  /** Maximum concurrent questions to `servers`. Default 256. */
  readonly maxQueries?: number
  /**
   * Maximum concurrent lookups by the system's resolver. Default: all threads of the process except those reserved for
   * files.
   */
  readonly maxLookups?: number
  /** Maximum cached answers. Default 10,000. */
  readonly maxAnswers?: number
  /** Read before the system's resolver is asked. Default `/etc/hosts`. */
  readonly hostsFile?: string
  /** Milliseconds of a monotonic clock. */
  readonly now?: () => number
}

/** TTL of the system's answers, which have none, in milliseconds. */
const SYSTEM_TTL_MS = 5_000
/** TTL of a name that does not exist, in milliseconds. */
const NEGATIVE_TTL_MS = 2_000
/** The wait for the TTL of SRV records, besides the records themselves, in milliseconds. */
const TTL_WAIT_MS = 1_000
const MAX_QUERIES = 256
const WAITING = 4_096
const WAITING_PER_TENANT = 1_024
const WAITING_PER_ASKER = 256
/** For peers of all agents, which are many. */
const WAITING_OF_MESH = 2_048
const MAX_TTL_MS = 3_600_000
const MAX_ANSWERS = 10_000
/** The asker where none is named. */
const MESH = ''

/** @throws TypeError when an entry of `servers` is not an address */
export function createResolver(options: ResolverOptions = {}): Resolver {
  const timeoutMs = options.timeoutMs ?? 5_000
  const now = options.now ?? (() => performance.now())
  const maxAnswers = options.maxAnswers ?? MAX_ANSWERS
  const direct = new dns.Resolver({ timeout: Math.max(1, Math.floor(timeoutMs / 2)), tries: 2 })
  const servers = options.servers ?? []
  if (servers.length > 0) setServers(direct, servers)
  const hosts = createHostsFile(options.hostsFile)
  const queries = fairTurns(options.maxQueries ?? MAX_QUERIES)
  const lookups =
    servers.length > 0 ? queries : fairTurns(options.maxLookups ?? lookupThreads(process.env))

  async function askAddresses(host: string): Promise<ResolvedAddress[]> {
    if (servers.length === 0) return await systemAddresses(host, hosts)
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
    // "no such record" needs an answer to both questions
    throw failures.find((failure) => failure.kind !== 'not-found') ?? failures[0]
  }

  async function askServices(name: string): Promise<(ResolvedService & { ttlMs: number })[]> {
    const [server] = withPorts(direct.getServers())
    const ttl = server === undefined ? null : srvTtlMs(name, server, TTL_WAIT_MS)
    const records = await direct.resolveSrv(name)
    const ttlMs = (await ttl) ?? SYSTEM_TTL_MS
    return records.map(({ name: host, port, priority, weight }) => ({
      host: host.toLowerCase().replace(/\.$/, ''),
      port,
      priority,
      weight,
      ttlMs,
    }))
  }

  const asked = withPorts(direct.getServers())
  const bounds = { timeoutMs, maxAnswers, now, asked }
  return Object.freeze({
    addresses: remember(askAddresses, { ...bounds, turns: lookups }),
    services: remember(askServices, { ...bounds, turns: queries }),
    close() {
      lookups.close()
      queries.close()
      direct.cancel()
    },
  })
}

/** Never gives all lookups to one tenant, nor a tenant's whole share to one agent. */
function fairTurns(atOnce: number): LookupQueue {
  const ofTenant = atOnce > 4 ? Math.ceil(atOnce / 2) : Math.max(1, atOnce - 1)
  const ofAgent = atOnce > 4 ? Math.ceil(atOnce / 4) : Math.max(1, atOnce - 2)
  return createLookupQueue({
    running: atOnce,
    runningPerTenant: () => ofTenant,
    // the mesh counts as one tenant, which asks for the peers of all agents
    runningPerAsker: (asker) => (asker === MESH ? ofTenant : ofAgent),
    waiting: WAITING,
    waitingPerTenant: (tenant) => (tenant === MESH ? WAITING_OF_MESH : WAITING_PER_TENANT),
    waitingPerAsker: (asker) => (asker === MESH ? WAITING_OF_MESH : WAITING_PER_ASKER),
  })
}

function setServers(resolver: dns.Resolver, servers: readonly string[]): void {
  try {
    resolver.setServers(servers)
  } catch (cause) {
    throw new TypeError('dns servers: each must be an IP address, optionally with :port', { cause })
  }
}

/** A trailing dot bypasses the search list of the C library, and also its hosts file. */
async function systemAddresses(host: string, hosts: HostsFile): Promise<ResolvedAddress[]> {
  const kept = (ips: readonly string[]) => ips.map((ip) => ({ ip, ttlMs: SYSTEM_TTL_MS }))
  if (!host.includes('.')) return kept(await lookUp(host))
  const bare = host.endsWith('.') ? host.slice(0, -1) : host
  const listed = await hosts.addresses(bare)
  return kept(listed.length > 0 ? listed : await lookUp(`${bare}.`))
}

async function lookUp(name: string): Promise<string[]> {
  const found = await dns.lookup(name, { all: true, order: 'verbatim' })
  return found.map(({ address }) => address)
}

interface Remembering {
  readonly turns: LookupQueue
  readonly timeoutMs: number
  readonly maxAnswers: number
  readonly now: () => number
  /** The servers, for the message when they do not answer. */
  readonly asked: readonly string[]
}

/** Adds to a lookup: a cache, a queue, a timeout, and one shared answer for concurrent questions. */
function remember<T extends { readonly ttlMs: number }>(
  ask: (name: string) => Promise<T[]>,
  { turns, timeoutMs, maxAnswers, now, asked: servers }: Remembering,
): (name: string, asker?: string) => Promise<readonly T[]> {
  const answers = createAnswers<T>(maxAnswers, now)
  /** Running lookups by name: a further question for the name gets the same answer. */
  const running = new Map<string, Promise<readonly T[]>>()
  /** Questions by asker and name. Separate per asker: an agent never waits in the queue of another. */
  const asked = new Map<string, Promise<readonly T[]>>()

  async function run(name: string, asker: string): Promise<readonly T[]> {
    try {
      const answer = await ask(name)
      if (answer.length === 0) throw new ResolveFailure('not-found')
      const ttlMs = Math.min(MAX_TTL_MS, ...answer.map((one) => one.ttlMs))
      answers.put(name, answer, now() + ttlMs, asker)
      return answer
    } catch (cause) {
      // the C library and c-ares hide a lack of descriptors: it looks like a missing name or a refusing server
      const failure = hasDescriptors()
        ? failureOf(cause)
        : new ResolveFailure('no-descriptors', cause)
      // only "not found" is cached; a failure is asked again at once
      if (failure.kind === 'not-found') answers.put(name, failure, now() + NEGATIVE_TTL_MS, asker)
      throw failure
    } finally {
      running.delete(name)
    }
  }

  /** Names the servers, unless the name was still waiting for its turn. */
  function named(failure: ResolveFailure, runs: boolean): ResolveFailure {
    const { kind, cause } = failure
    const told = kind === 'failed' || (kind === 'timeout' && (runs || failure.code !== null))
    return told ? new ResolveFailure(kind, cause, servers) : failure
  }

  /** Joining a running lookup needs no turn. */
  async function answer(name: string, asker: string): Promise<readonly T[]> {
    const joined = running.get(name)
    if (joined !== undefined) return await within(joined, timeoutMs)
    const untilMs = now() + timeoutMs
    const begun = await turns.take(asker, () => begin(name, asker), timeoutMs)
    if ('answer' in begun) return begun.answer
    return await within(begun.joined, Math.max(0, untilMs - now()))
  }

  /** At the asker's turn. If another has asked meanwhile, the turn ends at once. */
  async function begin(name: string, asker: string): Promise<Begun<T>> {
    const known = answers.get(name, asker)
    if (known !== undefined) return { answer: await settled(known) }
    const joined = running.get(name)
    if (joined !== undefined) return { joined }
    const started = run(name, asker)
    running.set(name, started)
    return { answer: await started }
  }

  return (name, asker = MESH) => {
    const known = answers.get(name, asker)
    if (known !== undefined) return settled(known)
    const key = `${asker} ${name}`
    const same = asked.get(key)
    if (same !== undefined) return same
    const answered = answer(name, asker)
      .catch((cause: unknown) => {
        throw named(failureOf(cause), running.has(name))
      })
      .finally(() => asked.delete(key))
    asked.set(key, answered)
    return answered
  }
}

type Begun<T> = { readonly answer: readonly T[] } | { readonly joined: Promise<readonly T[]> }

function settled<T>(answer: readonly T[] | ResolveFailure): Promise<readonly T[]> {
  return answer instanceof ResolveFailure ? Promise.reject(answer) : Promise.resolve(answer)
}

function failureOf(cause: unknown): ResolveFailure {
  if (cause instanceof ResolveFailure) return cause
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  if (code === 'ENOTFOUND' || code === 'ENODATA') return new ResolveFailure('not-found', cause)
  if (code === 'ETIMEOUT' || code === 'ECANCELLED' || code === 'ECONNREFUSED')
    return new ResolveFailure('timeout', cause)
  return new ResolveFailure('failed', cause)
}

/** `1.2.3.4:53` for an address and a port, with brackets for IPv6. */
export function formatEndpoint(ip: string, port: number): string {
  return isIPv6(ip) ? `[${ip}]:${port}` : `${ip}:${port}`
}
