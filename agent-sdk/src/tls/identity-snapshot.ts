/**
 * An identity as it stood on disk at one moment: certificate, key and roots, proven to fit together.
 * Immutable; a renewal makes a new one.
 */
import type { Identity, MeshError, Secret } from '@clawmesh/proto'

export interface IdentitySnapshot {
  /** 1 for the first one loaded; grows by one with each change. */
  readonly generation: number
  readonly identity: Identity
  /** DNS SANs of the leaf, lower case. */
  readonly dnsNames: readonly string[]
  readonly notBefore: Date
  /** When it ends: the leaf's end, or that of a CA between it and the root which ends earlier. */
  readonly notAfter: Date
  /** SHA-256 of the leaf, lower-case hexadecimal. */
  readonly fingerprint: string
  /** Leaf, then intermediates, PEM. */
  readonly certificateChain: string
  /** PKCS #8, PEM. */
  readonly privateKey: Secret<string>
  /** The trust bundle: at least one root. */
  readonly roots: readonly TrustedRoot[]
}

export interface TrustedRoot {
  readonly pem: string
  /** SHA-256 of the certificate, lower-case hexadecimal. */
  readonly fingerprint: string
  readonly notAfter: Date
  /** Name and key of the CA, lower-case hexadecimal: a root renewed with its key has the same. Default: taken from `pem` when it is needed. */
  readonly anchor?: string
}

export interface ReloadOutcome {
  readonly ok: boolean
  readonly at: Date
  /** Why the last good snapshot was kept; null when ok. */
  readonly error: MeshError | null
}

/** A watched identity: always the last good snapshot, never none. */
export interface IdentityStore {
  current(): IdentitySnapshot
  /** Called after each swap, with the new snapshot. Returns a function that ends it. */
  onChange(listener: (snapshot: IdentitySnapshot) => void): () => void
  /** Reads the files now. True when what is on disk is what is in use. Never rejects. */
  reload(): Promise<boolean>
  /** How the latest attempt to load went. */
  lastReload(): ReloadOutcome
  /** Called after each attempt to load that found changed files, good or bad. Returns a function that ends it. */
  onReload(listener: (outcome: ReloadOutcome) => void): () => void
  close(): Promise<void>
}
