/** Parses the claims of an egress token by their shape. Without a schema library: this is the hot path. */
import {
  type Confirmation,
  EGRESS_AUDIENCE,
  type EgressClaims,
  type SpiffeTemplate,
} from '@clawmesh/proto'
import { isSeconds, isText, malformed, parseActor, parseCrt } from './claim-shapes.ts'

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
  const cnf = payload.cnf === undefined ? null : parseConfirmation(payload.cnf)
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
    ...(payload.crt === undefined ? {} : { crt: parseCrt(payload.crt) }),
    ...(cnf === null ? {} : { cnf }),
    ...parseChain(payload, spiffe),
  })
}

/** Both claims, or neither. @throws MeshError MESH_TOKEN_MALFORMED */
function parseChain(
  { act, txn }: Readonly<Record<string, unknown>>,
  spiffe: SpiffeTemplate,
): Pick<EgressClaims, 'act' | 'txn'> {
  if (act === undefined && txn === undefined) return {}
  if (!isText(txn)) throw malformed('txn')
  return { act: parseActor(act, spiffe), txn }
}

const THUMBPRINT = /^[A-Za-z0-9_-]{43}$/

/**
 * Refuses an unknown kind of binding: it cannot be checked, and must not count as none. @throws MeshError
 * MESH_TOKEN_MALFORMED
 */
export function parseConfirmation(value: unknown): Confirmation {
  if (typeof value !== 'object' || value === null) throw malformed('cnf')
  const thumbprint: unknown = Reflect.get(value, 'x5t#S256')
  const alone = Object.keys(value).length === 1
  if (!alone || typeof thumbprint !== 'string' || !THUMBPRINT.test(thumbprint))
    throw malformed('cnf')
  return Object.freeze({ 'x5t#S256': thumbprint })
}
