/**
 * Names to addresses, asked anew whenever the answer has outlived its TTL.
 * Asks DNS servers directly, so that TTLs are known; without `servers` those of the system.
 */
export interface ResolvedAddress {
  readonly ip: string
  readonly ttlMs: number
}

export interface ResolvedService {
  readonly host: string
  readonly port: number
  readonly priority: number
  readonly weight: number
}

export interface Resolver {
  /** All A and AAAA records of a canonical name. Never empty. @throws ResolveFailure */
  addresses(host: string): Promise<readonly ResolvedAddress[]>
  /** All SRV records (RFC 2782). Never empty. @throws ResolveFailure */
  services(name: string): Promise<readonly ResolvedService[]>
  close(): void
}

export class ResolveFailure extends Error {
  override readonly name = 'ResolveFailure'
  readonly kind: 'not-found' | 'timeout' | 'failed'

  constructor(kind: 'not-found' | 'timeout' | 'failed', cause?: unknown) {
    super(`dns: ${kind}`, { cause })
    this.kind = kind
  }
}
