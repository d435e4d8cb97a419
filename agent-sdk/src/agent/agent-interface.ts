/** What a skill author does with an agent. */
import type { AgentIdentity } from '@clawmesh/proto'
import type { DelegateOptions, Delegation } from '../client/delegation.ts'
import type { DescribeOptions, TraceOptions } from '../client/trace-options.ts'
import type { AgentFetch } from '../egress/agent-fetch.ts'
import type { EgressRelay, EgressRelayOptions } from '../egress/relay/egress-relay.ts'
import type { TaskFilter, TaskInfo } from '../model/task-event.ts'
import type { Serving } from '../server/serve.ts'
import type { ServeOptions } from '../server/serve-options.ts'
import type { SkillDescription } from '../wire/skill-codec.ts'
import type { AgentState } from './agent-state.ts'
import type { AllowedPeer, Explanation, WhoAmI } from './gateway-answers.ts'

/**
 * An agent of the mesh: one identity and one gateway. It delegates to peers, serves skills and fetches.
 *
 * @example
 * import { createAgent } from '@clawmesh/agent-sdk'
 *
 * const agent = await createAgent({ gateway: '127.0.0.1:8443', identity: '/etc/mesh', egress: 'http://127.0.0.1:8080' })
 * const result = await agent.delegate('researcher', { skill: 'summarize', input: 'https://example.com/' }).result()
 * console.log(result.text())
 * await agent.close()
 *
 * @remarks
 * Within a skill of this agent, `delegate`, `watch`, `get` and `fetch` act for the task, as `ctx.delegate` and `ctx.fetch` do:
 * as part of its chain of delegation, and until it ends.
 */
export interface Agent {
  /** Who this agent is, by its certificate. @throws MeshError MESH_IDENTITY_… of a lazy agent that has no identity so far */
  readonly identity: AgentIdentity
  /** How it stands with its gateway at this moment. Never throws. */
  state(): AgentState
  /** Calls `listener` at each change of `state()`. Returns a function that ends it. */
  onState(listener: (state: AgentState) => void): () => void
  /**
   * Gives a task to a peer: an agent of the own tenant (`researcher`), of another (`globex/translator`), or a full name.
   * @throws TypeError for options that make no sense, MeshError MESH_LIMIT_SIZE for too large an input, MESH_TASK_INPUT_INVALID for one
   * that is not as the peer has described it in the last five minutes; everything else is in the handle
   */
  delegate(peer: string, options: DelegateOptions): Delegation
  /**
   * Follows a task that was delegated earlier, after the event with sequence number `afterSeq` (default 0: from the first one).
   * @throws TypeError for a peer name, an id or a number that makes no sense; everything else is in the handle
   */
  watch(peer: string, id: string, afterSeq?: number, options?: TraceOptions): Delegation
  /** The task as it stands. @throws MeshError MESH_TASK_NOT_FOUND … */
  get(peer: string, id: string, options?: TraceOptions): Promise<TaskInfo>
  /** The tasks that this agent has given to a peer and that the peer still keeps, the newest first. Iterating throws MeshErrors. */
  list(peer: string, filter?: TaskFilter, options?: TraceOptions): AsyncIterable<TaskInfo>
  /**
   * The skills of a peer that this agent may delegate to: what they do, what goes in and what comes out. From then on, for five
   * minutes, input is checked by it before it is sent, and results when they come. All of it is the peer's word.
   * @throws MeshError MESH_PEER_UNDESCRIBED of an older peer, MESH_POLICY_NOT_ALLOWED …
   */
  describe(peer: string, options?: DescribeOptions): Promise<readonly SkillDescription[]>
  /** Lets other agents delegate to this one. @throws MeshError MESH_CONFIG_PORT */
  serve(options: ServeOptions): Promise<Serving>
  /** fetch through the gateway's egress port. @throws TypeError when `egress` was not given */
  readonly fetch: AgentFetch
  /**
   * A proxy on this machine for a program that can send a fixed credential and nothing better: it takes a local secret, and puts a
   * fresh token of this agent in its place. Closed with the agent.
   * @throws TypeError when `egress` was not given; MeshError MESH_RELAY_SECRET, MESH_CONFIG_PORT
   */
  egressRelay(options: EgressRelayOptions): Promise<EgressRelay>
  /**
   * Runs work that a skill starts but that is no part of its task, such as filling a cache: what it delegates begins chains
   * of its own, what it fetches goes under the agent's own token, and it goes on when the task has ended.
   * Policy must let this agent originate. Outside of a skill it just runs the work.
   */
  onOwnBehalf<T>(work: () => T): T
  /** The peers that policy lets this agent delegate to. @throws MeshError */
  peers(options?: TraceOptions): Promise<readonly AllowedPeer[]>
  /**
   * What policy says of a call of this agent's to a peer, and why, without making it. A refusal is an answer, not an error.
   * @param method `package.Service/Method`. Default: Delegate of the DelegationService
   * @throws TypeError for a name that makes no sense, MeshError MESH_EXPLAIN_INVALID …
   */
  explain(peer: string, method?: string, options?: TraceOptions): Promise<Explanation>
  /**
   * What policy says of a host that this agent would reach through the egress port, and why, as of a tunnel: rules with methods or
   * paths do not allow it, but `someRequests` of the answer tells of them. Nothing is sent there.
   * @param host e.g. api.github.com, or with a port; 443 otherwise
   * @throws TypeError, MeshError MESH_EXPLAIN_INVALID …
   */
  explainHost(host: string, options?: TraceOptions): Promise<Explanation>
  /** Who the gateway takes this agent for. @throws MeshError */
  whoAmI(options?: TraceOptions): Promise<WhoAmI>
  /** Drains what it serves, lets go of what it delegated (tasks that are not detached are cancelled), and leaves nothing open. */
  close(): Promise<void>
}
