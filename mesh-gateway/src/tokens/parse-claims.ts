/** The claims of an egress token, by shape. Narrow checks by hand: this is the hot path. */
import { EGRESS_AUDIENCE, type EgressClaims, type SpiffeTemplate } from '@clawmesh/proto'
import { isSeconds, isText, malformed, parseActor } from './claim-shapes.ts'

/** @throws MeshError MESH_TOKEN_MALFORMED */
export function parseEgressClaims(
  payload: Readonly<Record<string, unknown>>,
  spiffe: SpiffeTemplate,
): EgressClaims {
  const { iss, aud, sub, agent_id, tenant, allowed_destinations, iat, nbf, exp, jti } = payload
  if (aud !== EGRESS_AUDIENCE) throw malformed('aud')
  if (!isText(iss)) throw malformed('iss')
  if (!isText(sub)) throw malformed('sub')
  if (!isText(jti)) throw malformed('jti')
  if (!isSeconds(iat)) throw malformed('iat')
  if (!isSeconds(nbf)) throw malformed('nbf')
  if (!isSeconds(exp)) throw malformed('exp')
  if (!Array.isArray(allowed_destinations) || !allowed_destinations.every(isText))
    throw malformed('allowed_destinations')
  const identity = spiffe.parse(sub)
  if (identity?.kind !== 'agent') throw malformed('sub')
  if (identity.agent !== agent_id) throw malformed('agent_id')
  if (identity.tenant !== tenant) throw malformed('tenant')
  const { act, txn } = payload
  if (act !== undefined && !isText(txn)) throw malformed('txn')
  if (act === undefined && txn !== undefined) throw malformed('act')
  return Object.freeze({
    iss,
    aud,
    sub,
    agent_id,
    tenant,
    allowed_destinations: Object.freeze([...allowed_destinations]),
    iat,
    nbf,
    exp,
    jti,
    ...(act === undefined || !isText(txn) ? {} : { act: parseActor(act, spiffe), txn }),
  })
}
