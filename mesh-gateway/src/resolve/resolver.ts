/**
 * Resolves names to addresses, and asks again when the TTL of an answer is over. Asks DNS servers directly, so that
 * TTLs are known; without `servers`, those of the system.
 */
export interface ResolvedAddress {
  readonly ip: string
  readonly ttlMs: number
}

export interface ResolvedService {
  /** Absolute, without the trailing dot. */
  readonly host: string
  readonly port: number
  readonly priority: number
  readonly weight: number
  /** The TTL of the record, where it is known. */
  readonly ttlMs?: number
}

export interface Resolver {
  /**
   * All A and AAAA records of a canonical name. Never empty. A name with a dot, also a trailing one, is absolute; the
   * system's search list may complete a name of one label.
   * @param asker for fairness: the agent whose lookups this counts as, e.g. `acme/bot-01`. Default: the mesh itself
   * @throws ResolveFailure
   */
  addresses(host: string, asker?: string): Promise<readonly ResolvedAddress[]>
  /** All SRV records (RFC 2782) of an absolute name. Never empty. @throws ResolveFailure */
  services(name: string, asker?: string): Promise<readonly ResolvedService[]>
  close(): void
}

/**
 * `timeout`: no server has answered, or the name waited too long for its turn. `failed`: a server has answered with a
 * failure. `too-many`: of the asker's own names. `busy`: of all together. `no-descriptors`: the gateway has none left.
 * In the last three cases DNS was not asked.
 */
export type ResolveFailureKind =
  | 'not-found'
  | 'timeout'
  | 'failed'
  | 'too-many'
  | 'busy'
  | 'no-descriptors'

export class ResolveFailure extends Error {
  override readonly name = 'ResolveFailure'
  readonly kind: ResolveFailureKind
  /** The servers that were asked, e.g. `10.0.0.2:53`; empty when DNS was not asked. */
  readonly servers: readonly string[]
  /** The code of Node's resolver, e.g. `ESERVFAIL`; null without one. */
  readonly code: string | null

  constructor(kind: ResolveFailureKind, cause?: unknown, servers: readonly string[] = []) {
    super(`dns: ${kind}`, { cause })
    this.kind = kind
    this.servers = servers
    this.code = cause instanceof Error && 'code' in cause ? String(cause.code) : null
  }
}
