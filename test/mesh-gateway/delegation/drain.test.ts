import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { ServerHttp2Stream } from 'node:http2'
import { connect as connectTcp } from 'node:net'
import { call, echo, type Fixture, makeFixture } from './fixture.ts'

describe('draining the delegation port', () => {
  let mesh: Fixture

  beforeEach(async () => {
    mesh = await makeFixture()
  })
  afterEach(() => mesh.close())

  it('lets a call in flight end, and takes no new connection', async () => {
    let arrive: (stream: ServerHttp2Stream) => void = () => {}
    const arrived = new Promise<ServerHttp2Stream>((resolve) => {
      arrive = resolve
    })
    const peer = await mesh.peer('slow', (stream) => arrive(stream))
    const planner = await mesh.ca.open(await mesh.ca.agentDir({ tenant: 'acme', agent: 'planner' }))
    const session = await mesh.connect(planner)
    const goaway = once(session, 'goaway')
    const answer = call(session, { ':authority': peer.name, 'grpc-timeout': '10S' })
    const atPeer = await arrived
    const drained = mesh.port.drain(10_000)
    await goaway
    const refused = connectTcp(mesh.port.address.port, mesh.port.address.host)
    const [error] = await once(refused, 'error')
    assert.equal(error.code, 'ECONNREFUSED')
    echo(atPeer)
    assert.equal((await answer).status, 0)
    await drained
  })

  it('ends what does not end by itself when the time is up', async () => {
    const peer = await mesh.peer('stuck', () => {})
    const planner = await mesh.ca.open(await mesh.ca.agentDir({ tenant: 'acme', agent: 'planner' }))
    const session = await mesh.connect(planner)
    const answer = call(session, { ':authority': peer.name }).catch((error: unknown) => error)
    await call(session, { ':authority': 'localhost', ':path': '/grpc.health.v1.Health/Check' })
    await mesh.port.drain(50)
    await answer
    assert.equal(mesh.records.filter((record) => record.callee?.endsWith('stuck')).length, 1)
  })
})
