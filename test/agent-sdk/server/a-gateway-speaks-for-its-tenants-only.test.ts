/** A gateway's certificate is for the tenants whose names it covers: stolen, it opens no other tenant. */
import assert from 'node:assert/strict'
import { type Agent, createAgent, type Serving } from '@clawmesh/agent-sdk'
import { channelCredentials } from '@clawmesh/agent-sdk/calls'
import { uuidV7 } from '@clawmesh/proto'
import { Client, Metadata } from '@grpc/grpc-js'
import { methods } from '../../../agent-sdk/src/client/methods.ts'
import { statusToError } from '../../../agent-sdk/src/wire/status-codec.ts'
import { makeTestCa, type TestCa } from '../../support/test-ca.ts'
import { startStandInGateway } from '../stand-in/gateway.ts'

describe('a gateway speaks for its tenants only', () => {
  let ca: TestCa
  const agents: Agent[] = []
  const clients: Client[] = []
  const servings = new Map<string, Serving>()

  before(async () => {
    ca = await makeTestCa()
    for (const tenant of ['acme', 'globex']) {
      const identity = await ca.agentDir({ tenant, agent: 'callee' })
      const agent = await createAgent({ gateway: '127.0.0.1:1', identity })
      agents.push(agent)
      const skills = { who: (task: { caller: { id: string } }) => task.caller.id }
      servings.set(tenant, await agent.serve({ skills, listen: '127.0.0.1:0' }))
    }
  })
  after(async () => {
    for (const client of clients) client.close()
    await Promise.all(agents.map((agent) => agent.close()))
    await ca.close()
  })

  const id = (tenant: string) => ca.spiffe.agent(tenant, 'cfo').id
  async function speak(
    gateway: { readonly name: string; readonly tenants: readonly string[] },
    to: string,
    metadata: Readonly<Record<string, string>>,
  ): Promise<unknown> {
    const store = await ca.open(await ca.gatewayDir(gateway))
    const expect = () => {}
    const { port } = servings.get(to)?.address ?? { port: 0 }
    const client = new Client(
      `127.0.0.1:${port}`,
      channelCredentials(store, { spiffe: ca.spiffe, expect }),
      { 'grpc.use_local_subchannel_pool': 1 },
    )
    clients.push(client)
    const headers = new Metadata()
    for (const [key, value] of Object.entries(metadata)) headers.set(key, value)
    const { path, serialize, deserialize } = methods.delegate
    const request = {
      ...{ delegation_id: uuidV7(), skill: 'who', input: [], idempotency_key: '' },
      ...{ task_deadline: null, detached: false, labels: {} },
    }
    const call = client.makeServerStreamRequest(path, serialize, deserialize, request, headers)
    try {
      for await (const event of call) if (event.result) return event.result.output[0]?.text
      return undefined
    } catch (error) {
      return statusToError(error).code
    }
  }
  const ofAcme = { name: 'gw-acme', tenants: ['acme'] }
  const ofBoth = { name: 'gw-both', tenants: ['acme', 'globex'] }
  const REFUSED = 'MESH_GATEWAY_NOT_FOR_TENANT'

  it('and delivers to no agent of another, whoever it says is calling', async () => {
    for (const tenant of ['globex', 'acme'])
      assert.equal(await speak(ofAcme, 'globex', { 'x-mesh-caller': id(tenant) }), REFUSED)
    assert.equal(await speak(ofAcme, 'globex', {}), REFUSED)
  })

  it('and names no caller of another, in neither of the two headers', async () => {
    assert.equal(await speak(ofAcme, 'acme', { 'x-mesh-caller': id('acme') }), id('acme'))
    assert.equal(await speak(ofAcme, 'acme', { 'x-mesh-caller': id('globex') }), REFUSED)
    assert.equal(await speak(ofAcme, 'acme', { 'x-mesh-tenant': 'globex' }), REFUSED)
    const mixed = { 'x-mesh-caller': id('acme'), 'x-mesh-tenant': 'globex' }
    assert.equal(await speak(ofAcme, 'acme', mixed), 'MESH_IDENTITY_NOT_AGENT')
  })

  it('and carries calls across tenants when it is for both', async () => {
    const metadata = { 'x-mesh-caller': id('acme'), 'x-mesh-tenant': 'acme' }
    assert.equal(await speak(ofBoth, 'globex', metadata), id('acme'))
  })

  it('and is for all tenants when it covers no names of any, as other issuers make them', async () => {
    const all = { name: 'gw-all', tenants: [] }
    for (const to of ['acme', 'globex'])
      assert.equal(await speak(all, to, { 'x-mesh-caller': id('globex') }), id('globex'))
  })

  it('and is no gateway to an agent of another tenant', async () => {
    const store = await ca.open(await ca.gatewayDir(ofAcme))
    const gateway = await startStandInGateway({ store, spiffe: ca.spiffe })
    try {
      const identity = await ca.agentDir({ tenant: 'globex', agent: 'caller' })
      const agent = await createAgent({ gateway: gateway.address, identity })
      agents.push(agent)
      await assert.rejects(agent.whoAmI(), { code: REFUSED })
    } finally {
      await gateway.close()
    }
  })
})
