/** Clients without a good token, by the thousand and from everywhere: they are bounded, and no client with one is locked out. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { openPortCertificate } from '../../../../mesh-gateway/src/egress/client/port-certificate.ts'
import { makeTestCa } from '../../../support/test-ca.ts'
import { waitFor } from '../../../support/wait-for.ts'
import type { FixtureOptions } from '../fixture.ts'
import { basic, connectTo, get, setUp } from '../setup.ts'

const CLOSE = 'Connection: close\r\n'
const HEALTH = 'GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n'

describe('strangers at the egress port', () => {
  const setup = setUp()
  const sockets: Socket[] = []
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy()
    await setup.close()
  })

  async function open(port: FixtureOptions['port'] = {}) {
    const origin = await setup.http((_request, response) => response.end('ok'))
    const egress = await setup.egress(origin.port, { port })
    const auth = basic(await egress.token({ destinations: [`api.test:${origin.port}`] }))
    const refused = async (reason: string) => {
      const metric = `clawmesh_connections_refused_total{plane="egress",reason="${reason}"} `
      const at = (await egress.metrics()).split(metric)[1]
      return at === undefined ? 0 : Number.parseInt(at, 10)
    }
    /** A client with a good token; throws when it is not served. */
    const serve = async (localAddress = '127.0.0.1') => {
      const socket = dial(localAddress)
      socket.write(get(origin.port, auth + CLOSE))
      assert.match(await text(socket), /^HTTP\/1\.1 200 [\s\S]*ok$/)
    }
    const dial = (localAddress = '127.0.0.1') => {
      const socket = connect({ host: '127.0.0.1', port: egress.number, localAddress })
      sockets.push(socket)
      return socket.on('error', () => {})
    }
    const silent = async (localAddress?: string) => {
      const socket = dial(localAddress).resume()
      await once(socket, 'connect')
      return socket
    }
    const tunnel = async (localAddress?: string) => {
      const socket = dial(localAddress)
      socket.write(connectTo(origin.port, auth))
      const [data] = await once(socket, 'data')
      assert.match(String(data), /^HTTP\/1\.1 200 Connection/)
      return socket
    }
    return { egress, origin: origin.port, auth, refused, serve, dial, silent, tunnel }
  }

  it('do not lock out a client with a good token by silence', async () => {
    const { serve, silent, refused } = await open({ maxConnections: 10 })
    const ten = await Promise.all(Array.from({ length: 10 }, () => silent()))
    await serve()
    await waitFor('one of them to be gone', () => ten.filter((one) => one.closed).length === 1)
    assert.equal(await refused('connections'), 1)
  })

  it('nor by half a header, by requests to the gateway itself, by bad tokens or by bodies that never come', async () => {
    const { serve, dial } = await open({
      maxConnections: 10,
      issueForAccountKey: () => Promise.reject(new Error('not asked for')),
    })
    const token = 'POST /v1/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{'
    for (const bytes of ['GET http://api.te', HEALTH, get(80, basic('a.b.c')), token])
      for (let count = 0; count < 5; count += 1) dial().write(bytes)
    await serve()
    await serve()
  })

  it('nor do those of a thousand addresses', async () => {
    const { serve, silent } = await open({ maxConnections: 50 })
    const address = (n: number) => `127.40.${n >> 8}.${n & 255}`
    await Promise.all(
      Array.from({ length: 1_000 }, async (_, n) => {
        await silent(address(n)).catch(() => {})
        if (n % 100 === 0) await serve('127.41.0.1')
      }),
    )
    await serve()
  })

  it('go first where the most of them come from', async () => {
    const { silent, dial, refused } = await open({ maxConnections: 12 })
    const quiet = await silent('127.50.0.1')
    const flood: Socket[] = []
    for (let count = 0; count < 40; count += 1) flood.push(dial('127.50.0.2').resume())
    await waitFor('the flood to be bounded', async () => (await refused('connections')) === 29)
    await waitFor('what is left of it', () => flood.filter((one) => !one.closed).length === 11)
    assert.equal(quiet.closed, false)
  })

  it('are bounded for each address, while clients with good tokens behind it are not', async () => {
    const { serve, silent, refused, tunnel } = await open({
      maxUnauthenticatedPerAddress: 5,
      newConnectionsPerSecond: 50,
    })
    const tunnels = []
    for (let count = 0; count < 300; count += 1) tunnels.push(await tunnel())
    const others: Socket[] = []
    for (let count = 0; count < 20; count += 1) others.push(await silent())
    await waitFor('the rest to be gone', () => others.filter((one) => !one.closed).length === 5)
    assert.equal(await refused('handshakes'), 15)
    await serve()
    assert.deepEqual(
      tunnels.filter((one) => one.closed),
      [],
    )
  })

  it('who connect and close without end are refused, and others are not', async () => {
    const { serve, dial, refused } = await open({ newConnectionsPerSecond: 5 })
    const all = Array.from({ length: 100 }, () => dial('127.50.0.3'))
    for (const socket of all) socket.on('connect', () => socket.destroy())
    await Promise.all(all.map(gone))
    await waitFor('refusals', async () => (await refused('connection-rate')) >= 50)
    for (let count = 0; count < 30; count += 1) await serve('127.50.0.4')
    assert.ok((await refused('connection-rate')) <= 100)
  })

  it('do not end what runs for a client with a good token, however many come', async () => {
    const { silent, dial, tunnel, refused } = await open({ maxConnections: 10 })
    const tunnels = await Promise.all(Array.from({ length: 10 }, () => tunnel('127.50.0.5')))
    const late = dial().resume()
    await gone(late)
    assert.equal(await refused('connections'), 1)
    assert.deepEqual(
      tunnels.filter((one) => one.closed),
      [],
    )
    tunnels[0]?.destroy()
    await waitFor('room', async () => {
      const next = await silent().catch(() => null)
      return next !== null && !(await Promise.race([gone(next), soon()]))
    })
  })

  it('keep a connection for a few seconds only, and clients with a good token for as long as ever', async () => {
    const { dial, origin, auth } = await open({
      timeouts: { unauthenticatedKeepAliveMs: 100, keepAliveMs: 60_000 },
    })
    const known = dial()
    known.write(get(origin, auth))
    await once(known, 'data')
    known.resume()
    const stranger = dial()
    stranger.write(HEALTH)
    assert.match(await text(stranger), /^HTTP\/1\.1 200 [\s\S]*"up"/)
    // a bad token takes back what a good one had earned
    const fallen = dial()
    fallen.write(get(origin, auth))
    await once(fallen, 'data')
    fallen.write(get(origin, basic('a.b.c')))
    await text(fallen)
    assert.equal(known.closed, false)
  })

  it('are told for how long, as clients with a good token are, so that none asks just as it ends', async () => {
    const { dial, origin, auth } = await open({})
    const said = async (request: string) => {
      const socket = dial()
      socket.write(request)
      const [head] = await once(socket, 'data')
      socket.destroy()
      return /^keep-alive: .*$/m.exec(`${head}`)?.[0]
    }
    assert.equal(await said(HEALTH), 'keep-alive: timeout=5')
    assert.equal(await said(get(origin, basic('a.b.c'))), 'keep-alive: timeout=5')
    assert.equal(await said(get(origin, auth)), 'keep-alive: timeout=60')
  })

  it('who never end a TLS handshake are the first to go as well', async () => {
    const ca = await makeTestCa()
    setup.closing.push(() => ca.close())
    const dir = await ca.gatewayDir({ name: 'gw-1', tenants: ['acme'] })
    const certificate = await openPortCertificate({ dir })
    setup.closing.push(() => certificate.close())
    const { silent, refused } = await open({ certificate, maxConnections: 10 })
    const all: Socket[] = []
    for (let count = 0; count < 15; count += 1) all.push(await silent())
    await waitFor('five to be gone', () => all.filter((one) => one.closed).length === 5)
    assert.equal(await refused('connections'), 5)
  })
})

function gone(socket: Socket): Promise<boolean> {
  return new Promise((resolve) => {
    if (socket.closed) resolve(true)
    socket.once('close', () => resolve(true))
  })
}

/** Long enough for a reset that is on its way. */
async function soon(): Promise<boolean> {
  await new Promise((resolve) => setTimeout(resolve, 50))
  return false
}
