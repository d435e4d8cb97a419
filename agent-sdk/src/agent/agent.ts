/** The agent: one identity, one gateway, and what a skill author does with them. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type AgentIdentity, createSpiffeTemplate, fromTimestamp, MeshError } from '@clawmesh/proto'
import { checkOptions, optionNames } from '../check-options.ts'
import { type Connection, createConnection } from '../client/connection.ts'
import type { DelegateOptions, Delegation } from '../client/delegation.ts'
import { createFirstContact, FIRST_CONTACT_MS } from '../client/first-contact.ts'
import { methods } from '../client/methods.ts'
import { peerAddress } from '../client/peer-address.ts'
import { createPeerClient } from '../client/peer-client.ts'
import type { Propagated } from '../client/propagation.ts'
import type { AgentFetch, EgressClient } from '../egress/agent-fetch.ts'
import { stderrLog } from '../log.ts'
import type { TaskFilter, TaskInfo } from '../model/task-event.ts'
import { type Serving, serve } from '../server/serve.ts'
import type { ServeOptions } from '../server/serve-options.ts'
import { checkIsGatewayFor } from '../tls/gateway-scope.ts'
import { channelCredentials } from '../tls/grpc-credentials.ts'
import { checkTraceparent, spanOf } from '../wire/trace.ts'
import { type AgentOptions, checkAgentOptions } from './agent-options.ts'
import { createEgressAccess } from './egress-access.ts'
import {
  type AllowedPeer,
  type Explanation,
  readExplanation,
  type WhoAmI,
} from './gateway-answers.ts'
import { createGatewayCalls } from './gateway-calls.ts'
import { meshDomainOf, openStore, readEgress } from './read-options.ts'
import { both, createTaskScopes, type TaskScope } from './task-scope.ts'
import { createTreeWatch } from './tree-watch.ts'

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
  /** Who this agent is, by its certificate. */
  readonly identity: AgentIdentity
  /**
   * Gives a task to a peer: an agent of the own tenant (`researcher`), of another (`globex/translator`), or a full name.
   * @throws TypeError for options that make no sense, MeshError MESH_LIMIT_SIZE for too large an input; everything else is in the handle
   */
  delegate(peer: string, options: DelegateOptions): Delegation
  /**
   * Follows a task that was delegated earlier, after the event with sequence number `afterSeq` (default 0: from the first one).
   * @throws TypeError for a peer name, an id or a number that makes no sense; everything else is in the handle
   */
  watch(peer: string, id: string, afterSeq?: number): Delegation
  /** The task as it stands. @throws MeshError MESH_TASK_NOT_FOUND … */
  get(peer: string, id: string): Promise<TaskInfo>
  /** The tasks that this agent has given to a peer and that the peer still keeps, the newest first. Iterating throws MeshErrors. */
  list(peer: string, filter?: TaskFilter): AsyncIterable<TaskInfo>
  /** Lets other agents delegate to this one. @throws MeshError MESH_CONFIG_PORT */
  serve(options: ServeOptions): Promise<Serving>
  /** fetch through the gateway's egress port. @throws TypeError when `egress` was not given */
  readonly fetch: AgentFetch
  /**
   * Runs work that a skill starts but that is no part of its task, such as filling a cache: what it delegates begins chains
   * of its own, what it fetches goes under the agent's own token, and it goes on when the task has ended.
   * Policy must let this agent originate. Outside of a skill it just runs the work.
   */
  onOwnBehalf<T>(work: () => T): T
  /** The peers that policy lets this agent delegate to. @throws MeshError */
  peers(options?: PeersOptions): Promise<readonly AllowedPeer[]>
  /**
   * What policy says of a call of this agent's to a peer, and why, without making it. A refusal is an answer, not an error.
   * @param method `package.Service/Method`. Default: Delegate of the DelegationService
   * @throws TypeError for a name that makes no sense, MeshError MESH_EXPLAIN_INVALID …
   */
  explain(peer: string, method?: string): Promise<Explanation>
  /** Who the gateway takes this agent for. @throws MeshError */
  whoAmI(): Promise<WhoAmI>
  /** Drains what it serves, lets go of what it delegated (tasks that are not detached are cancelled), and leaves nothing open. */
  close(): Promise<void>
}

/** Options of `agent.peers`. */
export interface PeersOptions {
  /** The trace to continue, as in `DelegateOptions`. */
  readonly traceparent?: string
}

const PEERS_OPTIONS = optionNames<PeersOptions>({ traceparent: true })
// how long close() takes to tell peers that their tasks are cancelled
const GOODBYE_MS = 1_000
// a call that fails this soon after a refused handshake fails because of it
const REFUSAL_MS = 5_000

/**
 * Makes an agent from an identity directory and the address of a gateway. It connects with the first call.
 *
 * @throws MeshError MESH_IDENTITY_… when the identity cannot be used, MESH_EGRESS_PLAINTEXT; TypeError for options that make no sense
 *
 * @example
 * import { createAgent } from '@clawmesh/agent-sdk'
 *
 * const planner = await createAgent({ gateway: '127.0.0.1:8443', identity: '/etc/mesh' })
 * console.log(planner.identity.id, await planner.peers())
 * await planner.close()
 */
export async function createAgent(options: AgentOptions): Promise<Agent> {
  checkAgentOptions(options)
  const { gateway, log = stderrLog, now = Date.now } = options
  const egressSettings = readEgress(options)

  const { store, owned } = await openStore(options, log)
  const snapshot = store.current()
  const { identity } = snapshot
  if (identity.kind !== 'agent') {
    if (owned) await store.close()
    throw new MeshError('MESH_IDENTITY_NOT_AGENT', `the certificate is ${identity.id}'s`)
  }
  const { trustDomain, tenant } = identity
  const spiffe = createSpiffeTemplate({ ...options.spiffe, trustDomain })
  const meshDomain = options.meshDomain ?? meshDomainOf(identity, snapshot.dnsNames)
  const gatewayName = options.gatewayName ?? `gateway.${meshDomain}`
  const letGo = new AbortController()
  const lifetime = new AbortController()
  const servings = new Set<Serving>()

  const expect = checkIsGatewayFor(tenant, meshDomain)
  let refused: { readonly error: MeshError; readonly atMs: number } | null = null
  const refusal = () =>
    refused !== null && performance.now() - refused.atMs < REFUSAL_MS ? refused.error : null
  const patience = { idleMs: 60_000, giveUpMs: 120_000, startGiveUpMs: 20_000, ...options.patience }
  const { connectGiveUpMs: giveUpMs = FIRST_CONTACT_MS } = patience
  const contact = createFirstContact({ target: gateway, log, giveUpMs, refusal })
  const connection: Connection = createConnection({
    target: gateway,
    ...{ store, contact },
    credentials: () =>
      channelCredentials(store, {
        spiffe,
        expect,
        onPeer: () => {
          refused = null
          contact.made()
        },
        onRefused: (error) => {
          refused = { error, atMs: performance.now() }
          log.warn(
            { code: error.code },
            `the connection to the gateway is refused: ${error.message}`,
          )
        },
      }),
  })
  const peers = createPeerClient({
    ...{ connection, contact, patience },
    maxResultBytes: options.maxResultBytes ?? 64 * 1024 * 1024,
    letGo: letGo.signal,
    signal: lifetime.signal,
    refusal,
    log,
    now,
  })
  const trees = createTreeWatch({ connection, gatewayName, store, log })
  const { ask, exchange } = createGatewayCalls({
    ...{ connection, contact, gatewayName, signal: lifetime.signal, refusal },
  })
  const access = createEgressAccess(egressSettings, {
    ...{ options, store, spiffe, check: expect, exchange, log, now },
  })
  const egress = access?.under(null) ?? null
  const ownFetch: EgressClient['fetch'] = async (input, init, within) => {
    if (egress === null) throw new TypeError('egress: createAgent was given no egress port')
    return egress.fetch(input, init, within)
  }
  const scopes = createTaskScopes(access?.under ?? null, ownFetch)
  const address = (peer: string) => peerAddress(peer, { tenant, meshDomain })
  const delegateIn = (scope: TaskScope | null, peer: string, asked: DelegateOptions) => {
    const limited = scope === null ? asked : { ...asked, signal: both(scope.signal, asked.signal) }
    return peers.delegate(address(peer), limited, propagated(scope, asked.traceparent))
  }
  const looking = () => {
    const scope = scopes.current()
    return { propagated: propagated(scope), ...(scope === null ? {} : { signal: scope.signal }) }
  }

  /** The gateway itself, which needs no chain to answer. */
  const asking = (traceparent?: string) => ({
    ...propagated(scopes.current(), traceparent),
    chain: null,
  })

  let closing: Promise<void> | null = null
  const close = async () => {
    await Promise.all([...servings].map((serving) => serving.close()))
    trees.close()
    const reason = new MeshError('MESH_CALL_CANCELED', 'the agent was closed')
    letGo.abort(reason)
    await Promise.race([peers.settled(), sleep(GOODBYE_MS, undefined, { ref: false })])
    lifetime.abort(reason)
    await egress?.close()
    await scopes.settled()
    access?.close()
    connection.close()
    if (owned) await store.close()
  }
  return Object.freeze({
    identity,
    delegate: (peer: string, asked: DelegateOptions) => delegateIn(scopes.current(), peer, asked),
    watch: (peer: string, id: string, afterSeq = 0) =>
      peers.watch(address(peer), id, afterSeq, looking()),
    get: async (peer: string, id: string) => peers.get(address(peer), id, looking()),
    list: (peer: string, filter: TaskFilter = {}) => peers.list(address(peer), filter, looking()),
    async serve(serveOptions: ServeOptions) {
      const serving = await serve(serveOptions, {
        ...{ store, spiffe, tenant, meshDomain, log, now },
        followTree: (token, onRevoked) => trees.follow(token, onRevoked),
        outward(origin, { signal }) {
          const scope = scopes.open(origin, signal)
          return {
            signal: scope.signal,
            fetch: scope.fetch,
            delegate: (peer, asked) => delegateIn(scope, peer, asked),
            enter: (skill) => scopes.enter(scope, skill),
          }
        },
      })
      servings.add(serving)
      return serving
    },
    fetch: (async (input, init) =>
      (scopes.current()?.fetch ?? ownFetch)(input, init)) satisfies AgentFetch,
    onOwnBehalf: <T>(work: () => T): T => scopes.leave(work),
    async peers(asked: PeersOptions = {}) {
      checkOptions(asked, PEERS_OPTIONS, 'peers')
      const { traceparent } = asked
      const answer = await ask(methods.listPeers, {}, asking(traceparent))
      return answer.peers.map((peer) => Object.freeze({ ...peer }))
    },
    async explain(peer: string, method = '') {
      const to = address(peer).replace(/:\d+$/, '')
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
    close() {
      closing ??= close()
      return closing
    },
  })
}

/** What a call carries of the task that it is made for. */
function propagated(scope: TaskScope | null, traceparent?: string): Propagated {
  const chosen = checkTraceparent(traceparent)
  if (scope === null) return { traceparent: spanOf(chosen), chain: null }
  return { traceparent: chosen === null ? scope.traceparent() : spanOf(chosen), chain: scope.token }
}
