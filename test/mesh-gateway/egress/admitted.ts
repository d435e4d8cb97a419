/** What a tunnel was let in for, by a token of acme/bot-01 that nothing but its life bounds. */
import type { Admitted } from '../../../mesh-gateway/src/live/grounds.ts'
import type { EgressQuestion } from '../../../mesh-gateway/src/policy/decide/decision.ts'

/** @param endMs of the token, milliseconds since the epoch */
export function admittedUntil(endMs: number): Admitted<EgressQuestion> {
  const agent = { tenant: 'acme', agent: 'bot-01' }
  return {
    grounds: {
      agent: 'spiffe://mesh.internal/tenant/acme/agent/bot-01',
      ...{ caller: null, callee: null, chain: null },
      token: { jti: 'j', issuer: 'i', kid: 'k', endMs, graceEndMs: endMs + 30_000, boundTo: null },
    },
    question: { agent, host: 'api.test', port: 443, request: null, allowedDestinations: [] },
  }
}
