/** Makes an agent: one identity, one gateway, and all that works between them. */
import { type AgentIdentity, createSpiffeTemplate, MeshError } from '@clawmesh/proto'
import { FIRST_CONTACT_MS } from '../client/first-contact.ts'
import { type Log, stderrLog } from '../log.ts'
import { serve } from '../server/serve.ts'
import { checkIsGatewayFor } from '../tls/gateway-scope.ts'
import type { IdentitySnapshot, IdentityStore } from '../tls/identity-snapshot.ts'
import type { Agent } from './agent-interface.ts'
import { type AgentOptions, checkAgentOptions } from './agent-options.ts'
import { assembleAgent } from './assemble-agent.ts'
import { createEgressAccess } from './egress-access.ts'
import { createGatewayLink } from './gateway-link.ts'
import { createLateAgent, type MadeAgent } from './late-agent.ts'
import { openSpans } from './open-spans.ts'
import { type EgressSettings, meshDomainOf, openStore, readEgress } from './read-options.ts'
import { createTreeWatch } from './tree-watch.ts'

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
  const open = async () => surround(options, egress, await openAgentIdentity(options, log))
  try {
    return (await open()).agent
  } catch (error) {
    // a store that was given has its identity already
    if (!lazy || typeof identity !== 'string' || !(error instanceof MeshError)) throw error
    const giveUpMs = patience?.connectGiveUpMs ?? FIRST_CONTACT_MS
    return createLateAgent({ open, error, giveUpMs, log, now })
  }
}

/** The place of an agent in a mesh of gateways and sockets. */
function surround(
  options: AgentOptions,
  egress: EgressSettings | null,
  { store, owned, snapshot, identity }: OpenedIdentity,
): MadeAgent {
  const { gateway: target, patience, log = stderrLog, now = Date.now } = options
  const { trustDomain, tenant } = identity
  const spiffe = createSpiffeTemplate({ ...options.spiffe, trustDomain })
  const meshDomain = options.meshDomain ?? meshDomainOf(identity, snapshot.dnsNames)
  const gatewayName = options.gatewayName ?? `gateway.${meshDomain}`
  const expect = checkIsGatewayFor(tenant, meshDomain)
  const giveUpMs = patience?.connectGiveUpMs ?? FIRST_CONTACT_MS
  const link = createGatewayLink({ target, store, spiffe, expect, giveUpMs, log })
  const { connection } = link
  const spans = openSpans(options.traces, { identity, log })
  return assembleAgent(options, {
    spans,
    ...{ identity, spiffe, meshDomain, gatewayName, link },
    trees: createTreeWatch({ connection, gatewayName, store, log }),
    egress: ({ exchange }) =>
      createEgressAccess(egress, {
        ...{ options, store, spiffe, check: expect, exchange, spans, log, now },
      }),
    serve: (serveOptions, context) => serve(serveOptions, { ...context, store }),
    async close() {
      connection.close()
      await spans?.close()
      if (owned) await store.close()
    },
  })
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
