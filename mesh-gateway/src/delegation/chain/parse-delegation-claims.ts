/** Parses the claims of a delegation token by their shape. Verifies no signature. */
import { type DelegationClaims, isUuidV7, type SpiffeTemplate } from '@clawmesh/proto'
import { isCount, isSeconds, isText, malformed, parseActor } from '../../tokens/claim-shapes.ts'

/** @throws MeshError MESH_TOKEN_MALFORMED */
export function parseDelegationClaims(
  payload: Readonly<Record<string, unknown>>,
  spiffe: SpiffeTemplate,
): DelegationClaims {
  const { iss, sub, aud, act, txn, hop, max_hops, scope, iat, exp, jti } = payload
  const { delegation_id, parent_id } = payload
  const destinations = payload.allowed_destinations
  if (!isText(iss)) throw malformed('iss')
  if (!isText(sub) || spiffe.parse(sub)?.kind !== 'agent') throw malformed('sub')
  if (!isText(aud) || spiffe.parse(aud)?.kind !== 'agent') throw malformed('aud')
  if (!isText(txn)) throw malformed('txn')
  if (!isText(jti)) throw malformed('jti')
  if (!isIdOrAbsent(delegation_id)) throw malformed('delegation_id')
  if (!isIdOrAbsent(parent_id)) throw malformed('parent_id')
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
  const actor = parseActor(act, spiffe)
  return Object.freeze({
    iss,
    sub,
    aud,
    act: actor,
    txn,
    ...(delegation_id === undefined ? {} : { delegation_id }),
    ...(parent_id === undefined ? {} : { parent_id }),
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

function isIdOrAbsent(value: unknown): value is string | undefined {
  return value === undefined || (typeof value === 'string' && isUuidV7(value))
}
