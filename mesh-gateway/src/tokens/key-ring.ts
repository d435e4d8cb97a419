/**
 * The signing keys of the gateway, reloaded on change. One key signs; the next one is already published; older ones
 * verify until their overlap ends. Private keys never leave their directory and this process.
 */
import { hkdfSync, type KeyObject } from 'node:crypto'
import { join } from 'node:path'
import { type Disk, type Log, silentLog } from '@clawmesh/agent-sdk/mesh'
import type { TokenLink } from '@clawmesh/proto/pkcs11'
import type { JWTPayload } from 'jose'
import { follow } from '../files/follow.ts'
import type { Metrics } from '../telemetry/metrics-port.ts'
import { RING_FILE, type RingKey, readRing, unusable } from './key-ring-file.ts'
import { keyToken, keyTokenLink } from './key-token.ts'
import { ensureRing } from './rotate-keys.ts'
import { signJwt, tokenKeyProof } from './sign-jwt.ts'

export interface KeyRingOptions {
  /** Contains ring.json and one PEM file per key. Created, with its first keys, when it is empty or missing. */
  readonly dir: string
  /** URI of the token that holds the private keys (PKCS #11); null, as by default: keys are files. */
  readonly pkcs11?: string | null
  /** Signs in that token, and is not closed with the ring. Default: a process of its own that is logged in. */
  readonly link?: TokenLink | null
  readonly log?: Log
  readonly metrics?: Pick<Metrics, 'reload'>
  /** Milliseconds. Default 10,000. */
  readonly pollMs?: number
  /** Shared by all file followers of this process. Default: its own. */
  readonly disk?: Disk | undefined
  /** Milliseconds since the epoch. Default: the system clock. */
  readonly now?: () => number
}

export interface VerifyingKey {
  readonly publicKey: KeyObject
  /** When it stops verifying, milliseconds since the epoch; null: no end yet. */
  readonly untilMs: number | null
}

/** A public key in the form of a JWKS (RFC 7517). */
export interface PublicJwk {
  readonly kty: 'EC'
  readonly crv: 'P-256'
  readonly x: string
  readonly y: string
  readonly kid: string
  readonly alg: 'ES256'
  readonly use: 'sig'
}

export interface KeyRing {
  /** The key that signs; its private key is null when it is in a token. */
  active(): { readonly kid: string; readonly privateKey: KeyObject | null }
  /** A JWT (ES256) by the key that signs. @throws MeshError MESH_HSM_* when that key is in a token that is away */
  sign(typ: string, claims: JWTPayload): Promise<string>
  /** Why tokens cannot be signed, though all else works: the token of the keys is away. Null when they can. */
  problem(): string | null
  /** Null when unknown, retired, or past its overlap. */
  verifying(kid: string): VerifyingKey | null
  /** The keys that verify, with their roles and ends (ISO 8601); no key material. */
  list(): readonly Pick<RingKey, 'kid' | 'role' | 'created' | 'until'>[]
  /** Public keys only: the active one, the next one, and those that still verify. */
  jwks(): { readonly keys: readonly PublicJwk[] }
  /**
   * Derives secrets for a purpose, one from each valid key, the active one's first (HKDF, RFC 5869). All gateways with
   * this ring derive the same.
   */
  derive(purpose: string): readonly Buffer[]
  generation(): number
  /** Called when keys have changed. Returns the function that unsubscribes. */
  onChange(listener: () => void): () => void
  reload(): Promise<boolean>
  close(): Promise<void>
}

const MAX_TIMER_MS = 2 ** 31 - 1

/** @throws MeshError MESH_KEYS_UNUSABLE or MESH_DISK_WRITE */
export async function openKeyRing(options: KeyRingOptions): Promise<KeyRing> {
  const { dir, log = silentLog, now = Date.now, pkcs11 = null } = options
  const token = keyToken(pkcs11)
  if (await ensureRing({ dir, now, token })) log.info({ dir }, 'signing keys made')
  const own = options.link ? null : keyTokenLink(pkcs11)
  const link = options.link ?? own
  const prove = tokenKeyProof(dir, link)
  const keys = await follow<readonly RingKey[]>({
    what: 'keys',
    files: [join(dir, RING_FILE)],
    directories: [dir],
    read: async (disk) => prove(await readRing(dir, disk)),
    log,
    metrics: options.metrics ?? { reload: () => {} },
    pollMs: options.pollMs,
    disk: options.disk,
  }).catch(async (error: unknown) => {
    await own?.close()
    throw error
  })
  const alive = (key: RingKey) => key.untilMs === null || key.untilMs > now()
  const overlap = followOverlaps(() => keys.current(), now)
  keys.onChange(overlap.changed)

  const active = () => {
    const key = keys.current().find((one) => one.role === 'active')
    // readRing refuses a ring without one
    if (key === undefined) throw new TypeError('a key ring without an active key')
    return key
  }

  return {
    active,
    sign: (typ, claims) => signJwt(active(), link, typ, claims),
    problem: () => link?.problem() ?? null,
    verifying(kid) {
      const key = keys.current().find((one) => one.kid === kid)
      return key !== undefined && alive(key) ? key : null
    },
    list: () =>
      keys
        .current()
        .filter(alive)
        .map(({ kid, role, created, until }) => ({ kid, role, created, until })),
    jwks: () => ({ keys: keys.current().filter(alive).map(toJwk) }),
    derive(purpose) {
      const first = (key: RingKey) => Number(key.role === 'active')
      return keys
        .current()
        .filter(alive)
        .toSorted((a, b) => first(b) - first(a))
        .map((key) => derived(key, purpose))
    },
    generation: () => keys.generation(),
    onChange(listener) {
      const stops = [keys.onChange(() => listener()), overlap.onEnd(listener)]
      return () => {
        for (const stop of stops) stop()
      }
    },
    reload: () => keys.reload(),
    async close() {
      overlap.close()
      await keys.close()
      await own?.close()
    },
  }
}

/** Reports a key whose overlap ends, though no file has changed. */
function followOverlaps(current: () => readonly RingKey[], now: () => number) {
  const listeners = new Set<() => void>()
  let timer: NodeJS.Timeout | undefined
  const changed = () => {
    clearTimeout(timer)
    const ends = current().flatMap(({ untilMs }) => ((untilMs ?? 0) > now() ? [untilMs ?? 0] : []))
    if (ends.length === 0) return
    const waitMs = Math.min(MAX_TIMER_MS, Math.min(...ends) - now() + 1)
    timer = setTimeout(ended, waitMs).unref()
  }
  const ended = () => {
    changed()
    for (const listener of [...listeners]) listener()
  }
  changed()
  return {
    changed,
    onEnd(listener: () => void) {
      const own = () => listener()
      listeners.add(own)
      return () => listeners.delete(own)
    },
    close: () => clearTimeout(timer),
  }
}

function derived({ privateKey, token, kid }: RingKey, purpose: string): Buffer {
  // a key in a token cannot be exported: a secret in its file stands for it
  const secret = privateKey?.export({ type: 'pkcs8', format: 'der' }) ?? token?.secret
  if (secret === null || secret === undefined) throw unusable(`${kid}.pem holds no secret`)
  return Buffer.from(hkdfSync('sha256', secret, '', `clawmesh ${purpose}`, 32))
}

function toJwk(key: RingKey): PublicJwk {
  const { x = '', y = '' } = key.publicKey.export({ format: 'jwk' })
  return { kty: 'EC', crv: 'P-256', x, y, kid: key.kid, alg: 'ES256', use: 'sig' }
}
