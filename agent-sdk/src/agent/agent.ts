/** Makes an agent: one identity, one gateway, and all that works between them. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type AgentIdentity, createSpiffeTemplate, MeshError } from '@clawmesh/proto'
import type { Connection } from '../client/connection.ts'
import { FIRST_CONTACT_MS } from '../client/first-contact.ts'
import { peerAddress } from '../client/peer-address.ts'
import { createPeerClient, type PeerClient } from '../client/peer-client.ts'
import type { AgentFetch, EgressClient } from '../egress/agent-fetch.ts'
import type { EgressRelayOptions } from '../egress/relay/egress-relay.ts'
import { type Log, stderrLog } from '../log.ts'
import { type ServeContext, type Serving, serve } from '../server/serve.ts'
import type { ServeOptions } from '../server/serve-options.ts'
import { checkIsGatewayFor } from '../tls/gateway-scope.ts'
import type { IdentitySnapshot, IdentityStore } from '../tls/identity-snapshot.ts'
import type { Agent } from './agent-interface.ts'
import { type AgentOptions, checkAgentOptions } from './agent-options.ts'
import { createDelegations, propagatedBy } from './delegations.ts'
import { createEgressAccess, type EgressAccess } from './egress-access.ts'
import { createGatewayCalls } from './gateway-calls.ts'
import { createGatewayLink } from './gateway-link.ts'
import { createGatewayQuestions } from './gateway-questions.ts'
import { createGatewayState } from './gateway-state.ts'
import { createLateAgent, type MadeAgent } from './late-agent.ts'
import { type EgressSettings, meshDomainOf, openStore, readEgress } from './read-options.ts'
import { createTaskScopes, type TaskScopes } from './task-scope.ts'
import { createTreeWatch, type TreeWatch } from './tree-watch.ts'

// how long close() takes to tell peers that their tasks are cancelled
const GOODBYE_MS = 1_000

/**
 * Makes an agent from an identity directory and the address of a gateway. It connects with the first call, or by itself when it
 * is `lazy`.
 *
 * @throws MeshError MESH_IDENTITY_… when the identity cannot be used and the agent is not lazy, MESH_EGRESS_PLAINTEXT; TypeError for
 * options that make no sense
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
  const { log = stderrLog, now = Date.now, patience, lazy = false, identity } = options
  const egress = readEgress(options)
  const open = async () => assemble(options, egress, await openAgentIdentity(options, log))
  try {
    return (await open()).agent
  } catch (error) {
    // a store that was given has its identity already
    if (!lazy || typeof identity !== 'string' || !(error instanceof MeshError)) throw error
    const giveUpMs = patience?.connectGiveUpMs ?? FIRST_CONTACT_MS
    return createLateAgent({ open, error, giveUpMs, log, now })
  }
}

function assemble(
  options: AgentOptions,
  egressSettings: EgressSettings | null,
  { store, owned, snapshot, identity }: OpenedIdentity,
): MadeAgent {
  const { gateway: target, log = stderrLog, now = Date.now, lazy = false } = options
  const { trustDomain, tenant } = identity
  const spiffe = createSpiffeTemplate({ ...options.spiffe, trustDomain })
  const meshDomain = options.meshDomain ?? meshDomainOf(identity, snapshot.dnsNames)
  const gatewayName = options.gatewayName ?? `gateway.${meshDomain}`
  const letGo = new AbortController()
  const lifetime = new AbortController()
  const { signal } = lifetime
  const servings = new Set<Serving>()

  const expect = checkIsGatewayFor(tenant, meshDomain)
  const patience = { idleMs: 60_000, giveUpMs: 120_000, startGiveUpMs: 20_000, ...options.patience }
  const { connectGiveUpMs: giveUpMs = FIRST_CONTACT_MS } = patience
  const link = createGatewayLink({ target, store, spiffe, expect, giveUpMs, log })
  const { connection } = link
  const gateway = createGatewayState({ ...link, lazy, gatewayName, signal, log, now })
  const peers = createPeerClient({
    ...{ ...link, patience, letGo: letGo.signal, signal, log, now },
    maxResultBytes: options.maxResultBytes ?? 64 * 1024 * 1024,
  })
  const trees = createTreeWatch({ connection, gatewayName, store, log })
  const { ask, exchange } = createGatewayCalls({
    ...{ ...link, gatewayName, signal },
    ...(options.egressTokenTtlMs === undefined
      ? {}
      : { egressTokenTtlMs: options.egressTokenTtlMs }),
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
  const { delegateIn, ...delegations } = createDelegations({ peers, scopes, address })
  const propagated = (traceparent?: string) => propagatedBy(scopes.current(), traceparent)
  const outward: ServeContext['outward'] = (origin, live) => {
    const scope = scopes.open(origin, live.signal)
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
      const serving = await serve(serveOptions, {
        ...{ store, spiffe, tenant, meshDomain, log, now, outward },
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
        ...{ servings, trees, peers, letGo, lifetime, egress, scopes, access, connection },
        store: owned ? store : null,
      })
      return closing
    },
  })
  const delegateAs: MadeAgent['delegateAs'] = (id, peer, asked) =>
    delegateIn(scopes.current(), peer, asked, id)
  return { agent, delegateAs }
}

interface OpenedIdentity {
  readonly store: IdentityStore
  /** To be closed with the agent. */
  readonly owned: boolean
  readonly snapshot: IdentitySnapshot
  readonly identity: AgentIdentity
}

/** @throws MeshError MESH_IDENTITY_NOT_AGENT for the certificate of anything else */
async function openAgentIdentity(options: AgentOptions, log: Log): Promise<OpenedIdentity> {
  const { store, owned } = await openStore(options, log)
  const snapshot = store.current()
  const { identity } = snapshot
  if (identity.kind !== 'agent') {
    if (owned) await store.close()
    throw new MeshError('MESH_IDENTITY_NOT_AGENT', `the certificate is ${identity.id}'s`)
  }
  return { store, owned, snapshot, identity }
}

interface Parts {
  readonly servings: ReadonlySet<Serving>
  readonly trees: TreeWatch
  readonly peers: PeerClient
  readonly letGo: AbortController
  readonly lifetime: AbortController
  readonly egress: EgressClient | null
  readonly scopes: TaskScopes
  readonly access: EgressAccess | null
  readonly connection: Connection
  /** Null when it was given, and so is not the agent's to close. */
  readonly store: IdentityStore | null
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
  parts.connection.close()
  await parts.store?.close()
}
