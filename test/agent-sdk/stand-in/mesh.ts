/** Two agents, a and b of tenant acme, with a stand-in gateway between them. */
import {
  type Agent,
  type AgentOptions,
  createAgent,
  type ServeOptions,
  type Serving,
  silentLog,
} from '@clawmesh/agent-sdk'
import { makeTestCa, type TestCa } from '../../support/test-ca.ts'
import { type StandInGateway, startStandInGateway } from './gateway.ts'

export interface StandInMesh {
  readonly ca: TestCa
  readonly gateway: StandInGateway
  /** Delegates. */
  readonly a: Agent
  /** Serves. */
  readonly b: Agent
  /** Serves as b, and tells the gateway where. Closed with the mesh. */
  serve(options: ServeOptions): Promise<Serving>
  agent(name: string, options?: Partial<AgentOptions>): Promise<Agent>
  close(): Promise<void>
}

export const QUICK = Object.freeze({ idleMs: 5_000, giveUpMs: 10_000, startGiveUpMs: 5_000 })

export async function startStandInMesh(options: Partial<AgentOptions> = {}): Promise<StandInMesh> {
  const ca = await makeTestCa()
  const store = await ca.open(await ca.gatewayDir({ name: 'gw', tenants: ['acme'] }))
  const gateway = await startStandInGateway({ store, spiffe: ca.spiffe })
  const agents: Agent[] = []
  const agent = async (name: string, more: Partial<AgentOptions> = {}) => {
    const identity = await ca.agentDir({ tenant: 'acme', agent: name })
    const made = await createAgent({
      gateway: gateway.address,
      identity,
      patience: QUICK,
      log: silentLog,
      ...options,
      ...more,
    })
    agents.push(made)
    return made
  }
  const a = await agent('a')
  const b = await agent('b')
  return {
    ca,
    gateway,
    a,
    b,
    agent,
    async serve(serveOptions) {
      const serving = await b.serve({ listen: '127.0.0.1:0', drainMs: 200, ...serveOptions })
      gateway.peers.set('b.acme.mesh.internal', serving.address.port)
      return serving
    },
    async close() {
      await Promise.all(agents.map((each) => each.close()))
      await gateway.close()
      await ca.close()
    },
  }
}
