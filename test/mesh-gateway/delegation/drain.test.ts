import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { ServerHttp2Stream } from 'node:http2'
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from 'node:net'
import { waitFor } from '../../support/wait-for.ts'
import { call, echo, type Fixture, frame, makeFixture } from './fixture.ts'

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

  it('tells each call that goes on too long why it ends, and Delegate that Watch goes on', async () => {
    const peer = await mesh.peer('stuck', (stream) => {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' })
      stream.write(frame(Buffer.from('first')))
    })
    // accepts, and says nothing: a call to it waits for the connection
    const mute = createServer()
    mute.listen(0, '127.0.0.1')
    await once(mute, 'listening')
    const { port } = mute.address() as AddressInfo
    mesh.names.set('mute.acme.mesh.internal', [{ ip: '127.0.0.1', port }])
    const planner = await mesh.ca.open(await mesh.ca.agentDir({ tenant: 'acme', agent: 'planner' }))
    const session = await mesh.connect(planner)
    const delegate = '/clawmesh.delegation.v1.DelegationService/Delegate'
    let begun = 0
    const begin = (path?: string) => {
      const headers = { ':authority': peer.name, ...(path === undefined ? {} : { ':path': path }) }
      return call(session, headers, undefined, () => {
        begun += 1
      })
    }
    const stuck = begin(delegate)
    const unary = begin()
    const waiting = call(session, { ':authority': 'mute.acme.mesh.internal' })
    const [unanswered]: Socket[] = await once(mute, 'connection')
    await waitFor('three open calls', async () =>
      (await mesh.metrics.text()).includes('clawmesh_active{plane="delegation"} 3'),
    )
    await waitFor('the first message of both', () => begun === 2)
    await mesh.port.drain(50)
    const answers = await Promise.all([stuck, unary, waiting])
    for (const { error, status } of answers)
      assert.deepEqual([error?.code, status], ['MESH_GATEWAY_DRAINING', 14])
    assert.deepEqual(
      answers.map(({ error }) => error?.facts.resume),
      ['watch', undefined, undefined],
    )
    const records = mesh.records.map(({ callee, grpc_status, reason, action_allowed }) => [
      ...[callee?.split('/').at(-1), grpc_status, reason, action_allowed],
    ])
    assert.deepEqual(records.toSorted(), [
      ['mute', 14, 'MESH_GATEWAY_DRAINING', false],
      ['stuck', 14, 'MESH_GATEWAY_DRAINING', true],
      ['stuck', 14, 'MESH_GATEWAY_DRAINING', true],
    ])
    unanswered?.destroy()
    mute.close()
    await once(mute, 'close')
  })
})

describe('a connection to the delegation port that has reached its age', () => {
  it('lets its calls go on for their time, and then tells them why they end', async () => {
    const guard = { connectionAgeMs: 500, connectionAgeGraceMs: 500 }
    const mesh = await makeFixture(undefined, { guard })
    try {
      const peer = await mesh.peer('stuck', (stream) => {
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' })
        stream.write(frame(Buffer.from('first')))
      })
      const dir = await mesh.ca.agentDir({ tenant: 'acme', agent: 'planner' })
      const session = await mesh.connect(await mesh.ca.open(dir))
      const ended = once(session, 'close')
      const { error } = await call(session, { ':authority': peer.name })
      assert.equal(error?.code, 'MESH_GATEWAY_DRAINING')
      assert.match(String(error?.message), /as old as it may be/)
      assert.deepEqual(
        mesh.records.map(({ reason, action_allowed }) => [reason, action_allowed]),
        [['MESH_GATEWAY_DRAINING', true]],
      )
      await ended
    } finally {
      await mesh.close()
    }
  })
})
