/** What an agent asks its gateway itself: who it is, whom it may call, and tokens for the way out. */
import {
  fromTimestamp,
  METADATA_DELEGATION,
  METADATA_TRACEPARENT,
  MeshError,
  Secret,
} from '@clawmesh/proto'
import type { Connection, Method } from '../client/connection.ts'
import type { HandedOn } from '../client/handed-on.ts'
import { methods } from '../client/methods.ts'
import { retryUnary } from '../client/retry-unary.ts'
import type { EgressToken } from '../egress/token-source.ts'
import { both } from './task-scope.ts'

export interface GatewayCallsOptions {
  readonly connection: Connection
  /** The gateway's own name. */
  readonly gatewayName: string
  /** Aborts when the agent is closed. */
  readonly signal: AbortSignal
  readonly refusal: () => MeshError | null
}

export interface GatewayCalls {
  /** @throws MeshError */
  ask<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    handedOn: HandedOn,
    signal?: AbortSignal,
  ): Promise<Response>
  /** An egress token, of a chain when one is handed on. @throws MeshError */
  exchange(handedOn: HandedOn, signal?: AbortSignal): Promise<EgressToken>
}

const UNARY_MS = 10_000

export function createGatewayCalls(options: GatewayCallsOptions): GatewayCalls {
  const { connection, gatewayName, refusal } = options

  const calls: GatewayCalls = {
    async ask(method, request, { traceparent, chain }, taskSignal) {
      const signal = both(options.signal, taskSignal)
      const metadata = {
        ...(traceparent === null ? {} : { [METADATA_TRACEPARENT]: traceparent }),
        ...(chain === null ? {} : { [METADATA_DELEGATION]: chain.token.reveal() }),
      }
      const call = () =>
        connection.unary(method, request, {
          authority: gatewayName,
          metadata,
          deadline: Date.now() + UNARY_MS,
          signal,
        })
      return retryUnary(call, { forMs: UNARY_MS, signal, refusal })
    },
    async exchange(handedOn, signal) {
      const request = { allowed_destinations: [] }
      const { token, expires } = await calls.ask(methods.exchangeToken, request, handedOn, signal)
      const expiresMs = fromTimestamp(expires)?.getTime() ?? Number.NaN
      if (token === '' || Number.isNaN(expiresMs))
        throw new MeshError('MESH_PEER_PROTOCOL', 'the gateway answered without a token')
      return { token: new Secret(token), expiresMs }
    },
  }
  return Object.freeze(calls)
}
