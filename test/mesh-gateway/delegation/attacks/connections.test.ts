import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectTcp, type Socket } from 'node:net'
import * as h2 from '../../../support/raw-http2.ts'
import { PREFACE, type RawSide, rawSide, settingsFrame } from '../../../support/raw-http2.ts'
import { waitFor } from '../../../support/wait-for.ts'
import { call } from '../fixture.ts'
import { type Battlefield, callFrame, openBattlefield } from './battlefield.ts'

describe('connections of strangers and of too many', () => {
  let field: Battlefield

  before(async () => {
    field = await openBattlefield({
      guard: {
        handshakeMs: 300,
        maxConnections: 80,
        maxConnectionsPerAgent: 5,
        maxHandshakes: 40,
        maxHandshakesPerAddress: 30,
        pingMs: 1_000,
      },
    })
  })
  after(() => field.close())
  afterEach(() => field.unharmed())

  const tcp = (): Socket => {
    const { host, port } = field.mesh.port.address
    const socket = connectTcp(port, host)
    socket.on('error', () => {})
    // else it never sees the end
    socket.resume()
    return socket
  }

  it('close on who connects and says nothing, or says it a byte at a time', async () => {
    const silent = tcp()
    const slow = tcp()
    const drip = setInterval(() => slow.write(Buffer.from([22])), 20)
    const gone = [once(silent, 'close'), once(slow, 'close')]
    await Promise.all(gone)
    clearInterval(drip)
    await field.counted('handshake-timeout')
  })

  it('close on who ends the TLS handshake and never says what HTTP/2 says first', async () => {
    const quiet = rawSide(await field.dial())
    const half = rawSide(await field.dial())
    await half.send(PREFACE.subarray(0, 10))
    const drip = setInterval(() => half.socket.write(PREFACE.subarray(10, 11)), 1_000)
    await Promise.all([quiet.closed, half.closed])
    clearInterval(drip)
  })

  it('answer a stranger with the reason, and do not let it stay', async () => {
    field.mesh.records.length = 0
    const stranger = rawSide(await field.dial({ identity: null }))
    await stranger.send(PREFACE, settingsFrame(), callFrame(1, 'x'))
    await stranger.frame((got) => got.type === h2.FRAME.HEADERS && got.stream === 1)
    await stranger.closed
    assert.equal(
      field.mesh.records.filter((one) => one.reason === 'MESH_IDENTITY_NO_CERTIFICATE').length,
      1,
    )
  })

  it('are few for strangers, however many try, and others come in between them', async () => {
    const sockets = Array.from({ length: 1_000 }, tcp)
    await waitFor('most to be gone', () => sockets.filter((one) => !one.closed).length <= 40)
    await field.counted('handshakes')
    for (const socket of sockets) socket.destroy()
    await waitFor('room for one more', async () => {
      const side = await field.attack().catch(() => null)
      return side === null ? false : await settled(side)
    })
  })

  it('are few for one agent, and its tenant is not held liable', async () => {
    const sides = await Promise.all(Array.from({ length: 20 }, () => field.attack()))
    await waitFor(
      'the rest to be gone',
      () => sides.filter((one) => !one.socket.closed).length <= 5,
    )
    await field.counted('connections-per-agent')
    const writer = await field.mesh.ca.open(
      await field.mesh.ca.agentDir({ tenant: 'acme', agent: 'writer' }),
    )
    const session = await field.mesh.connect(writer)
    const own = { ':authority': 'localhost', ':path': '/grpc.health.v1.Health/Check' }
    assert.equal((await call(session, own, Buffer.alloc(5))).status, 0)
    for (const side of sides) side.socket.destroy()
  })

  it('end for who no longer answers, and permits for who does', async () => {
    // one client may have five
    await waitFor('room', async () => {
      const side = await field.attack().catch(() => null)
      return side === null ? false : await settled(side)
    })
    const dead = await field.attack()
    const alive = await field.attack()
    alive.onFrame((got) => {
      if (got.type === h2.FRAME.PING && (got.flags & h2.FLAG.ACK) === 0)
        alive.send(h2.frame(h2.FRAME.PING, h2.FLAG.ACK, 0, got.payload))
    })
    await alive.frame((got) => got.type === h2.FRAME.PING)
    await dead.closed
    await field.counted('no-answer')
    assert.equal(alive.socket.destroyed, false)
    alive.socket.destroy()
  })
})

/** True when the port took the connection; it is closed again. */
async function settled(side: RawSide): Promise<boolean> {
  const taken = await side
    .frame((got) => got.type === h2.FRAME.SETTINGS)
    .then(
      () => true,
      () => false,
    )
  side.socket.destroy()
  return taken
}

describe('a connection that has grown old', () => {
  let field: Battlefield

  before(async () => {
    field = await openBattlefield({
      guard: { connectionAgeMs: 1_000, connectionAgeGraceMs: 1_000 },
    })
  })
  after(() => field.close())

  it('is told first, takes what was under way, then takes no more; its calls go on for a while', async () => {
    const peer = await field.mesh.peer('slow', () => {})
    const side = await field.attack()
    side.onFrame((got) => {
      if (got.type === h2.FRAME.PING)
        side.send(h2.frame(h2.FRAME.PING, h2.FLAG.ACK, 0, got.payload))
    })
    await side.send(callFrame(1, peer.name))
    const isGoaway = (got: h2.Frame) => got.type === h2.FRAME.GOAWAY
    const warning = await side.frame(isGoaway)
    assert.equal(warning.payload.readUInt32BE(0), 2 ** 31 - 1)
    const last = await side.frame((got) => isGoaway(got) && got !== warning)
    assert.equal(last.payload.readUInt32BE(0), 1)
    assert.equal(h2.codeOf(last), h2.ERROR.NO_ERROR)
    assert.equal(side.socket.destroyed, false)
    await side.closed
    const [record] = field.mesh.records.filter((one) => one.tenant === 'acme')
    assert.equal(record?.reason, 'MESH_GATEWAY_DRAINING')
  })
})
