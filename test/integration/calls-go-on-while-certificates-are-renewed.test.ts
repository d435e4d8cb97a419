/** Agents and gateway are renewed again and again under load: no call fails, and what runs for long runs on. */
import assert from 'node:assert/strict'
import { createAgent } from '@clawmesh/agent-sdk'
import { type IdentityStore, openIdentity } from '@clawmesh/agent-sdk/mesh'
import { writeIdentity } from '@clawmesh/pki'
import { startStandInGateway } from '../agent-sdk/stand-in/gateway.ts'
import { makeTestCa } from '../support/test-ca.ts'

const ROTATIONS = 8

describe('calls go on while certificates are renewed', () => {
  /** Also of a try that failed. */
  const closing: { close(): Promise<void> }[] = []
  afterEach(async () => {
    for (const one of closing.splice(0).reverse()) await one.close()
  })

  it('of the agent that asks, the agent that serves, and the gateway', async () => {
    const ca = await makeTestCa()
    closing.push(ca)
    const dirs = {
      a: await ca.agentDir({ tenant: 'acme', agent: 'a' }),
      b: await ca.agentDir({ tenant: 'acme', agent: 'b' }),
      gw: await ca.gatewayDir({ name: 'gw', tenants: ['acme'] }),
    }
    const open = (dir: string) =>
      openIdentity({ dir, spiffe: ca.spiffe, debounceMs: 10, pollMs: 200 })
    const stores = { a: await open(dirs.a), b: await open(dirs.b), gw: await open(dirs.gw) }
    closing.push(stores.a, stores.b, stores.gw)
    const gateway = await startStandInGateway({ store: stores.gw, spiffe: ca.spiffe })
    closing.push(gateway)
    const options = { gateway: gateway.address }
    const a = await createAgent({ ...options, identity: stores.a })
    const b = await createAgent({ ...options, identity: stores.b })
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    closing.push(a, b)
    const serving = await b.serve({
      listen: '127.0.0.1:0',
      skills: {
        echo: (task) => task.text(),
        async long(_task, ctx) {
          ctx.message('begun')
          await held
          return 'ended'
        },
      },
    })
    gateway.peers.set('b.acme.mesh.internal', serving.address.port)

    const long = a.delegate('b', { skill: 'long' })
    const longResult = long.result()
    let stop = false
    let calls = 0
    const load = Promise.all(
      Array.from({ length: 4 }, async () => {
        while (!stop) {
          calls += 1
          const text = String(calls)
          assert.equal(
            (await a.delegate('b', { skill: 'echo', input: text }).result()).text(),
            text,
          )
        }
      }),
    )
    const renewed = (store: IdentityStore) =>
      new Promise<void>((resolve) => {
        const end = store.onChange(() => {
          end()
          resolve()
        })
      })
    load.catch(() => {})
    const rotate = async () => {
      for (let i = 0; i < ROTATIONS; i += 1) {
        const all = Promise.all([renewed(stores.a), renewed(stores.b), renewed(stores.gw)])
        await writeIdentity(dirs.a, ca.ca.issueAgent({ tenant: 'acme', agent: 'a' }))
        await writeIdentity(dirs.b, ca.ca.issueAgent({ tenant: 'acme', agent: 'b' }))
        await writeIdentity(dirs.gw, ca.ca.issueGateway({ name: 'gw', tenants: ['acme'] }))
        await all
      }
    }
    await rotate().finally(() => {
      stop = true
    })
    await load
    release()
    assert.equal((await longResult).text(), 'ended')
    assert.ok(calls > ROTATIONS)
  })
})
