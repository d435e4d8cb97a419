/** Words the error for a client of the egress port whose token has lost its grounds. */
import type { ErrorCode } from '@clawmesh/proto'
import { chainFaultInWords } from '../../live/chain-fault.ts'
import type { Fault, RevokedGround } from '../../live/judge.ts'

export interface FaultInWords {
  readonly code: ErrorCode
  /** Null: the message of the error table. */
  readonly message: string | null
  readonly hint: string | null
}

/** In place of the hint of the error table: a client that gets fresh tokens would be refused again and again. */
const NO_TOKEN_HELPS = 'a fresh token would be refused too; ask who runs the gateway'
const EXCHANGE_AGAIN = 'exchange the present certificate of the agent for a fresh token'

export function faultInWords(fault: Fault): FaultInWords {
  switch (fault.ground) {
    case 'chain':
    case 'actor':
      return { ...chainFaultInWords(fault), hint: null }
    case 'agent':
      return ofAgent(fault.revoked)
    case 'caller':
    case 'callee':
      if ('untrusted' in fault.why)
        return revokedToken(
          'the CA of the certificate that the token was exchanged for is trusted no more',
          EXCHANGE_AGAIN,
        )
      if (fault.why.revoked.what === 'agent') return ofAgent(fault.why.revoked)
      return ofCertificate(fault.why.revoked, 'was exchanged for')
    case 'binding':
      return ofCertificate(fault.revoked, 'is bound to')
    case 'token':
      return revokedToken(fault.revoked.message, null)
    case 'key':
      return { code: 'MESH_TOKEN_KEY_UNKNOWN', message: null, hint: null }
    case 'life':
      return { code: 'MESH_TOKEN_EXPIRED', message: null, hint: null }
    case 'policy':
      return { code: fault.policy.code, message: null, hint: fault.policy.hint }
  }
}

/** For the client of a proxy, a revoked agent means a token that is no longer valid. */
function ofAgent({ message }: RevokedGround): FaultInWords {
  return revokedToken(message, NO_TOKEN_HELPS)
}

function ofCertificate({ what, code, message }: RevokedGround, how: string): FaultInWords {
  if (what === 'list') return { code, message, hint: null }
  if (what === 'agent') return revokedToken(message, NO_TOKEN_HELPS)
  return revokedToken(`the certificate that the token ${how} has been revoked`, EXCHANGE_AGAIN)
}

function revokedToken(message: string, hint: string | null): FaultInWords {
  return { code: 'MESH_TOKEN_REVOKED', message, hint }
}
