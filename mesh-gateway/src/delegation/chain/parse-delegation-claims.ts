/** The claims of a delegation token, by shape. */
import type { DelegationClaims, SpiffeTemplate } from '@clawmesh/proto'
import { isCount, isSeconds, isText, malformed, parseActor } from '../../tokens/claim-shapes.ts'

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
  const actor = parseActor(act, spiffe)
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
