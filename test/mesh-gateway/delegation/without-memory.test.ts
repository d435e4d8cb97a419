import assert from 'node:assert/strict'
import { call, echo, type Fixture, makeFixture, OPEN_POLICY } from './fixture.ts'

describe('a delegation port of a process with little memory', () => {
  let mesh: Fixture
  afterEach(() => mesh.close())

  it('refuses new calls and connections, carries open calls to their end, and serves again', async () => {
    let overloaded = false
    let exhausted = false
    mesh = await makeFixture(OPEN_POLICY, {
      memory: { overloaded: () => overloaded, exhausted: () => exhausted, limitBytes: null },
    })
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
    answering.resolve()
    assert.equal((await open).status, 0)
    overloaded = false
    exhausted = false
    assert.equal((await call(session, { ':authority': peer.name })).status, 0)
    await mesh.connect(planner)
  })
})
