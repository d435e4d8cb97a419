/** A mesh in memory: its agents are put together as real ones are, with nothing but function calls between them. */
import { AsyncLocalStorage } from 'node:async_hooks'
import {
  type AgentIdentity,
  createSpiffeTemplate,
  formatPeerName,
  isDnsLabel,
  isDnsName,
  MeshError,
  type SpiffeTemplate,
} from '@clawmesh/proto'
import type { Agent } from '../agent/agent-interface.ts'
import type { AgentOptions } from '../agent/agent-options.ts'
import { assembleAgent } from '../agent/assemble-agent.ts'
import { checkOptions, optionNames } from '../check-options.ts'
import { createFirstContact, FIRST_CONTACT_MS } from '../client/first-contact.ts'
import { stderrLog } from '../log.ts'
import { createMemoryConnection, type MemoryConnection } from './memory-connection.ts'
import { createMemoryEgress, type FetchHandler } from './memory-egress.ts'
import { createMemoryGateway, type MemoryGateway } from './memory-gateway.ts'
import {
  createMemoryPolicy,
  type MemoryPolicy,
  type PolicyRule,
  type TestRecord,
} from './memory-policy.ts'
import { serveInMemory } from './memory-serve.ts'

/** Options of `createTestMesh`. None is required. */
export interface TestMeshOptions {
  /** Default `mesh.internal`. */
  readonly trustDomain?: string
  /** Tenant of agents that are made by their name alone. Default `acme`. */
  readonly tenant?: string
  /** What agents fetch is answered by it. Default: there is no egress port. */
  readonly fetch?: FetchHandler
}

/** Options of an agent in memory: those of `createAgent` that mean something there. */
export type TestAgentOptions = Pick<
  AgentOptions,
  'lazy' | 'patience' | 'maxResultBytes' | 'log' | 'now'
>

/** A mesh in memory. */
export interface TestMesh {
  /** An agent, by `researcher` or `globex/translator`. The same name twice: the same agent on two machines. Closed with the mesh. */
  agent(name: string, options?: TestAgentOptions): Agent
  /** From now on the rule is asked of each call and each fetch. Without rules all is allowed. Returns what takes it back. */
  refuse(rule: PolicyRule): () => void
  /** Sets what agents fetch is answered by. */
  onFetch(handler: FetchHandler): void
  /** False: the gateway is not reached until it is set to true again. */
  setUp(up: boolean): void
  /** What was called and fetched so far, in the order in which it began. */
  records(): readonly TestRecord[]
  close(): Promise<void>
}

const MESH_OPTIONS = optionNames<TestMeshOptions>({ trustDomain: true, tenant: true, fetch: true })
const AGENT_OPTIONS = optionNames<TestAgentOptions>({
  lazy: true,
  patience: true,
  maxResultBytes: true,
  log: true,
  now: true,
})

// nothing in memory comes back later than at once
const PATIENCE = Object.freeze({ startGiveUpMs: 500, giveUpMs: 2_000 })

/**
 * Makes a mesh in memory, for tests of skills: agents with the API of `createAgent`, no sockets, no certificates.
 * @throws TypeError for options that make no sense
 *
 * @example
 * import type { Skill } from '@clawmesh/agent-sdk'
 * import { createTestMesh } from '@clawmesh/agent-sdk/testing'
 *
 * const mesh = createTestMesh({ fetch: () => new Response('a page') })
 * const read: Skill = async (_, ctx) => (await ctx.fetch('https://example.com/')).text()
 * await mesh.agent('researcher').serve({ skills: { read } })
 * const result = await mesh.agent('planner').delegate('researcher', { skill: 'read' }).result()
 * console.log(result.text(), mesh.records())
 * await mesh.close()
 */
export function createTestMesh(options: TestMeshOptions = {}): TestMesh {
  checkOptions(options, MESH_OPTIONS, 'createTestMesh')
  return new MeshInMemory(options)
}

class MeshInMemory implements TestMesh {
  readonly #meshDomain: string
  readonly #tenant: string
  readonly #spiffe: SpiffeTemplate
  readonly #policy: MemoryPolicy = createMemoryPolicy()
  readonly #gateway: MemoryGateway
  readonly #identities = new Map<string, AgentIdentity>()
  readonly #agents = new Set<Agent>()
  readonly #connections = new Set<MemoryConnection>()
  readonly #records: TestRecord[] = []
  /** What a peer does is no work of its caller, although all of it is one process. */
  readonly #apart = AsyncLocalStorage.snapshot()
  #fetch: FetchHandler | null
  #up = true

  constructor({ trustDomain = 'mesh.internal', tenant = 'acme', fetch }: TestMeshOptions) {
    if (!isDnsName(trustDomain)) throw new TypeError('trustDomain: is no DNS name')
    this.#meshDomain = trustDomain
    this.#tenant = tenant
    this.#spiffe = createSpiffeTemplate({ trustDomain })
    this.#fetch = fetch ?? null
    this.#gateway = createMemoryGateway({
      ...{ policy: this.#policy, up: () => this.#up, record: this.#record },
    })
  }

  agent(name: string, options: TestAgentOptions = {}): Agent {
    checkOptions(options, AGENT_OPTIONS, 'agent')
    const { log = stderrLog, now = Date.now } = options
    const identity = this.#identify(name)
    const [gateway, policy, spiffe] = [this.#gateway, this.#policy, this.#spiffe]
    const gatewayName = `gateway.${this.#meshDomain}`
    const patience = { ...PATIENCE, ...options.patience }
    const giveUpMs = patience.connectGiveUpMs ?? FIRST_CONTACT_MS
    const contact = createFirstContact({ target: 'memory', log, giveUpMs, refusal: () => null })
    const connection = createMemoryConnection({
      ...{ identity, gateway, gatewayName, policy, contact, now },
      gatewayId: `spiffe://${this.#meshDomain}/gateway/memory`,
      agents: () => this.#identities,
      up: () => this.#up,
      apart: this.#apart,
    })
    const { agent } = assembleAgent(
      { ...options, patience, log, now },
      {
        ...{ identity, spiffe, meshDomain: this.#meshDomain, gatewayName },
        link: {
          connection,
          contact,
          refusal: () => null,
          trouble: () => (this.#up ? null : away()),
        },
        trees: { follow: () => () => {}, close() {} },
        egress: () =>
          createMemoryEgress({
            ...{ agent: identity.id, policy, record: this.#record },
            handler: () => this.#fetch,
          }),
        serve: (asked, context) => serveInMemory(asked, context, { identity, gateway }),
        async close() {
          connection.close()
        },
      },
    )
    this.#agents.add(agent)
    this.#connections.add(connection)
    return agent
  }

  refuse(rule: PolicyRule): () => void {
    return this.#policy.add(rule)
  }

  onFetch(handler: FetchHandler): void {
    this.#fetch = handler
  }

  setUp(up: boolean): void {
    this.#up = up
    for (const connection of this.#connections) connection.changed()
  }

  records(): readonly TestRecord[] {
    return [...this.#records]
  }

  async close(): Promise<void> {
    await Promise.all([...this.#agents].map((agent) => agent.close()))
  }

  readonly #record = (record: TestRecord): void => {
    this.#records.push(Object.freeze(record))
  }

  #identify(name: string): AgentIdentity {
    const [agent = '', tenant = this.#tenant, ...more] = name.split('/').toReversed()
    if (more.length > 0 || !isDnsLabel(agent) || !isDnsLabel(tenant))
      throw new TypeError('agent: must be a name, or tenant/name')
    const identity = this.#spiffe.parse(
      `spiffe://${this.#meshDomain}/tenant/${tenant}/agent/${agent}`,
    )
    if (identity?.kind !== 'agent') throw new TypeError('agent: is no name of an agent')
    this.#identities.set(formatPeerName(identity, this.#meshDomain), identity)
    return identity
  }
}

function away(): MeshError {
  return new MeshError('MESH_GATEWAY_UNREACHABLE', 'the test mesh is down')
}
