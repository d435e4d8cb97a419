/** Which revision of MCP is spoken, whatever a client tries first. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { type McpFetch, mcpFetch } from '../../../support/mcp-client.ts'
import { type Fixture, GATEWAY, makeFixture, OPEN_POLICY } from '../fixture.ts'

/** What a client that knows a revision to come sends with each request. */
const TO_COME = { 'mcp-protocol-version': '2999-01-01' }

describe('a revision of MCP that is not served', () => {
  let fixture: Fixture
  let client: McpFetch
  before(async () => {
    const keys = [randomBytes(32)]
    fixture = await makeFixture(OPEN_POLICY, { mcp: { sessionKeys: () => keys } })
    const { host, port } = fixture.port.address
    client = await mcpFetch({
      ...{ delegation: `${host}:${port}`, name: GATEWAY },
      identityDir: await fixture.ca.agentDir({ tenant: 'acme', agent: 'planner' }),
    })
  })
  after(async () => {
    await client.close()
    await fixture.close()
  })
  beforeEach(() => {
    fixture.records.length = 0
  })

  const ask = async (method: string, params: object = {}) => {
    const answer = await client.post({ jsonrpc: '2.0', id: 'a', method, params }, TO_COME)
    const body: unknown = await answer.json()
    return { status: answer.status, body, session: answer.headers.get('mcp-session-id') }
  }

  it('is agreed away by initialize, though its header names it already', async () => {
    const { status, body, session } = await ask('initialize', { protocolVersion: '2999-01-01' })
    assert.equal(status, 200)
    assert.match(JSON.stringify(body), /"protocolVersion":"2025-11-25"/)
    assert.match(session ?? '', /^[\w-]{64}$/)
  })

  it('may be asked for by server/discover, which is not known here: that refuses nothing', async () => {
    for (let n = 0; n < 20; n += 1) {
      const { status, body } = await ask('server/discover')
      const error = { code: -32_601, message: 'this method is not served here' }
      assert.deepEqual([status, body], [200, { jsonrpc: '2.0', id: 'a', error }])
    }
    assert.deepEqual(fixture.records, [])
  })

  it('refuses everything else that is sent in it, also beside initialize in one body', async () => {
    assert.equal((await ask('tools/list')).status, 400)
    const batch = ['initialize', 'ping'].map((method, id) => ({ jsonrpc: '2.0', id, method }))
    const answer = await client.post(batch, TO_COME)
    await answer.text()
    assert.equal(answer.status, 400)
    assert.deepEqual(
      fixture.records.map(({ reason }) => reason),
      ['MESH_MCP_REQUEST', 'MESH_MCP_REQUEST'],
    )
  })
})
