/** Words the error for a chain of delegation that is no longer valid, the same on both planes. */
import type { ErrorCode } from '@clawmesh/proto'
import type { ChainFault } from './judge.ts'

export function chainFaultInWords(fault: ChainFault): {
  readonly code: ErrorCode
  readonly message: string
} {
  if (fault.ground === 'chain') {
    const { code, message } = fault.revoked
    return { code, message }
  }
  const certificate = `the certificate that ${fault.id} delegated with`
  const { why } = fault
  if ('untrusted' in why)
    return { code: 'MESH_CHAIN_REVOKED', message: `${certificate} is trusted no more` }
  const { code, what, message } = why.revoked
  if (what === 'list') return { code, message }
  return { code: 'MESH_CHAIN_REVOKED', message: `${certificate} has been revoked` }
}
