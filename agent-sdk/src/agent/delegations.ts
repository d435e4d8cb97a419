/** What the agent does with peers, as part of the task whose skill it is called in. */
import { checkOptions } from '../check-options.ts'
import { DELEGATE_OPTIONS, type DelegateOptions, type Delegation } from '../client/delegation.ts'
import type { PeerClient } from '../client/peer-client.ts'
import type { Propagated } from '../client/propagation.ts'
import {
  checkDescribeOptions,
  checkTraceOptions,
  type DescribeOptions,
  type TraceOptions,
} from '../client/trace-options.ts'
import type { TaskFilter, TaskInfo } from '../model/task-event.ts'
import type { SpanRecorder } from '../trace/span-recorder.ts'
import type { SkillDescription } from '../wire/skill-codec.ts'
import { checkTraceparent, spanOf } from '../wire/trace.ts'
import { both, type TaskScope, type TaskScopes } from './task-scope.ts'

export interface DelegationsOptions {
  readonly peers: PeerClient
  readonly scopes: Pick<TaskScopes, 'current'>
  /** Full name and port of a peer. @throws TypeError */
  address(peer: string): string
  /** Null: none are exported. */
  readonly spans: SpanRecorder | null
}

/** As `Agent` says. */
export interface Delegations {
  /** @param scope the task that it is done for; null: none. @param id default: a new one */
  delegateIn(scope: TaskScope | null, peer: string, asked: DelegateOptions, id?: string): Delegation
  delegate(peer: string, asked: DelegateOptions): Delegation
  watch(peer: string, id: string, afterSeq?: number, options?: TraceOptions): Delegation
  get(peer: string, id: string, options?: TraceOptions): Promise<TaskInfo>
  list(peer: string, filter?: TaskFilter, options?: TraceOptions): AsyncIterable<TaskInfo>
  describe(peer: string, options?: DescribeOptions): Promise<readonly SkillDescription[]>
}

export function createDelegations({
  peers,
  scopes,
  address,
  spans,
}: DelegationsOptions): Delegations {
  const delegateIn: Delegations['delegateIn'] = (scope, peer, asked, id) => {
    // before any of them is read
    checkOptions(asked, DELEGATE_OPTIONS, 'delegate')
    const limited = scope === null ? asked : { ...asked, signal: both(scope.signal, asked.signal) }
    const propagated = propagatedBy(scope, asked.traceparent)
    const authority = address(peer)
    const span = propagated.traceparent
    if (spans === null || span === null) return peers.delegate(authority, limited, propagated, id)
    const onOutcome = spans.begin({
      ...{ span, parent: asked.traceparent ?? scope?.span },
      ...{ name: `delegate ${asked.skill}`, kind: 'client' },
      attributes: { 'server.address': authority, 'clawmesh.skill': asked.skill },
    })
    return peers.delegate(authority, limited, propagated, id, onOutcome)
  }
  const looking = (asked: TraceOptions, call: string) => {
    checkTraceOptions(asked, call)
    return lookingAs(asked)
  }
  const lookingAs = (asked: TraceOptions) => {
    const scope = scopes.current()
    const propagated = propagatedBy(scope, asked.traceparent)
    return { propagated, ...(scope === null ? {} : { signal: scope.signal }) }
  }
  return {
    delegateIn,
    delegate: (peer, asked) => delegateIn(scopes.current(), peer, asked),
    watch: (peer, id, afterSeq = 0, asked = {}) =>
      peers.watch(address(peer), id, afterSeq, looking(asked, 'watch')),
    get: async (peer, id, asked = {}) => peers.get(address(peer), id, looking(asked, 'get')),
    list: (peer, filter = {}, asked = {}) =>
      peers.list(address(peer), filter, looking(asked, 'list')),
    describe: async (peer, asked = {}) => {
      checkDescribeOptions(asked)
      const { retryAway = true } = asked
      return peers.describe(address(peer), { ...lookingAs(asked), retryAway })
    },
  }
}

/** What a call carries of the task that it is made for. */
export function propagatedBy(scope: TaskScope | null, traceparent?: string): Propagated {
  const chosen = checkTraceparent(traceparent)
  if (scope === null) return { traceparent: spanOf(chosen), chain: null }
  return { traceparent: chosen === null ? scope.traceparent() : spanOf(chosen), chain: scope.token }
}
