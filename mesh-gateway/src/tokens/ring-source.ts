/** Verifies tokens that this gateway signed: ES256 by a key of the ring, type, issuer, times, and the shape of every claim. */
import { MeshError } from '@clawmesh/proto'
import { type JWTHeaderParameters, type JWTPayload, jwtVerify } from 'jose'
import { toMeshError } from './jose-error.ts'
import type { KeyRing, VerifyingKey } from './key-ring.ts'
import type { TokenSource } from './token-memory.ts'

export interface RingSourceOptions<Claims> {
  readonly keyRing: Pick<KeyRing, 'verifying' | 'onChange'>
  /** What `iss` must be. */
  readonly issuer: string
  /** What `typ` of the header must be, so that one kind of token never passes for another; null where the audience tells them apart. */
  readonly typ: string | null
  /** What `aud` must be; null where `parse` or the caller judges it. */
  readonly audience: string | null
  readonly requiredClaims: readonly string[]
  /** The claims, shape proven. @throws MeshError MESH_TOKEN_MALFORMED */
  readonly parse: (payload: JWTPayload) => Claims
  /** How far clocks may differ, in milliseconds. Default 30,000. */
  readonly skewMs?: number
  /** The clock, milliseconds since the epoch. Default the system's. */
  readonly now?: () => number
}

export function createRingSource<Claims>(options: RingSourceOptions<Claims>): TokenSource<Claims> {
  const { keyRing, skewMs = 30_000, now = Date.now } = options
  return {
    async verify(token) {
      let key: VerifyingKey | null = null
      const payload = await jwtVerify(
        token,
        (header) => {
          key = chooseKey(header, keyRing)
          return key.publicKey
        },
        {
          algorithms: ['ES256'],
          ...(options.typ === null ? {} : { typ: options.typ }),
          issuer: options.issuer,
          ...(options.audience === null ? {} : { audience: options.audience }),
          clockTolerance: skewMs / 1000,
          currentDate: new Date(now()),
          requiredClaims: [...options.requiredClaims],
        },
      ).then(
        (result) => result.payload,
        (error: unknown) => {
          throw toMeshError(error, now())
        },
      )
      return { claims: options.parse(payload), untilMs: endOf(key) }
    },
    onChange: (listener) => keyRing.onChange(listener),
  }
}

/** Without a key nothing was verified, and nothing is remembered. */
function endOf(key: VerifyingKey | null): number {
  return key === null ? 0 : (key.untilMs ?? Infinity)
}

function chooseKey(header: JWTHeaderParameters, keyRing: Pick<KeyRing, 'verifying'>): VerifyingKey {
  if (header.crit !== undefined)
    throw new MeshError('MESH_TOKEN_MALFORMED', 'the token demands extensions (crit)')
  const key = typeof header.kid === 'string' ? keyRing.verifying(header.kid) : null
  if (key === null) throw new MeshError('MESH_TOKEN_KEY_UNKNOWN')
  return key
}
