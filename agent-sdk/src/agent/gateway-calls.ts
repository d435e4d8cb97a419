/** The questions of an agent to its gateway itself: its identity, the peers that it may call, and egress tokens. */
import {
  fromTimestamp,
  METADATA_DELEGATION,
  METADATA_TRACEPARENT,
  MeshError,
  Secret,
} from '@clawmesh/proto'
import type { Method } from '../client/connection.ts'
import { methods } from '../client/methods.ts'
import type { Propagated } from '../client/propagation.ts'
import { type RetryUnaryOptions, retryUnary } from '../client/retry-unary.ts'
import type { EgressToken } from '../egress/token-source.ts'
import { both } from './task-scope.ts'

export interface GatewayCallsOptions extends RetryUnaryOptions {
  /** The gateway's own name. */
  readonly gatewayName: string
  /** Default: what the gateway gives. */
  readonly egressTokenTtlMs?: number
  /** Aborts when the agent is closed. */
  readonly signal: AbortSignal
}

export interface GatewayCalls {
  /** @throws MeshError */
  ask<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    propagated: Propagated,
    signal?: AbortSignal,
  ): Promise<Response>
  /**
   * An egress token, of a chain when one is handed on.
   * @param bound to the certificate of the connection that it is asked for on
   * @throws MeshError
   */
  exchange(propagated: Propagated, bound: boolean, signal?: AbortSignal): Promise<EgressToken>
}

export function createGatewayCalls(options: GatewayCallsOptions): GatewayCalls {
  const { gatewayName } = options
  const unary = retryUnary(options)

  const calls: GatewayCalls = {
    async ask(method, request, { traceparent, chain }, taskSignal) {
      const signal = both(options.signal, taskSignal)
      const metadata = {
        ...(traceparent === null ? {} : { [METADATA_TRACEPARENT]: traceparent }),
        ...(chain === null ? {} : { [METADATA_DELEGATION]: chain.token.reveal() }),
      }
      return unary(method, request, { authority: gatewayName, metadata }, signal)
    },
    async exchange(propagated, bound, signal) {
      const request = {
        ...{ allowed_destinations: [], bind_to_certificate: bound },
        ttl_ms: options.egressTokenTtlMs ?? 0,
      }
      const { token, expires } = await calls.ask(methods.exchangeToken, request, propagated, signal)
      const expiresMs = fromTimestamp(expires)?.getTime() ?? Number.NaN
      if (token === '' || Number.isNaN(expiresMs))
        throw new MeshError('MESH_PEER_PROTOCOL', 'the gateway answered without a token')
      const boundTo = bound ? boundCertificate(token) : null
      if (bound && boundTo === null)
        throw new MeshError('MESH_PEER_PROTOCOL', 'the gateway answered with an unbound token')
      return { token: new Secret(token), expiresMs, boundTo }
    },
  }
  return Object.freeze(calls)
}

/** The certificate in `cnf` (RFC 8705, section 3.1), in hexadecimal; null without one. Verifying the token is the gateway's. */
function boundCertificate(token: string): string | null {
  try {
    const payload = Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8')
    const claims: unknown = JSON.parse(payload)
    const cnf: unknown = Reflect.get(Object(claims), 'cnf')
    const thumbprint: unknown = Reflect.get(Object(cnf), 'x5t#S256')
    if (typeof thumbprint !== 'string') return null
    return Buffer.from(thumbprint, 'base64url').toString('hex')
  } catch {
    // no JWT, so nothing that is bound to anything
    return null
  }
}
