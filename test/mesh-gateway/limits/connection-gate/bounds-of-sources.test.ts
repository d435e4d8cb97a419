/** Whom a gate lets in, whom it closes for that and why, over many addresses and any time: sockets and clock are the test's own. */
import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import { Socket } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import {
  type ConnectionGate,
  type ConnectionGateLimits,
  createConnectionGate,
  type GatedClient,
  gateConnections,
} from '../../../../mesh-gateway/src/limits/connection-gate.ts'

/** Of a client at an address, which notes how it was closed. */
class ClientSocket extends Socket {
  ip: string | undefined
  closedBy: 'reset' | 'end' | null = null

  constructor(ip: string | undefined) {
    super()
    this.ip = ip
    Object.defineProperty(this, 'remoteAddress', { get: () => this.ip })
    Object.defineProperty(this, 'remotePort', {
      get: () => (this.ip === undefined ? undefined : 50_000),
    })
  }
  override resetAndDestroy(): this {
    this.closedBy ??= 'reset'
    return this.destroy()
  }
  override destroy(error?: Error): this {
    this.closedBy ??= 'end'
    return super.destroy(error)
  }
}

describe('a gate of connections, over many addresses,', () => {
  let gate: ConnectionGate
  let nowMs: number
  const refusals: string[] = []
  const sockets: ClientSocket[] = []

  function open(limits: Partial<ConnectionGateLimits>, unixSocket?: boolean) {
    nowMs = 5_000
    gate = createConnectionGate({
      limits: {
        ...{
          maxConnections: 1_000,
          maxUnauthenticated: 1_000,
          maxUnauthenticatedPerAddress: 1_000,
        },
        ...{ maxConnectionsPerAddress: 1_000, newConnectionsPerSecond: 500, minEvictionAgeMs: 0 },
        authenticateMs: null,
        ...limits,
      },
      refused: (reason, { client }) => void refusals.push(`${reason} ${client?.ip}`),
      ...(unixSocket === undefined ? {} : { unixSocket }),
      now: () => nowMs,
    })
  }
  function come(ip: string | undefined) {
    const socket = new ClientSocket(ip)
    sockets.push(socket)
    const client = gate.admit(socket)
    assert.equal(client === null, socket.closedBy !== null)
    return { socket, client }
  }
  const authenticated = (ip: string) => {
    const { client, socket } = come(ip)
    client?.setAuthenticated(true)
    return { client, socket }
  }
  const comeTimes = (ip: string, times: number) =>
    Array.from({ length: times }, () => come(ip)).filter(({ client }) => client !== null).length
  const told = () => refusals.splice(0)

  beforeEach(() => refusals.splice(0))
  afterEach(() => {
    for (const socket of sockets.splice(0)) socket.destroy()
  })

  it('lets two seconds of new ones of an address come at once, and then as many as come in a second', () => {
    open({ newConnectionsPerSecond: 10 })
    assert.equal(comeTimes('192.0.2.1', 22), 20)
    assert.deepEqual(told(), ['connection-rate 192.0.2.1', 'connection-rate 192.0.2.1'])
    assert.equal(comeTimes('192.0.2.2', 1), 1, 'another address')
    nowMs += 99
    assert.equal(comeTimes('192.0.2.1', 1), 0)
    nowMs += 1
    assert.equal(comeTimes('192.0.2.1', 2), 1)
    nowMs += 300
    assert.equal(comeTimes('192.0.2.1', 9), 3)
    nowMs += 60_000
    assert.equal(comeTimes('192.0.2.1', 30), 20)
  })

  it('gives back what a connection has cost that authenticates, once, and takes it again of one that loses it', () => {
    open({ newConnectionsPerSecond: 1 })
    const ip = '192.0.2.1'
    const { client } = come(ip)
    for (let times = 0; times < 3; times += 1) client?.setAuthenticated(true)
    assert.equal(client?.authenticated, true)
    assert.equal(comeTimes(ip, 3), 2, 'two at once, as if it had not come')
    client?.setAuthenticated(false)
    assert.equal(client?.authenticated, false)
    nowMs += 1_000
    assert.equal(comeTimes(ip, 1), 0, 'its own is taken again')
    nowMs += 1_000
    assert.equal(comeTimes(ip, 2), 1)
  })

  it('takes no word of a connection that has closed', async () => {
    open({ newConnectionsPerSecond: 1, maxUnauthenticatedPerAddress: 1 })
    const { client, socket } = come('192.0.2.1')
    const closed = once(socket, 'close')
    socket.destroy()
    await closed
    client?.setAuthenticated(true)
    client?.setAuthenticated(false)
    assert.equal(comeTimes('192.0.2.1', 1), 1)
    assert.deepEqual(told(), [])
    assert.equal(comeTimes('192.0.2.1', 1), 0)
  })

  it('closes the oldest of the address that has all that an address may, and never one that has authenticated', () => {
    open({ maxConnectionsPerAddress: 2 })
    const [first, second] = [come('192.0.2.1'), come('192.0.2.1')]
    nowMs += 1
    const third = come('192.0.2.1')
    assert.equal(first.socket.closedBy, 'reset')
    assert.equal(second.socket.closedBy, null)
    assert.deepEqual(told(), ['connections-per-address 192.0.2.1'])
    second.client?.setAuthenticated(true)
    third.client?.setAuthenticated(true)
    assert.equal(come('192.0.2.1').socket.closedBy, 'reset')
    assert.deepEqual(told(), ['connections-per-address 192.0.2.1'])
    assert.equal(second.socket.closedBy ?? third.socket.closedBy, null)
    assert.ok(come('192.0.2.2').client)
  })

  for (const [bound, reason] of [
    ['maxUnauthenticated', 'handshakes'],
    ['maxConnections', 'connections'],
  ] as const)
    it(`closes the oldest of the largest address for one beyond ${bound}, or refuses it`, async () => {
      open({ [bound]: 3, minEvictionAgeMs: 100 })
      const small = come('192.0.2.1')
      const [older, younger] = [come('192.0.2.2'), come('192.0.2.2')]
      nowMs += 99
      assert.equal(come('192.0.2.3').client, null, 'all are too young')
      assert.deepEqual(told(), [`${reason} 192.0.2.3`])
      nowMs += 1
      const late = come('192.0.2.3')
      assert.deepEqual(told(), [`${reason} 192.0.2.2`])
      assert.equal(older.socket.closedBy, 'reset')
      for (const { client } of [small, younger, late]) client?.setAuthenticated(true)
      nowMs += 100
      // who has authenticated fills the port, and no handshake of others
      assert.equal(come('192.0.2.4').client === null, bound === 'maxConnections')
      assert.deepEqual(told(), bound === 'maxConnections' ? ['connections 192.0.2.4'] : [])
      assert.equal(younger.socket.closedBy, null)
      const closed = once(small.socket, 'close')
      small.socket.destroy()
      await closed
      assert.ok(come('192.0.2.5').client, 'in the place of one that has closed')
      assert.deepEqual(told(), [])
    })

  it('counts one that was closed to make room, and has closed then, once', async () => {
    open({ maxUnauthenticated: 1, maxConnectionsPerAddress: 2 })
    const first = come('192.0.2.1')
    const closed = once(first.socket, 'close')
    const second = come('192.0.2.1')
    await closed
    assert.deepEqual(told(), ['handshakes 192.0.2.1'])
    second.client?.setAuthenticated(true)
    authenticated('192.0.2.1')
    assert.equal(come('192.0.2.1').client, null)
    assert.deepEqual(told(), ['connections-per-address 192.0.2.1'])
  })

  it('gives a connection its time to authenticate, and no more of a clock when it has, or has closed', () => {
    open({ authenticateMs: 60_000 })
    const clocks = () => process.getActiveResourcesInfo().filter((one) => one === 'Timeout').length
    const before = clocks()
    const { client } = come('192.0.2.1')
    const other = come('192.0.2.1')
    assert.equal(clocks(), before + 2)
    client?.setAuthenticated(true)
    assert.equal(clocks(), before + 1)
    client?.setAuthenticated(false)
    client?.setAuthenticated(true)
    other.socket.emit('close')
    assert.equal(clocks(), before)
  })

  /** One socket in the place of many, each from the next address; it stays open. */
  function flood(count: number) {
    const passing = new ClientSocket(undefined)
    passing.resetAndDestroy = () => passing
    const pass = (ip: string) => {
      passing.ip = ip
      const client = gate.admit(passing)
      for (const event of ['error', 'close']) passing.removeAllListeners(event)
      return client
    }
    for (let one = 0; one < count; one += 1) {
      nowMs += 0.01
      refusals.length = 0
      pass(`10.${one >> 16}.${(one >> 8) & 255}.${one & 255}`)
    }
    return pass
  }

  it('forgets addresses that have nothing open and may open as many as ever', () => {
    setFlagsFromString('--expose-gc')
    const collectGarbage: () => void = runInNewContext('gc')
    open({ maxConnectionsPerAddress: 0 })
    collectGarbage()
    const before = process.memoryUsage().heapUsed
    flood(200_000)
    collectGarbage()
    const grown = process.memoryUsage().heapUsed - before
    assert.ok(grown < 20_000_000, `${grown} bytes`)
  })

  it('remembers among many addresses who has spent all, and who has something open', () => {
    open({
      ...{ newConnectionsPerSecond: 1, maxConnectionsPerAddress: 2, maxConnections: 100_000 },
      ...{ maxUnauthenticated: 100_000, minEvictionAgeMs: 1e9 },
    })
    // its bucket is full
    for (const _ of [1, 2]) authenticated('192.0.2.1')
    const spent = [come('192.0.2.2'), come('192.0.2.2')]
    for (const { socket } of spent) socket.emit('close')
    const pass = flood(12_000)
    told()
    for (const ip of ['192.0.2.1', '192.0.2.2', '10.0.0.0'])
      assert.equal(pass(ip) === null, ip !== '10.0.0.0')
    assert.deepEqual(told(), ['connections-per-address 192.0.2.1', 'connection-rate 192.0.2.2'])
  })

  it('closes a client that had gone before it was seen, and tells nobody', () => {
    open({})
    const { socket, client } = come(undefined)
    assert.equal(client, null)
    assert.equal(socket.closedBy, 'end')
    socket.emit('error', new Error('late'))
    assert.deepEqual(told(), [])
    open({ maxConnections: 0 })
    const refused = come('192.0.2.1')
    refused.socket.emit('error', new Error('late'))
    open({ maxConnections: 0 }, true)
    assert.equal(come(undefined).socket.closedBy, 'end', 'nothing is reset at a Unix socket')
  })

  it('knows a client by its socket, and by a TLS socket on it, and no other', () => {
    open({})
    const { socket, client } = come('::ffff:192.0.2.1')
    assert.equal(client?.ip, '192.0.2.1')
    assert.equal(gate.of(socket), client)
    assert.equal(gate.of({ _parent: socket }), client)
    for (const other of [
      {},
      { _parent: null },
      { _parent: 'text' },
      { _parent: {} },
      new Socket(),
    ]) {
      assert.equal(gate.of(other), null)
      assert.deepEqual(gate.addressOf(other), { ip: null, port: null })
    }
    assert.equal(gate.addressOf(socket).ip, '192.0.2.1')
    assert.equal(gate.addressOf(socket).port, 50_000)
    socket.destroy()
    assert.equal(gate.of(socket), client, 'also when it has closed')
  })

  it('closes those that have not authenticated, and all, when it is told to', () => {
    open({})
    const [known, unknown] = [authenticated('192.0.2.1'), come('192.0.2.1')]
    gate.closeUnauthenticated()
    assert.deepEqual([known.socket.closedBy, unknown.socket.closedBy], [null, 'end'])
    gate.closeAll()
    assert.equal(known.socket.closedBy, 'end')
  })

  it('shows a server those alone that it lets in, once each', () => {
    open({ newConnectionsPerSecond: 0.5 })
    const server = new EventEmitter()
    const seen: [string, Socket][] = []
    server.on('connection', (socket) => void seen.push(['first', socket]))
    server.on('connection', (socket) => void seen.push(['second', socket]))
    gateConnections(server, gate)
    const [one, two] = [new ClientSocket('192.0.2.1'), new ClientSocket('192.0.2.1')]
    sockets.push(one, two)
    server.emit('connection', one)
    server.emit('connection', two)
    assert.deepEqual(seen, [
      ['first', one],
      ['second', one],
    ])
    assert.equal(two.closedBy, 'reset')
  })

  it('goes by the clock of the process where none is given', () => {
    const plain: ConnectionGate = createConnectionGate({
      limits: {
        ...{ maxConnections: 9, maxUnauthenticated: 9, maxUnauthenticatedPerAddress: 1 },
        ...{ maxConnectionsPerAddress: 9, newConnectionsPerSecond: 9, minEvictionAgeMs: 600_000 },
        authenticateMs: null,
      },
      refused: () => {},
    })
    const admitted: (GatedClient | null)[] = ['192.0.2.1', '192.0.2.1'].map((ip) => {
      const socket = new ClientSocket(ip)
      sockets.push(socket)
      return plain.admit(socket)
    })
    assert.deepEqual(
      admitted.map((client) => client === null),
      [false, true],
    )
    assert.equal(sockets.at(-1)?.closedBy, 'reset')
  })
})
