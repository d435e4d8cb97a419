/** A CA and identities on disk for one test file, gone at its end. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type IdentitySnapshot,
  type IdentityStore,
  loadIdentity,
  openIdentity,
} from '@clawmesh/agent-sdk/mesh'
import { type Ca, initCa, openCa, writeIdentity } from '@clawmesh/pki'
import { createSpiffeTemplate, Secret } from '@clawmesh/proto'

export const spiffe = createSpiffeTemplate({ trustDomain: 'mesh.internal' })

export interface TestMesh {
  readonly base: string
  readonly ca: Ca
  /** Issues to `dir`: an agent of the tenant acme, or `gateway`. */
  issue(dir: string, name: string): Promise<void>
  load(dir: string): Promise<IdentitySnapshot>
  open(dir: string): Promise<IdentityStore>
  /** Another CA of the same trust domain. */
  otherCa(): Promise<Ca>
  close(): Promise<void>
}

export async function makeMesh(): Promise<TestMesh> {
  const base = await mkdtemp(join(tmpdir(), 'clawmesh-tls-'))
  const stores: IdentityStore[] = []
  const ca = await makeCa(join(base, 'ca'))
  return {
    base,
    ca,
    async issue(dir, name) {
      await writeIdentity(join(base, dir), issueBy(ca, name))
    },
    load: (dir) => loadIdentity(join(base, dir), { spiffe }),
    async open(dir) {
      const store = await openIdentity({ dir: join(base, dir), spiffe, debounceMs: 20 })
      stores.push(store)
      return store
    },
    otherCa: () => makeCa(join(base, `ca-${Math.random().toString(36).slice(2)}`)),
    async close() {
      await Promise.all(stores.map((store) => store.close()))
      await rm(base, { recursive: true, force: true })
    },
  }
}

export function issueBy(ca: Ca, name: string) {
  return name === 'gateway'
    ? ca.issueGateway({ name: 'gw-1', tenants: ['acme'] })
    : ca.issueAgent({ tenant: 'acme', agent: name })
}

async function makeCa(dir: string): Promise<Ca> {
  const passphrase = new Secret('correct horse battery staple')
  await initCa({ dir, trustDomain: 'mesh.internal', passphrase, keyIterations: 1_000 })
  return openCa({ dir, passphrase })
}
