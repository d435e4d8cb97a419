/** Puts an agent together from its place in a mesh: the same for a mesh of sockets and for one in memory. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type AgentIdentity, MeshError, type SpiffeTemplate } from '@clawmesh/proto'
import { peerAddress } from '../client/peer-address.ts'
import { createPeerClient, type PeerClient } from '../client/peer-client.ts'
import type { AgentFetch, EgressClient } from '../egress/agent-fetch.ts'
import type { EgressRelayOptions } from '../egress/relay/egress-relay.ts'
import { stderrLog } from '../log.ts'
import type { ServeContext, Serving } from '../server/serve.ts'
import type { ServeOptions } from '../server/serve-options.ts'
import type { LiveTask } from '../tasks/live-task.ts'
import type { TaskOrigin } from '../tasks/task-host.ts'
import type { SpanRecorder } from '../trace/span-recorder.ts'
import type { Agent } from './agent-interface.ts'
import type { AgentOptions } from './agent-options.ts'
import { createDelegations, propagatedBy } from './delegations.ts'
import type { EgressAccess } from './egress-access.ts'
import { createGatewayCalls, type GatewayCalls } from './gateway-calls.ts'
import type { GatewayLink } from './gateway-link.ts'
import { createGatewayQuestions } from './gateway-questions.ts'
import { createGatewayState } from './gateway-state.ts'
import type { MadeAgent } from './late-agent.ts'
import { createTaskScopes, type TaskScope, type TaskScopes } from './task-scope.ts'
import type { TreeWatch } from './tree-watch.ts'

/** Where an agent is: who it is, and what leads from it to the gateway and the outside. */
export interface Surroundings {
  readonly identity: AgentIdentity
  readonly spiffe: SpiffeTemplate
  readonly meshDomain: string
  /** The gateway's own name. */
  readonly gatewayName: string
  readonly link: Omit<GatewayLink, 'contact'> & {
    readonly contact: Pick<GatewayLink['contact'], 'begin' | 'beginEndless'>
  }
  readonly trees: TreeWatch
  /** Null without an egress port. */
  readonly egress: (calls: Pick<GatewayCalls, 'exchange'>) => EgressAccess | null
  /** Default: none are exported. */
  readonly spans?: SpanRecorder | null
  readonly serve: (options: ServeOptions, context: Omit<ServeContext, 'store'>) => Promise<Serving>
  /** After all that uses them has ended. */
  close(): Promise<void>
}

type AssembleOptions = Pick<
  AgentOptions,
  'lazy' | 'patience' | 'maxResultBytes' | 'egressTokenTtlMs' | 'log' | 'now'
>

// how long close() takes to tell peers that their tasks are cancelled
const GOODBYE_MS = 1_000

export function assembleAgent(options: AssembleOptions, around: Surroundings): MadeAgent {
  const { log = stderrLog, now = Date.now, lazy = false } = options
  const { identity, spiffe, meshDomain, gatewayName, link, trees, spans = null } = around
  const { tenant } = identity
  const letGo = new AbortController()
  const lifetime = new AbortController()
  const { signal } = lifetime
  const servings = new Set<Serving>()

  const patience = { idleMs: 60_000, giveUpMs: 120_000, startGiveUpMs: 20_000, ...options.patience }
  const gateway = createGatewayState({ ...link, lazy, gatewayName, signal, log, now })
  const peers = createPeerClient({
    ...{ ...link, patience, letGo: letGo.signal, signal, log, now },
    maxResultBytes: options.maxResultBytes ?? 64 * 1024 * 1024,
  })
  const { ask, exchange } = createGatewayCalls({
    ...{ ...link, gatewayName, signal },
    ...(options.egressTokenTtlMs === undefined
      ? {}
      : { egressTokenTtlMs: options.egressTokenTtlMs }),
  })
  const access = around.egress({ exchange })
  const egress = access?.under(null) ?? null
  const ownFetch: EgressClient['fetch'] = async (input, init, within) => {
    if (egress === null) throw new TypeError('egress: createAgent was given no egress port')
    return egress.fetch(input, init, within)
  }
  const scopes = createTaskScopes(access?.under ?? null, ownFetch)
  const address = (peer: string) => peerAddress(peer, { tenant, meshDomain })
  const { delegateIn, ...delegations } = createDelegations({ peers, scopes, address, spans })
  const propagated = (traceparent?: string) => propagatedBy(scopes.current(), traceparent)
  const outward: ServeContext['outward'] = (origin, live) => {
    const scope = scopes.open(origin, live.signal)
    if (spans !== null) recordTask(spans, scope, origin, live)
    return {
      signal: scope.signal,
      fetch: scope.fetch,
      traceparent: scope.span,
      delegate: (peer, asked) => delegateIn(scope, peer, asked),
      enter: (work) => scopes.enter(scope, work),
    }
  }

  let closing: Promise<void> | null = null
  const agent: Agent = Object.freeze({
    identity,
    state: gateway.state,
    onState: gateway.onState,
    ...delegations,
    async serve(serveOptions: ServeOptions) {
      const serving = await around.serve(serveOptions, {
        ...{ spiffe, tenant, meshDomain, log, now, outward },
        followTree: (token, onRevoked) => trees.follow(token, onRevoked),
      })
      servings.add(serving)
      return serving
    },
    fetch: (async (input, init) =>
      (scopes.current()?.fetch ?? ownFetch)(input, init)) satisfies AgentFetch,
    async egressRelay(relayOptions: EgressRelayOptions) {
      if (access === null) throw new TypeError('egress: createAgent was given no egress port')
      return access.relay(relayOptions)
    },
    onOwnBehalf: <T>(work: () => T): T => scopes.leave(work),
    ...createGatewayQuestions({ ask, address, propagated }),
    close() {
      gateway.closed()
      closing ??= closeAll({
        ...{ servings, trees, peers, letGo, lifetime, egress, scopes, access },
        close: () => around.close(),
      })
      return closing
    },
  })
  const delegateAs: MadeAgent['delegateAs'] = (id, peer, asked) =>
    delegateIn(scopes.current(), peer, asked, id)
  return { agent, delegateAs }
}

/** The span of a task, from the begin of this run to its end. */
function recordTask(
  spans: SpanRecorder,
  { span }: TaskScope,
  { traceparent }: TaskOrigin,
  live: LiveTask,
): void {
  const { id, skill, caller } = live.record()
  const attributes = { 'clawmesh.delegation_id': id, 'clawmesh.caller': caller }
  const end = spans.begin({
    ...{ span, parent: traceparent, name: `task ${skill}`, kind: 'server' },
    attributes: { ...attributes, 'clawmesh.skill': skill },
  })
  const over = () => {
    const { state, failure } = live.record()
    end(state === 'completed' ? null : (failure?.code ?? state))
  }
  if (live.signal.aborted) over()
  else live.signal.addEventListener('abort', over, { once: true })
}

interface Parts extends Pick<Surroundings, 'trees' | 'close'> {
  readonly servings: ReadonlySet<Serving>
  readonly peers: PeerClient
  readonly letGo: AbortController
  readonly lifetime: AbortController
  readonly egress: EgressClient | null
  readonly scopes: TaskScopes
  readonly access: EgressAccess | null
}

/** In an order in which each part can still use those after it. */
async function closeAll(parts: Parts): Promise<void> {
  const { peers, letGo, lifetime } = parts
  await Promise.all([...parts.servings].map((serving) => serving.close()))
  parts.trees.close()
  const reason = new MeshError('MESH_CALL_CANCELED', 'the agent was closed')
  letGo.abort(reason)
  await Promise.race([peers.settled(), sleep(GOODBYE_MS, undefined, { ref: false })])
  lifetime.abort(reason)
  await parts.egress?.close()
  await parts.scopes.settled()
  await parts.access?.close()
  await parts.close()
}
