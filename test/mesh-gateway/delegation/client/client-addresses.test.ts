/** From where a call came is in its record, and from where a connection came that was refused or cut is in the log. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type ClientHttp2Session, connect } from 'node:http2'
import { connect as connectTcp, type Socket } from 'node:net'
import tls from 'node:tls'
import { silentLog } from '@clawmesh/agent-sdk'
import { checkIsGateway, clientTlsOptions, type IdentityStore } from '@clawmesh/agent-sdk/mesh'
import { waitFor } from '../../../support/wait-for.ts'
import { call, echo, type Fixture, GATEWAY, makeFixture, OPEN_POLICY } from '../fixture.ts'

describe('the delegation port tells from where clients come', () => {
  let mesh: Fixture
  let planner: IdentityStore
  const lines: { readonly [fact: string]: unknown }[] = []

  before(async () => {
    mesh = await makeFixture(OPEN_POLICY, {
      log: { ...silentLog, warn: (facts) => void lines.push(Object(facts)) },
      guard: { handshakeMs: 500 },
    })
    planner = await mesh.ca.open(await mesh.ca.agentDir({ tenant: 'acme', agent: 'planner' }))
  })
  after(() => mesh.close())
  beforeEach(() => {
    lines.length = 0
    mesh.records.length = 0
  })

  async function from(localAddress: string): Promise<Socket> {
    const socket = connectTcp({ ...mesh.port.address, localAddress })
    socket.on('error', () => {}).resume()
    await once(socket, 'connect')
    return socket
  }

  async function session(localAddress: string, known: boolean): Promise<ClientHttp2Session> {
    const choices = { servername: GATEWAY }
    const { cert, key, ...anonymous } = clientTlsOptions(
      planner.current(),
      mesh.ca.spiffe,
      checkIsGateway,
      choices,
    )
    const options = known ? { ...anonymous, cert, key } : anonymous
    const socket = tls.connect({ ...options, ...mesh.port.address, ...{ localAddress } })
    const made = connect(`https://${GATEWAY}`, { createConnection: () => socket })
    made.on('error', () => {})
    await once(made, 'connect')
    return made
  }

  const clientsOf = () => mesh.records.map(({ client_ip }) => client_ip)
  const line = async (ip: string) => {
    await waitFor('the line', () => lines.some(({ client_ip }) => client_ip === ip))
    return lines.find(({ client_ip }) => client_ip === ip)
  }

  it('in the record of a call that is carried, of one that is refused, and of one to the gateway itself', async () => {
    const peer = await mesh.peer('writer', echo)
    const made = await session('127.23.7.1', true)
    for (const authority of [peer.name, 'elsewhere.globex.mesh.internal', 'nobody', 'localhost'])
      await call(made, {
        ':authority': authority,
        ...(authority === 'localhost' ? { ':path': '/grpc.health.v1.Health/Check' } : {}),
      })
    await waitFor('four records', () => mesh.records.length === 4)
    assert.deepEqual(new Set(clientsOf()), new Set(['127.23.7.1']))
    assert.deepEqual(
      new Set(mesh.records.map(({ client_port }) => client_port)),
      new Set([made.socket.localPort]),
    )
    made.destroy()
  })

  it('in the record of a call without a certificate', async () => {
    const made = await session('127.23.7.2', false)
    await call(made, { ':authority': 'writer.acme.mesh.internal' })
    const [record] = mesh.records
    assert.deepEqual(
      [record?.reason, record?.client_ip],
      ['MESH_IDENTITY_NO_CERTIFICATE', '127.23.7.2'],
    )
    made.destroy()
  })

  it('in the log of a handshake that fails, is given up or never ends', async () => {
    const noTls = await from('127.23.8.1')
    const { localPort } = noTls
    noTls.write('GET / HTTP/1.1\r\n\r\n')
    const gaveUp = await from('127.23.8.2')
    gaveUp.destroy()
    await from('127.23.8.3')
    const [one, two, three] = [
      await line('127.23.8.1'),
      await line('127.23.8.2'),
      await line('127.23.8.3'),
    ]
    assert.deepEqual([one?.reason, one?.client_port], ['tls', localPort])
    assert.equal(two?.reason, 'tls')
    assert.equal(three?.reason, 'handshake-timeout')
  })
})
