/** A delegation port of a process with little memory: what it refuses, and what it serves all the same. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mcpFetch } from '../../support/mcp-client.ts'
import { call, echo, type Fixture, GATEWAY, makeFixture, OPEN_POLICY } from './fixture.ts'

describe('a delegation port of a process with little memory', () => {
  let mesh: Fixture
  afterEach(() => mesh.close())

  /** A call that its peer has, and answers when it is told to. */
  async function openCall() {
    const planner = await mesh.ca.open(await mesh.ca.agentDir({ tenant: 'acme', agent: 'planner' }))
    const asked = Promise.withResolvers<void>()
    const answering = Promise.withResolvers<void>()
    const peer = await mesh.peer('researcher', (stream) => {
      asked.resolve()
      void answering.promise.then(() => echo(stream))
    })
    const session = await mesh.connect(planner)
    const open = call(session, { ':authority': peer.name })
    await asked.promise
    return { planner, peer, session, open, answer: answering.resolve }
  }

  it('refuses new calls and connections, carries open calls to their end, and serves again', async () => {
    let overloaded = false
    let exhausted = false
    mesh = await makeFixture(OPEN_POLICY, {
      memory: { overloaded: () => overloaded, exhausted: () => exhausted, limitBytes: null },
    })
    const { planner, peer, session, open, answer } = await openCall()
    overloaded = true
    const { status, error } = await call(session, { ':authority': peer.name })
    assert.equal(status, 14, 'UNAVAILABLE')
    assert.equal(error?.code, 'MESH_GATEWAY_OVERLOADED')
    assert.equal(error?.retryAfterMs, 1_000)
    const late = await mesh.connect(planner)
    assert.equal((await call(late, { ':authority': peer.name })).status, 14)
    exhausted = true
    await assert.rejects(mesh.connect(planner))
    assert.match(
      await mesh.metrics.text(),
      /clawmesh_connections_refused_total\{plane="delegation",reason="memory"\} 1/,
    )
    answer()
    assert.equal((await open).status, 0)
    overloaded = false
    exhausted = false
    assert.equal((await call(session, { ':authority': peer.name })).status, 0)
    await mesh.connect(planner)
  })

  it('serves a few calls and connections all the same, and counts them to their end', async () => {
    let connections = 1
    mesh = await makeFixture(OPEN_POLICY, {
      memory: {
        overloaded: (served) => served >= 1,
        exhausted: (open) => open >= connections,
        limitBytes: null,
      },
    })
    const { planner, peer, session, open, answer } = await openCall()
    await assert.rejects(mesh.connect(planner))
    connections = 2
    await mesh.connect(planner)
    assert.equal((await call(session, { ':authority': peer.name })).status, 14)
    answer()
    assert.equal((await open).status, 0)
    assert.equal((await call(session, { ':authority': peer.name })).status, 0)
  })

  it('ends tasks and tells their state meanwhile, since that gives memory back', async () => {
    let overloaded = false
    mesh = await makeFixture(OPEN_POLICY, {
      memory: { overloaded: () => overloaded, exhausted: () => false, limitBytes: null },
    })
    const planner = await mesh.ca.open(await mesh.ca.agentDir({ tenant: 'acme', agent: 'planner' }))
    const peer = await mesh.peer('researcher', echo)
    const session = await mesh.connect(planner)
    overloaded = true
    const statusOf = async (method: string) =>
      (await call(session, { ':authority': peer.name, ':path': `/${method}` })).status
    for (const service of ['lf.a2a.v1.A2AService', 'a2a.v1.A2AService'])
      for (const [method, status] of [
        ['CancelTask', 0],
        ['GetTask', 0],
        ['SendMessage', 14],
      ] as const)
        assert.equal(await statusOf(`${service}/${method}`), status, `${service}/${method}`)
    const own = 'clawmesh.delegation.v1.DelegationService'
    for (const [method, status] of [
      ['Cancel', 0],
      ['Get', 0],
      ['Delegate', 14],
      ['Watch', 14],
      ['List', 14],
      ['SendInput', 14],
    ] as const)
      assert.equal(await statusOf(`${own}/${method}`), status, method)
  })

  it('refuses cancels too when it is about to be killed: a caller may keep them open, and as many as it may', async () => {
    let exhausted = false
    mesh = await makeFixture(OPEN_POLICY, {
      memory: { overloaded: () => true, exhausted: () => exhausted, limitBytes: null },
      mcp: { sessionKeys: () => [randomBytes(32)] },
    })
    const identityDir = await mesh.ca.agentDir({ tenant: 'acme', agent: 'planner' })
    const peer = await mesh.peer('researcher', echo)
    const session = await mesh.connect(await mesh.ca.open(identityDir))
    const { host, port } = mesh.port.address
    const delegation = `${host}:${port}`
    const client = await mcpFetch({ delegation, name: GATEWAY, identityDir, http2: true })
    const statuses = async () => {
      const path = '/clawmesh.delegation.v1.DelegationService/Cancel'
      const byGrpc = await call(session, { ':authority': peer.name, ':path': path })
      const message = { jsonrpc: '2.0', method: 'notifications/cancelled', params: {} }
      const byMcp = await client.post(message)
      await byMcp.text()
      return [byGrpc.status, byMcp.status]
    }
    try {
      assert.deepEqual(await statuses(), [0, 202])
      exhausted = true
      assert.deepEqual(await statuses(), [14, 503])
    } finally {
      await client.close()
    }
  })

  for (const http2 of [false, true])
    it(`cancels by MCP meanwhile, over HTTP/${http2 ? '2' : '1.1'}, and serves nothing else there`, async () => {
      let overloaded = false
      mesh = await makeFixture(OPEN_POLICY, {
        memory: { overloaded: () => overloaded, exhausted: () => false, limitBytes: null },
        mcp: { sessionKeys: () => [randomBytes(32)] },
      })
      const identityDir = await mesh.ca.agentDir({ tenant: 'acme', agent: 'planner' })
      const { host, port } = mesh.port.address
      const client = await mcpFetch({
        ...{ delegation: `${host}:${port}`, name: GATEWAY, identityDir, http2 },
      })
      const answerTo = async (message: unknown) => {
        const answer = await client.post(message)
        return { status: answer.status, text: await answer.text() }
      }
      try {
        const cancelled = { jsonrpc: '2.0', method: 'notifications/cancelled', params: {} }
        const task = (action: string, more: object = {}) => ({
          ...{ jsonrpc: '2.0', id: 1, method: 'tools/call' },
          params: { name: 'mesh_task', arguments: { action, id: 'x', peer: 'nobody', ...more } },
        })
        overloaded = true
        assert.equal((await answerTo(cancelled)).status, 202)
        for (const action of ['cancel', 'status']) {
          const { status, text } = await answerTo(task(action))
          assert.equal(status, 200)
          assert.doesNotMatch(text, /OVERLOADED/)
        }
        for (const refused of [
          { jsonrpc: '2.0', id: 1, method: 'ping' },
          task('wait'),
          task('cancel', { reason: 'x'.repeat(5_000) }),
          [cancelled, task('list')],
        ]) {
          const { status, text } = await answerTo(refused)
          assert.equal(status, 503)
          assert.match(text, /MESH_GATEWAY_OVERLOADED/)
        }
        overloaded = false
        assert.equal((await answerTo({ jsonrpc: '2.0', id: 1, method: 'ping' })).status, 200)
      } finally {
        await client.close()
      }
    })
})
