/** Checks the shapes of claims in the gateway's tokens. Without a schema library: this is the hot path. */
import { type Actor, type CertificateClaim, MeshError, type SpiffeTemplate } from '@clawmesh/proto'

/** Deeper than any chain that the gateway signs. */
const MAX_DEPTH = 64

export function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= 2048
}

export function isSeconds(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0
}

export function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 1
}

/** The actors of a token, outermost first, each an agent of this mesh. @throws MeshError MESH_TOKEN_MALFORMED */
export function parseActor(value: unknown, spiffe: SpiffeTemplate, depth = MAX_DEPTH): Actor {
  if (typeof value !== 'object' || value === null || depth === 0) throw malformed('act')
  const sub: unknown = Reflect.get(value, 'sub')
  const act: unknown = Reflect.get(value, 'act')
  const crt: unknown = Reflect.get(value, 'crt')
  if (!isText(sub) || spiffe.parse(sub)?.kind !== 'agent') throw malformed('act')
  return Object.freeze({
    sub,
    ...(crt === undefined ? {} : { crt: parseCrt(crt) }),
    ...(act === undefined ? {} : { act: parseActor(act, spiffe, depth - 1) }),
  })
}

/** certificate-claim.ts parses its contents. @throws MeshError MESH_TOKEN_MALFORMED */
export function parseCrt(value: unknown): CertificateClaim {
  if (!Array.isArray(value) || !value.every(isText)) throw malformed('crt')
  return Object.freeze([...value])
}

export function malformed(claim: string): MeshError {
  return new MeshError(
    'MESH_TOKEN_MALFORMED',
    `the claim ${claim} of the token is missing or not as it should be`,
  )
}
