/** The claims of a delegation token, by shape. */
import { type Actor, type DelegationClaims, MeshError, type SpiffeTemplate } from '@clawmesh/proto'

/** Longer than any chain that is signed. */
const MAX_DEPTH = 64

/** @throws MeshError MESH_TOKEN_MALFORMED */
export function parseDelegationClaims(
  payload: Readonly<Record<string, unknown>>,
  spiffe: SpiffeTemplate,
): DelegationClaims {
  const { iss, sub, aud, act, txn, hop, max_hops, scope, iat, exp, jti } = payload
  const destinations = payload.allowed_destinations
  if (!isText(iss)) throw malformed('iss')
  if (!isText(sub) || spiffe.parse(sub)?.kind !== 'agent') throw malformed('sub')
  if (!isText(aud) || spiffe.parse(aud)?.kind !== 'agent') throw malformed('aud')
  if (!isText(txn)) throw malformed('txn')
  if (!isText(jti)) throw malformed('jti')
  if (!isCount(hop)) throw malformed('hop')
  if (!isCount(max_hops)) throw malformed('max_hops')
  if (!isSeconds(iat)) throw malformed('iat')
  if (!isSeconds(exp)) throw malformed('exp')
  if (scope !== undefined && typeof scope !== 'string') throw malformed('scope')
  if (
    destinations !== undefined &&
    !(Array.isArray(destinations) && destinations.every((one) => isText(one)))
  )
    throw malformed('allowed_destinations')
  const actor = parseActor(act, spiffe, MAX_DEPTH)
  return Object.freeze({
    iss,
    sub,
    aud,
    act: actor,
    txn,
    hop,
    max_hops,
    ...(scope === undefined ? {} : { scope }),
    ...(destinations === undefined
      ? {}
      : { allowed_destinations: Object.freeze([...destinations]) }),
    iat,
    exp,
    jti,
  })
}

/** The actors of a token, outermost first, each an agent of this mesh. @throws MeshError MESH_TOKEN_MALFORMED */
export function parseActor(value: unknown, spiffe: SpiffeTemplate, depth = MAX_DEPTH): Actor {
  if (typeof value !== 'object' || value === null || depth === 0) throw malformed('act')
  const sub: unknown = Reflect.get(value, 'sub')
  const act: unknown = Reflect.get(value, 'act')
  if (!isText(sub) || spiffe.parse(sub)?.kind !== 'agent') throw malformed('act')
  if (act === undefined) return Object.freeze({ sub })
  return Object.freeze({ sub, act: parseActor(act, spiffe, depth - 1) })
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= 2048
}

function isSeconds(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 1
}

function malformed(claim: string): MeshError {
  return new MeshError(
    'MESH_TOKEN_MALFORMED',
    `the claim ${claim} of the token is missing or not as it should be`,
  )
}
