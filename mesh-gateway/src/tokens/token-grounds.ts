/**
 * The grounds on which a verified token admits its holder: computed once per verification, and cached with its claims.
 */
import { type Actor, actorsOf, type Confirmation, type EgressClaims } from '@clawmesh/proto'
import type { ChainGrounds, Grounds, NamedCertificate } from '../live/grounds.ts'
import type { DestinationSet } from '../net/destination-set.ts'
import { parseCertificateClaim } from './certificate-claim.ts'

/** The claims of an egress token, with everything that vouches for them. */
export interface VerifiedEgressClaims extends EgressClaims {
  readonly grounds: Grounds
  /**
   * `allowed_destinations` as a set, where policy gives them, and they may be many. Default: `allowed_destinations`.
   */
  readonly destinations?: DestinationSet
}

/**
 * @param kid the key that signed it; null where its issuer names none
 * @param skewMs tolerance for clock differences, in milliseconds, added to its expiry
 * @param destinations as in VerifiedEgressClaims
 * @throws MeshError MESH_TOKEN_MALFORMED
 */
export function withGrounds(
  claims: EgressClaims,
  kid: string | null,
  skewMs: number,
  destinations: DestinationSet | null = null,
): VerifiedEgressClaims {
  const { sub, iss, jti, exp, crt, cnf, act, txn } = claims
  const caller = crt === undefined ? null : named(sub, crt)
  const grounds: Grounds = Object.freeze({
    agent: sub,
    caller,
    callee: null,
    token: Object.freeze({
      ...{ jti, issuer: iss, kid, endMs: exp * 1000, graceEndMs: exp * 1000 + skewMs },
      boundTo: caller !== null || cnf === undefined ? null : boundCertificate(sub, cnf),
    }),
    chain: act === undefined || txn === undefined ? null : chainGrounds(txn, act),
  })
  return Object.freeze({ ...claims, grounds, ...(destinations === null ? {} : { destinations }) })
}

/** @throws MeshError MESH_TOKEN_MALFORMED */
export function chainGrounds(txn: string, act: Actor): ChainGrounds {
  const certificates: NamedCertificate[] = []
  for (let next: Actor | undefined = act; next !== undefined; next = next.act)
    if (next.crt !== undefined) certificates.push(named(next.sub, next.crt))
  return Object.freeze({ txn, actors: Object.freeze(actorsOf(act)), certificates })
}

function named(id: string, crt: unknown): NamedCertificate {
  return { identity: { id }, links: parseCertificateClaim(crt), rootFingerprint: null }
}

/** Only its thumbprint is known here. */
function boundCertificate(id: string, cnf: Confirmation): NamedCertificate {
  const fingerprint = Buffer.from(cnf['x5t#S256'], 'base64url').toString('hex')
  return {
    identity: { id },
    links: [{ fingerprint, serial: '', issuerKey: '' }],
    rootFingerprint: null,
  }
}
