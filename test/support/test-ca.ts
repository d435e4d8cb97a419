/**
 * A CA made on the spot in a temporary directory, and identities from it: for a test of identities, TLS or certificates that needs no
 * gateway. A test of agents that talk begins a mesh: test/support/mesh.ts.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import {
  type IdentitySnapshot,
  type IdentityStore,
  loadIdentity,
  openIdentity,
} from '@clawmesh/agent-sdk/mesh'
import {
  type AgentRequest,
  type Ca,
  type GatewayRequest,
  initCa,
  openCa,
  writeIdentity,
} from '@clawmesh/pki'
import { createSpiffeTemplate, Secret, type SpiffeTemplate } from '@clawmesh/proto'

export interface TestCa {
  readonly dir: string
  readonly ca: Ca
  readonly spiffe: SpiffeTemplate
  /** Issues an agent's certificate into a directory, and answers the directory. */
  agentDir(request: AgentRequest): Promise<string>
  gatewayDir(request: GatewayRequest): Promise<string>
  /** Issues to a directory below `dir`: an agent of the tenant acme, or `gateway`. Answers the directory. */
  issue(name: string, holder: string): Promise<string>
  /** A relative directory is one below `dir`, also for `open`. */
  load(dir: string): Promise<IdentitySnapshot>
  /** Opens an identity; closed with the CA. */
  open(dir: string): Promise<IdentityStore>
  /** Another CA of the same trust domain, which nobody trusts. */
  otherCa(): Promise<Ca>
  close(): Promise<void>
}

/** SPIFFE IDs of the trust domain that most tests use. */
export const spiffe = createSpiffeTemplate({ trustDomain: 'mesh.internal' })

export async function makeTestCa(trustDomain = 'mesh.internal'): Promise<TestCa> {
  const dir = await mkdtemp(join(tmpdir(), 'clawmesh-test-'))
  const passphrase = new Secret('a passphrase for tests')
  const make = async (name: string) => {
    const place = { dir: join(dir, name), passphrase }
    await initCa({ ...place, trustDomain, keyIterations: 1_000 })
    return openCa(place)
  }
  const ca = await make('ca')
  const template = createSpiffeTemplate({ trustDomain })
  let others = 0
  const stores: IdentityStore[] = []
  return {
    dir,
    ca,
    spiffe: template,
    async agentDir(request) {
      const target = join(dir, `${request.tenant}-${request.agent}`)
      await writeIdentity(target, ca.issueAgent(request))
      return target
    },
    async gatewayDir(request) {
      const target = join(dir, `gateway-${request.name}`)
      await writeIdentity(target, ca.issueGateway(request))
      return target
    },
    async issue(name, holder) {
      const target = join(dir, name)
      await writeIdentity(target, issueBy(ca, holder))
      return target
    },
    load: (identityDir) => loadIdentity(resolve(dir, identityDir), { spiffe: template }),
    async open(identityDir) {
      const store = await openIdentity({ dir: resolve(dir, identityDir), spiffe: template })
      stores.push(store)
      return store
    },
    otherCa() {
      others += 1
      return make(`ca-${others}`)
    },
    async close() {
      await Promise.all(stores.map((store) => store.close()))
      await rm(dir, { recursive: true, force: true })
    },
  }
}

/** An identity of `ca` that no directory holds: an agent of the tenant acme, or `gateway`. */
export function issueBy(ca: Ca, holder: string) {
  return holder === 'gateway'
    ? ca.issueGateway({ name: 'gw-1', tenants: ['acme'] })
    : ca.issueAgent({ tenant: 'acme', agent: holder })
}
