/** A CA made on the spot in a temporary directory, and identities from it. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type IdentityStore, openIdentity } from '@clawmesh/agent-sdk/mesh'
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
  /** Opens an identity; closed with the CA. */
  open(dir: string): Promise<IdentityStore>
  close(): Promise<void>
}

export async function makeTestCa(trustDomain = 'mesh.internal'): Promise<TestCa> {
  const dir = await mkdtemp(join(tmpdir(), 'clawmesh-test-'))
  const passphrase = new Secret('a passphrase for tests')
  await initCa({ dir: join(dir, 'ca'), trustDomain, passphrase, keyIterations: 1_000 })
  const ca = await openCa({ dir: join(dir, 'ca'), passphrase })
  const spiffe = createSpiffeTemplate({ trustDomain })
  const stores: IdentityStore[] = []
  return {
    dir,
    ca,
    spiffe,
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
    async open(identityDir) {
      const store = await openIdentity({ dir: identityDir, spiffe })
      stores.push(store)
      return store
    },
    async close() {
      await Promise.all(stores.map((store) => store.close()))
      await rm(dir, { recursive: true, force: true })
    },
  }
}
