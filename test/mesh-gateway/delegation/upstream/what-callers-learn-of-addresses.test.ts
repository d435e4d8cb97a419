import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer, type Server } from 'node:net'
import type { IdentityStore } from '@clawmesh/agent-sdk/mesh'
import { call, echo, type Fixture, makeFixture } from '../fixture.ts'

describe('what a caller learns of addresses behind the gateway', () => {
  let mesh: Fixture
  let planner: IdentityStore
  let silent: Server
  let connections = 0

  before(async () => {
    mesh = await makeFixture()
    planner = await mesh.ca.open(await mesh.ca.agentDir({ tenant: 'acme', agent: 'planner' }))
    silent = createServer((socket) => {
      connections += 1
      socket.destroy()
    })
    silent.listen(0, '127.0.0.1')
    await once(silent, 'listening')
  })
  after(async () => {
    silent.close()
    await mesh.close()
  })

  it('are no ports: one that SRV does not name is not dialled, open or closed', async () => {
    const peer = await mesh.peer('researcher', echo)
    const { port } = silent.address() as AddressInfo
    const session = await mesh.connect(planner)
    for (const asked of [port, 1, 22, 65_535]) {
      const answer = await call(session, { ':authority': `${peer.name}:${asked}` })
      assert.equal(answer.error?.code, 'MESH_PEER_PORT_REFUSED', String(asked))
    }
    assert.equal(connections, 0)
    const plain = await call(session, { ':authority': peer.name })
    assert.equal(plain.status, 0)
  })

  it('is the port that SRV names, when the caller names it too', async () => {
    const peer = await mesh.peer('listener', echo)
    const session = await mesh.connect(planner)
    const record = mesh.nextRecord()
    assert.equal((await call(session, { ':authority': peer.name })).status, 0)
    const { destination_port: port } = await record
    assert.equal((await call(session, { ':authority': `${peer.name}:${port}` })).status, 0)
  })

  it('is no address in the words of a refusal', async () => {
    const peer = await mesh.peer('gone', echo)
    const session = await mesh.connect(planner)
    const record = mesh.nextRecord()
    await call(session, { ':authority': peer.name })
    const { destination_port: port } = await record
    await peer.close()
    const refused = mesh.nextRecord()
    const answer = await call(session, { ':authority': peer.name })
    assert.match(String(answer.error?.code), /^MESH_PEER_/)
    // the operator reads it in the record
    const { destination_ip, destination_port, action_allowed } = await refused
    assert.deepEqual([destination_ip, destination_port, action_allowed], ['127.0.0.1', port, true])
    assert.doesNotMatch(JSON.stringify([answer, answer.error?.message]), /127\.0\.0\.1/)
  })

  it('is a mark that trying every address and port does not give away', async () => {
    const peer = await mesh.peer('marked', echo)
    const session = await mesh.connect(planner)
    const record = mesh.nextRecord()
    const answer = await call(session, { ':authority': peer.name })
    const { destination_ip: ip, destination_port: port } = await record
    const mark = String(answer.headers['x-mesh-replica'])
    assert.match(mark, /^[\w-]{16}$/)
    const plain = createHash('sha256').update(`${ip} ${port}`).digest('base64url').slice(0, 16)
    assert.notEqual(mark, plain)
  })
})
