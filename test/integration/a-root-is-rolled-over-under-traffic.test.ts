/** The chapter on rolling over in docs/guides/certificates.md, step by step, while calls follow each other and one runs through. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { join } from 'node:path'
import tls from 'node:tls'
import type { Agent } from '@clawmesh/agent-sdk'
import {
  checkIsGateway,
  clientTlsOptions,
  type IdentityStore,
  openIdentity,
} from '@clawmesh/agent-sdk/mesh'
import { type Ca, changeTrust, type Issued, initCa, openCa, writeIdentity } from '@clawmesh/pki'
import { createSpiffeTemplate, Secret } from '@clawmesh/proto'
import { type Mesh, startMesh } from '../support/mesh.ts'
import { waitFor } from '../support/wait-for.ts'

const PASSPHRASE = new Secret('a passphrase of the tests')
const GATEWAY = { name: 'gw-1', tenants: ['acme'] }
const spiffe = createSpiffeTemplate({ trustDomain: 'mesh.internal' })

describe('a root is rolled over under traffic', () => {
  let mesh: Mesh
  let dirs: { readonly old: string; readonly next: string }
  const stores: Record<string, IdentityStore> = {}
  const open = (dir: string) => openCa({ dir, passphrase: PASSPHRASE })

  before(async () => {
    mesh = await startMesh({
      policy: { acme: { delegation: { allow: [{ from: 'planner', to: 'researcher' }] } } },
      async prepare({ dir }) {
        dirs = { old: join(dir, 'old-ca'), next: join(dir, 'next-ca') }
        for (const ca of Object.values(dirs))
          await initCa({
            dir: ca,
            trustDomain: 'mesh.internal',
            passphrase: PASSPHRASE,
            keyIterations: 1_000,
          })
        const old = await open(dirs.old)
        await writeIdentity(join(dir, 'gateway'), old.issueGateway(GATEWAY))
        for (const agent of ['planner', 'researcher']) {
          await writeIdentity(join(dir, agent), old.issueAgent({ tenant: 'acme', agent }))
          const watching = { debounceMs: 10, pollMs: 200 }
          stores[agent] = await openIdentity({ dir: join(dir, agent), spiffe, ...watching })
        }
      },
    })
  })
  after(async () => {
    await mesh.close()
    await Promise.all(Object.values(stores).map((store) => store.close()))
  })

  const storeOf = (agent: string) => {
    const store = stores[agent]
    assert.ok(store)
    return store
  }

  /** Issues all certificates again, and waits until everybody goes by them. */
  async function issueAll(ca: Ca): Promise<void> {
    for (const agent of ['planner', 'researcher']) {
      const issued = ca.issueAgent({ tenant: 'acme', agent })
      await writeIdentity(join(mesh.dir, agent), issued)
      const swapped = () => storeOf(agent).current().fingerprint === issued.fingerprint
      await waitFor(`the new certificate of the ${agent}`, swapped)
    }
    // last: with its new certificate it dials its peers anew, and sees theirs
    const gateway = ca.issueGateway(GATEWAY)
    await writeIdentity(join(mesh.dir, 'gateway'), gateway)
    await waitFor('the new certificate of the gateway', () => isShown(gateway))
  }

  /** Whether the gateway shows this certificate to who connects now, and takes the planner's. */
  async function isShown({ fingerprint }: Issued): Promise<boolean> {
    let seen = ''
    const options = clientTlsOptions(storeOf('planner').current(), spiffe, checkIsGateway, {
      onPeer: (peer) => {
        seen = peer.fingerprint
      },
    })
    const [host = '', port] = mesh.gateway.delegation.split(':')
    const socket = tls.connect({ ...options, host, port: Number(port) })
    try {
      await once(socket, 'secureConnect')
      return seen === fingerprint
    } finally {
      socket.destroy()
    }
  }

  async function startAgents(): Promise<{ planner: Agent; release: () => void }> {
    const held = Promise.withResolvers<void>()
    const planner = await mesh.agent('acme', 'planner', { identity: storeOf('planner') })
    const researcher = await mesh.agent('acme', 'researcher', { identity: storeOf('researcher') })
    const serving = await researcher.serve({
      listen: '127.0.0.1:0',
      skills: {
        echo: (task) => task.text(),
        async long(_task, ctx) {
          ctx.message('begun')
          await held.promise
          return 'ran through'
        },
      },
    })
    mesh.announce('acme', 'researcher', serving.address.port)
    return { planner, release: held.resolve }
  }

  it('with two in ca.crt: each call succeeds, and one that was open before all of it ends well', async function () {
    this.timeout(120_000)
    const { planner, release } = await startAgents()
    const long = planner.delegate('researcher', { skill: 'long' }).result()
    let ended = false
    let calls = 0
    const call = async () => {
      calls += 1
      const input = `call ${calls}`
      const result = await planner.delegate('researcher', { skill: 'echo', input }).result()
      assert.equal(result.text(), input)
    }
    const traffic = Promise.all(
      Array.from({ length: 4 }, async () => {
        while (!ended) await call()
      }),
    )
    const rootOf = (dir: string) => join(dir, 'root.crt')
    const step = async (what: string, dir: string) => {
      const before = calls
      await Promise.race([issueAll(await open(dir)), traffic])
      await Promise.race([waitFor(`calls after: ${what}`, () => calls > before + 8), traffic])
    }
    try {
      await changeTrust({ dir: dirs.old, add: rootOf(dirs.next) })
      await step('both are trusted, the old one issues', dirs.old)
      await changeTrust({ dir: dirs.next, add: rootOf(dirs.old) })
      await step('both are trusted, the new one issues', dirs.next)
      await changeTrust({ dir: dirs.next, remove: rootOf(dirs.old) })
      await step('the old one is trusted no more', dirs.next)
    } finally {
      ended = true
      release()
    }
    await traffic
    assert.equal((await long).text(), 'ran through')
    assert.equal(storeOf('planner').current().roots.length, 1)
    // the one that was carried by connections of the old root ended with it, and went on by Watch
    const failed = (await mesh.audit()).filter(({ grpc_status }) => grpc_status !== 0)
    assert.deepEqual(
      failed.map(({ reason }) => reason),
      ['MESH_PEER_LOST'],
    )
  })
})
