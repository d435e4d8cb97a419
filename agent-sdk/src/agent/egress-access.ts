/** The egress of an agent: one port, and a client of it for each chain that the agent acts in. */
import type { SpiffeTemplate } from '@clawmesh/proto'
import { createEgressClient, type EgressClient } from '../egress/agent-fetch.ts'
import { createPortDialer, type PortDialer } from '../egress/port-dialer.ts'
import {
  createEgressRelay,
  type EgressRelay,
  type EgressRelayOptions,
} from '../egress/relay/egress-relay.ts'
import { createTokenSource } from '../egress/token-source.ts'
import type { Log } from '../log.ts'
import type { IdentityStore } from '../tls/identity-snapshot.ts'
import type { PeerCheck } from '../tls/peer-checks.ts'
import type { SpanRecorder } from '../trace/span-recorder.ts'
import type { AgentOptions } from './agent-options.ts'
import type { DelegationToken } from './delegation-token.ts'
import type { GatewayCalls } from './gateway-calls.ts'
import type { EgressSettings } from './read-options.ts'

export interface EgressAccess {
  /** A client for a chain, or for the agent itself. */
  readonly under: (chain: DelegationToken | null, signal?: AbortSignal) => EgressClient
  /** A relay for other programs, with the tokens of the agent itself. @throws as `createEgressRelay` */
  readonly relay: (options: EgressRelayOptions) => Promise<EgressRelay>
  /** Ends relays, and no longer follows the identity. The clients are closed by themselves. */
  close(): Promise<void>
}

export interface EgressAccessParts {
  readonly options: Pick<AgentOptions, 'gateway' | 'egressCa' | 'egressPortCa'>
  readonly store: IdentityStore
  readonly spiffe: SpiffeTemplate
  /** What makes a certificate of the mesh good for the port. */
  readonly check: PeerCheck
  readonly exchange: GatewayCalls['exchange']
  /** Null: none are exported. */
  readonly spans: SpanRecorder | null
  readonly log: Log
  readonly now: () => number
}

/** Null without an egress port. */
export function createEgressAccess(
  settings: EgressSettings | null,
  { options, store, spiffe, check, exchange, spans, log, now }: EgressAccessParts,
): EgressAccess | null {
  if (settings === null) return null
  const { url, bound } = settings
  const dialer: PortDialer | null =
    url.protocol === 'https:'
      ? createPortDialer({ url, store, spiffe, check, ca: options.egressPortCa })
      : null
  const tokensOf = (chain: DelegationToken | null, signal?: AbortSignal) =>
    createTokenSource({
      exchange: (traceparent) => exchange({ traceparent, chain }, bound, signal),
      ...(dialer === null ? {} : { certificate: dialer.certificate }),
      ...{ log, now },
    })
  const own = tokensOf(null)
  const relays = new Set<EgressRelay>()
  return {
    under: (chain, signal) =>
      createEgressClient({
        proxy: url,
        dialer,
        spans,
        tokens: chain === null && signal === undefined ? own : tokensOf(chain, signal),
        ...(options.egressCa === undefined ? {} : { ca: options.egressCa }),
      }),
    async relay(given) {
      const about = { agent: store.current().identity.id, gateway: options.gateway }
      const parts = { port: url, dialer, tokens: own, about, log, now }
      const relay = await createEgressRelay(given, parts)
      relays.add(relay)
      return relay
    },
    async close() {
      await Promise.all([...relays].map((relay) => relay.close()))
      dialer?.close()
    },
  }
}
