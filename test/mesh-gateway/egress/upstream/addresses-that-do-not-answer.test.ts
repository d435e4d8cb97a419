import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { type DeadAddress, startDeadAddress } from '../../../support/dead-address.ts'
import { waitFor } from '../../../support/wait-for.ts'
import { rawClient, sendRaw } from '../fixture.ts'
import { basic, connectTo, get, type Setup, setUp } from '../setup.ts'

/** Far beyond what a test may take: only a gateway that waits for each address in turn comes near it. */
const DIAL_MS = 60_000
const ANSWER = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok'

describe('a name of which some addresses do not answer', () => {
  let setup: Setup
  let dead: DeadAddress
  before(async () => {
    dead = await startDeadAddress('127.0.0.2')
  })
  after(() => dead.close())
  beforeEach(() => {
    setup = setUp()
  })
  afterEach(() => setup.close())

  /** On the port of the dead address. */
  async function listen(host: string, port: number): Promise<void> {
    const server = createServer((socket) => {
      socket.on('error', () => {})
      socket.once('data', () => socket.end(ANSWER))
    })
    server.listen(port, host)
    await once(server, 'listening')
    setup.closing.push(async () => {
      const closed = once(server, 'close')
      server.close()
      await closed
    })
  }

  async function gateway(ips: readonly string[], more: object = {}) {
    const { port } = dead
    const names = { 'api.test': ips }
    const timeouts = { dialMs: DIAL_MS }
    const egress = await setup.egress(port, { names, port: { timeouts, ...more } })
    return { egress, port, auth: basic(await egress.token({ destinations: [`api.test:${port}`] })) }
  }

  it('is reached by the address that does, and the record has that address', async () => {
    await listen('127.0.0.1', dead.port)
    const { egress, port, auth } = await gateway(['127.0.0.2', '127.0.0.1'])
    const answer = await sendRaw(egress.number, get(port, `${auth}Connection: close\r\n`))
    assert.match(answer, /^HTTP\/1.1 200 /)
    const { destination_ip, status } = await egress.record(0)
    assert.deepEqual({ destination_ip, status }, { destination_ip: '127.0.0.1', status: 200 })
  })

  it('is reached through a tunnel too', async () => {
    await listen('127.0.0.1', dead.port)
    const { egress, port, auth } = await gateway(['127.0.0.2', '127.0.0.1'])
    const client = await rawClient(egress.number)
    client.send(connectTo(port, auth))
    await client.until((text) => text.startsWith('HTTP/1.1 200 '))
    client.socket.destroy()
    assert.equal((await egress.record(0)).destination_ip, '127.0.0.1')
  })

  it('is reached at once from then on: an address that failed comes last, also when it answers again', async () => {
    const { port } = await setup.upstream((socket) => {
      socket.once('data', () => socket.end(ANSWER))
    })
    const egress = await setup.egress(port, {
      names: { 'api.test': ['127.0.0.3', '127.0.0.1'] },
      port: { timeouts: { dialMs: DIAL_MS } },
    })
    const headers = `${basic(await egress.token({ destinations: [`api.test:${port}`] }))}Connection: close\r\n`
    await sendRaw(egress.number, get(port, headers))
    await listen('127.0.0.3', port)
    await sendRaw(egress.number, get(port, headers))
    const records = [await egress.record(0), await egress.record(1)]
    assert.deepEqual(
      records.map(({ destination_ip }) => destination_ip),
      ['127.0.0.1', '127.0.0.1'],
    )
  })

  it('is avoided under that name alone, since its owner may have put the address of another there', async () => {
    const { port } = await setup.upstream((socket) => {
      socket.once('data', () => socket.end(ANSWER))
    })
    const ips = ['127.0.0.3', '127.0.0.1']
    const destinations = [`own.test:${port}`, `api.test:${port}`]
    const egress = await setup.egress(port, {
      names: { 'own.test': ips, 'api.test': ips },
      egress: { allow: destinations },
    })
    const headers = `${basic(await egress.token({ destinations }))}Connection: close\r\n`
    const own = get(port, headers).replaceAll('api.test', 'own.test')
    await sendRaw(egress.number, own)
    await listen('127.0.0.3', port)
    await sendRaw(egress.number, get(port, headers))
    const records = [await egress.record(0), await egress.record(1)]
    assert.deepEqual(
      records.map(({ destination_ip }) => destination_ip),
      ['127.0.0.1', '127.0.0.3'],
    )
  })

  it('is given up when its client leaves, and what it held is free again', async () => {
    await listen('127.0.0.1', dead.port)
    const ips = ['127.0.0.2']
    const { egress, port, auth } = await gateway(ips, { maxConnectionsPerAgent: 1 })
    const client = await rawClient(egress.number)
    client.send(connectTo(port, auth))
    await waitFor('the name to be looked up', () => egress.asked.length > 0)
    client.socket.resetAndDestroy()
    const { reason, status, action_allowed } = await egress.record(0)
    assert.deepEqual(
      { reason, status, action_allowed },
      { reason: 'MESH_CALL_CANCELED', status: 0, action_allowed: true },
    )
    ips.splice(0, 1, '127.0.0.1')
    const answer = await sendRaw(egress.number, get(port, `${auth}Connection: close\r\n`))
    assert.match(answer, /^HTTP\/1.1 200 /)
  })

  it('names the address that refused in the record', async () => {
    const { port } = await setup.upstream(() => {})
    await setup.close()
    setup = setUp()
    const egress = await setup.egress(port)
    const headers = `${basic(await egress.token({ destinations: [`api.test:${port}`] }))}Connection: close\r\n`
    assert.match(await sendRaw(egress.number, get(port, headers)), /^HTTP\/1.1 502 /)
    const { destination_ip, destination_port, reason } = await egress.record(0)
    assert.deepEqual(
      { destination_ip, destination_port, reason },
      {
        destination_ip: '127.0.0.1',
        destination_port: port,
        reason: 'MESH_EGRESS_UNREACHABLE',
      },
    )
  })
})
