/** Collects, from the record of a call, the grounds on which it was admitted. */
import { actorsOf } from '@clawmesh/proto'
import type { Admitted, ChainGrounds, NamedCertificate, TokenGrounds } from '../../live/grounds.ts'
import type { DelegationQuestion } from '../../policy/decide/decision.ts'
import { startsTask } from '../../policy/decide/task-methods.ts'
import type { CallRecord } from '../record.ts'
import type { UpstreamSession } from '../upstream/session.ts'

const NO_CERTIFICATES: readonly NamedCertificate[] = Object.freeze([])
/** Streams of events with sequence numbers: Watch resumes after the last one received. */
const WITH_CURSOR: ReadonlySet<string> = new Set([
  'clawmesh.delegation.v1.DelegationService/Delegate',
  'clawmesh.delegation.v1.DelegationService/Watch',
])

/** An admitted call. */
export interface AdmittedCall extends Admitted<DelegationQuestion> {
  /** True when Watch can resume where the call was cut. */
  readonly resumable: boolean
}

/** @param begun false for a call that has not begun: it is refused, and there is nothing to resume */
export function admittedOf(
  record: CallRecord,
  session: Pick<UpstreamSession, 'certificate'>,
  begun: boolean,
): AdmittedCall {
  const { certificate, route, link, call } = record
  if (certificate === null || call === null)
    throw new TypeError('record: the call is not known yet')
  const { identity } = certificate
  const { method } = call
  // in a chain that begins with this call, the caller does not act within a chain
  const withinChain = link !== null && (link.hop > 1 || !startsTask(method))
  return {
    grounds: {
      agent: identity.id,
      caller: certificate,
      callee: session.certificate,
      token: tokenOf(record),
      chain: chainOf(record),
    },
    question:
      route?.kind === 'peer' && identity.kind === 'agent'
        ? { caller: identity, callee: route.peer, method, withinChain }
        : null,
    resumable: begun && hasCursor(method),
  }
}

/** True for a stream that Watch can resume. @param method `package.Service/Method` */
export function hasCursor(method: string): boolean {
  return WITH_CURSOR.has(method)
}

/** The token bounds when a call may begin; its deadline ends it. */
function tokenOf({ presented }: CallRecord): TokenGrounds | null {
  if (presented === null) return null
  const { jti, iss: issuer, kid } = presented
  return { jti, issuer, kid, endMs: Infinity, graceEndMs: Infinity, boundTo: null }
}

/** Includes the caller itself when the call extends the chain. */
function chainOf({ link, presented }: CallRecord): ChainGrounds | null {
  if (link === null) return null
  const certificates = presented?.chain.certificates ?? NO_CERTIFICATES
  return { txn: link.txn, actors: actorsOf(link.act), certificates }
}
