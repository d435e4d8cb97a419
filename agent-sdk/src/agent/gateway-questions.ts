/** What the agent asks its gateway on behalf of the skill author: its peers, what policy says, and its own identity. */
import { fromTimestamp } from '@clawmesh/proto'
import { checkOptions, optionNames } from '../check-options.ts'
import { methods } from '../client/methods.ts'
import type { Propagated } from '../client/propagation.ts'
import {
  type AllowedPeer,
  type Explanation,
  readExplanation,
  type WhoAmI,
} from './gateway-answers.ts'
import type { GatewayCalls } from './gateway-calls.ts'

/** Options of `agent.peers`. */
export interface PeersOptions {
  /** The trace to continue, as in `DelegateOptions`. */
  readonly traceparent?: string
}

const PEERS_OPTIONS = optionNames<PeersOptions>({ traceparent: true })
export interface GatewayQuestionsOptions {
  readonly ask: GatewayCalls['ask']
  /** Full name and port of a peer. @throws TypeError */
  address(peer: string): string
  /** What a call carries of the task whose skill makes it. */
  propagated(traceparent?: string): Propagated
}

/** As `Agent` says. */
export interface GatewayQuestions {
  peers(options?: PeersOptions): Promise<readonly AllowedPeer[]>
  explain(peer: string, method?: string): Promise<Explanation>
  whoAmI(): Promise<WhoAmI>
}

export function createGatewayQuestions(options: GatewayQuestionsOptions): GatewayQuestions {
  const { ask } = options
  /** The gateway needs no chain to answer. */
  const asking = (traceparent?: string) => ({ ...options.propagated(traceparent), chain: null })
  return {
    async peers(asked = {}) {
      checkOptions(asked, PEERS_OPTIONS, 'peers')
      const { traceparent } = asked
      const answer = await ask(methods.listPeers, {}, asking(traceparent))
      return answer.peers.map((peer) => Object.freeze({ ...peer }))
    },
    async explain(peer, method = '') {
      const to = options.address(peer).replace(/:\d+$/, '')
      return readExplanation(
        await ask(methods.explain, { from: '', to, method, within_chain: false }, asking()),
      )
    },
    async whoAmI() {
      const answer = await ask(methods.whoAmI, {}, asking())
      return Object.freeze({
        id: answer.spiffe_id,
        tenant: answer.tenant,
        agent: answer.agent,
        certificateNotAfter: fromTimestamp(answer.certificate_not_after) ?? new Date(0),
        certificateFingerprint: answer.certificate_fingerprint,
        gateway: answer.gateway,
      })
    },
  }
}
