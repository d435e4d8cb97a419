/** Words the error for a name that did not resolve: a name that does not exist differs from a DNS server that fails. */
import type { ErrorCode } from '@clawmesh/proto'
import { ResolveFailure } from '../resolve/resolver.ts'
import { type Refused, type RefuseOptions, refuse } from './refused.ts'

const RETRY_MS = 1_000
const OF_THE_SERVER = 'the name may be right; for the operator: dns.servers, or resolv.conf'

export function unresolved(cause: unknown): Refused {
  const failure = cause instanceof ResolveFailure ? cause : new ResolveFailure('failed', cause)
  const because = (code: ErrorCode, options: RefuseOptions = {}) =>
    refuse('resolve', code, { cause, ...options })
  const servers = `DNS server${failure.servers.length === 1 ? '' : 's'} ${failure.servers.join(', ')}`
  switch (failure.kind) {
    case 'not-found':
      return because('MESH_EGRESS_UNRESOLVED')
    case 'timeout':
      if (failure.servers.length === 0)
        return because('MESH_EGRESS_TIMEOUT', { message: 'the name was not resolved in time' })
      return because('MESH_EGRESS_TIMEOUT', {
        message: `the ${servers} did not answer`,
        hint: OF_THE_SERVER,
      })
    case 'busy':
      return because('MESH_EGRESS_TIMEOUT', {
        message: 'too many names wait to be resolved',
        retryAfterMs: RETRY_MS,
      })
    case 'too-many':
      return refuse('limits', 'MESH_LIMIT_CONCURRENCY', {
        cause,
        message: 'too many names of this agent wait to be resolved',
        retryAfterMs: RETRY_MS,
      })
    case 'no-descriptors':
      return because('MESH_GATEWAY_NO_DESCRIPTORS')
    default:
      // getaddrinfo has one code for a silent server and a failing one
      if (failure.code === 'EAI_AGAIN')
        return because('MESH_EGRESS_TIMEOUT', {
          message: `the system has no answer for now (EAI_AGAIN) from the ${servers}`,
          hint: OF_THE_SERVER,
        })
      if (failure.servers.length === 0) return because('MESH_EGRESS_UNRESOLVED')
      return because('MESH_EGRESS_UNRESOLVED', {
        message: `the ${servers} could not answer (${failure.code ?? 'no reason given'})`,
        hint: OF_THE_SERVER,
      })
  }
}
