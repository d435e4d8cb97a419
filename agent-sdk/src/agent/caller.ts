/**
 * The calls of an agent, for a gateway that makes them in the agent's name: what `agent` does with peers, over a channel
 * that the gateway gives, without an identity of its own.
 */
import { ChannelCredentials, type ChannelInterface } from '@grpc/grpc-js'
import { createConnection } from '../client/connection.ts'
import { createFirstContact } from '../client/first-contact.ts'
import { peerAddress } from '../client/peer-address.ts'
import { createPeerClient } from '../client/peer-client.ts'
import type { ReplicaMarks } from '../client/replica-marks.ts'
import type { Log } from '../log.ts'
import type { Agent } from './agent-interface.ts'
import { propagatedBy } from './delegations.ts'
import { createGatewayCalls } from './gateway-calls.ts'
import { createGatewayQuestions } from './gateway-questions.ts'

export interface CallerOptions {
  /** Carries the calls. It knows whose they are. */
  readonly channel: ChannelInterface
  readonly tenant: string
  readonly meshDomain: string
  /** The gateway's own name. */
  readonly gatewayName: string
  /** The trace that all calls continue. */
  readonly traceparent: string
  /** Results are refused beyond it. */
  readonly maxResultBytes: number
  /** Shared by the callers of one agent. Default: its own. */
  readonly replicas?: ReplicaMarks
  readonly log: Log
}

/** As `Agent` says. Artifacts of a task that it watches are not gathered. */
export interface Caller
  extends Pick<Agent, 'delegate' | 'watch' | 'get' | 'list' | 'peers' | 'describe'> {
  /** Lets go of what it follows. Tasks that are detached go on. */
  close(): void
}

const UNFOLLOWED = Object.freeze({ onChange: () => () => {} })
const PATIENCE = Object.freeze({ idleMs: 60_000, giveUpMs: 120_000, startGiveUpMs: 20_000 })

export function createCaller(options: CallerOptions): Caller {
  const { channel, tenant, meshDomain, gatewayName, maxResultBytes, log } = options
  const refusal = () => null
  const contact = createFirstContact({ target: gatewayName, log, refusal })
  // the gateway is there: it makes the calls
  contact.made()
  const connection = createConnection({
    ...{ target: gatewayName, store: UNFOLLOWED, contact, channel },
    credentials: () => ChannelCredentials.createInsecure(),
    ...(options.replicas === undefined ? {} : { replicas: options.replicas }),
  })
  const lifetime = new AbortController()
  const { signal } = lifetime
  const link = { connection, contact, refusal }
  const peers = createPeerClient({
    ...{ ...link, patience: PATIENCE, letGo: signal, signal, maxResultBytes, log, now: Date.now },
  })
  const address = (peer: string) => peerAddress(peer, { tenant, meshDomain })
  const { ask } = createGatewayCalls({ ...link, gatewayName, signal })
  const propagated = () => propagatedBy(null, options.traceparent)
  const looking = () => ({ propagated: propagated(), artifacts: 'stream' as const })
  return Object.freeze({
    delegate: (peer, asked) => peers.delegate(address(peer), asked, propagated()),
    watch: (peer, id, afterSeq = 0) => peers.watch(address(peer), id, afterSeq, looking()),
    get: async (peer, id) => peers.get(address(peer), id, looking()),
    list: (peer, filter = {}) => peers.list(address(peer), filter, looking()),
    describe: async (peer, { retryAway = true } = {}) =>
      peers.describe(address(peer), { ...looking(), retryAway }),
    peers: createGatewayQuestions({ ask, address, propagated }).peers,
    close() {
      lifetime.abort()
      connection.close()
    },
  } satisfies Caller)
}
