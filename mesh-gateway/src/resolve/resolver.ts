/**
 * Names to addresses, asked anew whenever the answer has outlived its TTL.
 * Asks DNS servers directly, so that TTLs are known; without `servers` those of the system.
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
  /** Of the record, where it is known. */
  readonly ttlMs?: number
}

export interface Resolver {
  /**
   * All A and AAAA records of a canonical name. Never empty. A name with a dot, a trailing one included, is absolute; a name
   * of one label may be completed by the search list of the system.
   * @param asker who is not to be held up by the questions of others, nor others by its own, e.g. `acme/bot-01`. Default the mesh itself
   * @throws ResolveFailure
   */
  addresses(host: string, asker?: string): Promise<readonly ResolvedAddress[]>
  /** All SRV records (RFC 2782) of an absolute name. Never empty. @throws ResolveFailure */
  services(name: string, asker?: string): Promise<readonly ResolvedService[]>
  close(): void
}

/**
 * `timeout`: no server has answered, or the name waited for its turn for too long. `failed`: a server has answered that it cannot tell.
 * `too-many`: of the asker's own names. `busy`: of all together. `no-descriptors`: the gateway has none left. Of these three DNS has not been asked.
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
  /** The servers that were asked, e.g. `10.0.0.2:53`; none when the name was not asked for. */
  readonly servers: readonly string[]
  /** What the resolver of Node said, e.g. `ESERVFAIL`; null when it said nothing. */
  readonly code: string | null

  constructor(kind: ResolveFailureKind, cause?: unknown, servers: readonly string[] = []) {
    super(`dns: ${kind}`, { cause })
    this.kind = kind
    this.servers = servers
    this.code = cause instanceof Error && 'code' in cause ? String(cause.code) : null
  }
}
