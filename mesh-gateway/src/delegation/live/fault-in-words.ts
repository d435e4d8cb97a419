/** Words the error for the caller of a call that may not begin, or may not go on. */
import type { PeerCertificate } from '@clawmesh/agent-sdk/mesh'
import { ERRORS, type ErrorCode, MeshError } from '@clawmesh/proto'
import { chainFaultInWords } from '../../live/chain-fault.ts'
import type { Fault, RevokedGround } from '../../live/judge.ts'
import { toldRule } from '../../policy/read/told.ts'
import type { AdmittedCall } from './admitted.ts'

/** The error says whether Watch can resume an admitted call. */
export function faultInWords(fault: Fault, call: AdmittedCall): MeshError {
  switch (fault.ground) {
    case 'caller': {
      const { why } = fault
      if ('untrusted' in why) return cutFor(call, why.untrusted, ERRORS[why.untrusted].meaning)
      // an agent with a renewed certificate may resume; a revoked agent may not
      const { code, message, what } = why.revoked
      return cutFor(call, code, message, what !== 'agent')
    }
    case 'callee': {
      const { why } = fault
      if ('untrusted' in why) return peerUntrusted(call, fault.id, why.untrusted)
      const { code, message } = calleeRefusal(fault.id, why.revoked)
      return cutFor(call, code, message, why.revoked.what !== 'agent')
    }
    case 'chain':
    case 'actor': {
      const { code, message } = chainFaultInWords(fault)
      const txn = call.grounds.chain?.txn ?? ''
      return cutFor(call, code, message, false, { txn })
    }
    case 'agent':
    case 'token':
    case 'binding':
      return cutFor(call, fault.revoked.code, fault.revoked.message, false)
    case 'key':
      return cutFor(call, 'MESH_TOKEN_KEY_UNKNOWN', ERRORS.MESH_TOKEN_KEY_UNKNOWN.meaning, false)
    case 'life':
      return cutFor(call, 'MESH_TOKEN_EXPIRED', ERRORS.MESH_TOKEN_EXPIRED.meaning, false)
    case 'policy': {
      const { code, hint } = fault.policy
      const rule = toldRule(fault.policy.rule, call.question?.caller.tenant ?? '')
      return new MeshError(code, undefined, {
        hint: hint ?? ERRORS[code].hint,
        facts: { ...resume(call), ...(rule === null ? {} : { rule }) },
      })
    }
  }
}

/** The refusal of a call that has not begun: the same words, nothing to resume. */
export function callerRefusal({ code, message }: RevokedGround): MeshError {
  return new MeshError(code, message)
}

/** The same for a dialled peer. @param id its SPIFFE ID */
export function calleeRefusal(
  id: PeerCertificate['identity']['id'],
  { code, message, what }: RevokedGround,
): MeshError {
  if (what === 'list') return new MeshError(code, message)
  const named = what === 'agent' ? id : `a certificate of ${id}`
  return new MeshError('MESH_PEER_REVOKED', `${named} has been revoked`)
}

function peerUntrusted(call: AdmittedCall, id: string, code: ErrorCode): MeshError {
  const why = code === 'MESH_IDENTITY_EXPIRED' ? 'has expired' : 'is no longer trusted'
  return cutFor(call, 'MESH_PEER_UNTRUSTED', `the certificate of ${id} ${why}`)
}

function cutFor(
  call: AdmittedCall,
  code: ErrorCode,
  message: string,
  mayResume = true,
  facts: Readonly<Record<string, string>> = {},
): MeshError {
  return new MeshError(code, message, {
    facts: { ...facts, ...(mayResume ? resume(call) : {}) },
  })
}

/** The caller knows its last sequence number: Watch resumes there. */
function resume({ resumable }: AdmittedCall): Readonly<Record<string, string>> {
  return resumable ? { resume: 'watch' } : {}
}
