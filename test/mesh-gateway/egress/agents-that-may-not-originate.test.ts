/** An agent with `mayOriginate: false` gets out within a chain of delegation only, whatever token it holds. */
import assert from 'node:assert/strict'
import { rawClient, refusalOf, sendRaw } from './fixture.ts'
import { basic, connectTo, get, setUp } from './setup.ts'

const BOUND = { agents: { 'bot-01': { mayOriginate: false } } }

describe('an agent that may not originate', () => {
  const setup = setUp()
  afterEach(() => setup.close())
  const chain = () => ({
    act: { sub: 'spiffe://mesh.internal/tenant/acme/agent/planner' },
    txn: 'tree',
    exp: Math.floor(Date.now() / 1000) + 60,
    allowedDestinations: null,
  })

  it('is refused with a token that was made for it alone, and served with one of a chain', async () => {
    const { port } = await setup.http((_, response) => response.end('ok'))
    const egress = await setup.egress(port, { delegation: BOUND })
    const destinations = [`api.test:${port}`]
    const alone = await egress.token({ destinations })
    const ask = (token: string) =>
      sendRaw(egress.number, get(port, `${basic(token)}Connection: close\r\n`))
    const refusal = refusalOf(await ask(alone))
    assert.equal(refusal.code, 'MESH_POLICY_MAY_NOT_ORIGINATE')
    assert.equal(refusal.rule, 'acme.json#/delegation/agents/bot-01/mayOriginate')
    assert.equal(refusal.gate, 'policy')
    const within = await egress.token({ destinations, chain: chain() })
    assert.match(await ask(within), /^HTTP\/1\.1 200 /)
  })

  it('loses what it has open outside a chain when policy says so, and keeps what it has within one', async () => {
    const upstream = await setup.upstream((socket) => void socket.pipe(socket))
    const { port } = upstream
    const egress = await setup.egress(port)
    const destinations = [`api.test:${port}`]
    const open = async (token: string) => {
      const client = await rawClient(egress.number)
      client.send(connectTo(port, basic(token)))
      await client.until((text) => text.includes('\r\n\r\n'))
      return client
    }
    const alone = await open(await egress.token({ destinations }))
    const within = await open(await egress.token({ destinations, chain: chain() }))
    egress.setPolicy({ allow: destinations }, { ports: [port] }, BOUND)
    await alone.rest()
    assert.equal((await egress.record(0)).reason, 'MESH_POLICY_MAY_NOT_ORIGINATE')
    within.send('still here')
    await within.until((text) => text.includes('still here'))
    within.socket.destroy()
  })
})
