/** What the agent asks its gateway on behalf of the skill author: its peers, what policy says, and its own identity. */
import { fromTimestamp } from '@clawmesh/proto'
import { methods } from '../client/methods.ts'
import type { Propagated } from '../client/propagation.ts'
import { checkTraceOptions, type TraceOptions } from '../client/trace-options.ts'
import {
  type AllowedPeer,
  type Explanation,
  readExplanation,
  type WhoAmI,
} from './gateway-answers.ts'
import type { GatewayCalls } from './gateway-calls.ts'

export interface GatewayQuestionsOptions {
  readonly ask: GatewayCalls['ask']
  /** Full name and port of a peer. @throws TypeError */
  address(peer: string): string
  /** What a call carries of the task whose skill makes it. */
  propagated(traceparent?: string): Propagated
}

/** As `Agent` says. */
export interface GatewayQuestions {
  peers(options?: TraceOptions): Promise<readonly AllowedPeer[]>
  explain(peer: string, method?: string, options?: TraceOptions): Promise<Explanation>
  explainHost(host: string, options?: TraceOptions): Promise<Explanation>
  whoAmI(options?: TraceOptions): Promise<WhoAmI>
}

export function createGatewayQuestions(options: GatewayQuestionsOptions): GatewayQuestions {
  const { ask } = options
  /** The gateway needs no chain to answer. */
  const asking = (asked: TraceOptions, call: string) => {
    checkTraceOptions(asked, call)
    return { ...options.propagated(asked.traceparent), chain: null }
  }
  return {
    async peers(asked = {}) {
      const answer = await ask(methods.listPeers, {}, asking(asked, 'peers'))
      return answer.peers.map((peer) => Object.freeze({ ...peer }))
    },
    async explain(peer, method = '', asked = {}) {
      const to = options.address(peer).replace(/:\d+$/, '')
      const request = { from: '', to, method, within_chain: false, host: '' }
      return readExplanation(await ask(methods.explain, request, asking(asked, 'explain')))
    },
    async explainHost(host, asked = {}) {
      if (typeof host !== 'string' || host === '') throw new TypeError('host: is not a host')
      const request = { from: '', to: '', method: '', within_chain: false, host }
      return readExplanation(await ask(methods.explain, request, asking(asked, 'explainHost')))
    },
    async whoAmI(asked = {}) {
      const answer = await ask(methods.whoAmI, {}, asking(asked, 'whoAmI'))
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
