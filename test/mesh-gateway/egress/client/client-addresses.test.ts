/** From where a request came is in its record, and from where a connection came that was refused is in the log. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { connect as connectTls } from 'node:tls'
import { openPortCertificate } from '../../../../mesh-gateway/src/egress/client/port-certificate.ts'
import { makeTestCa } from '../../../support/test-ca.ts'
import { waitFor } from '../../../support/wait-for.ts'
import { basic, connectTo, get, setUp } from '../setup.ts'

const CLOSE = 'Connection: close\r\n'
const QUIET = { debug() {}, info() {}, error() {} }

describe('the egress port tells from where clients come', () => {
  const setup = setUp()
  afterEach(setup.close)

  async function open(port: object = {}) {
    const lines: { readonly [fact: string]: unknown }[] = []
    const log = { ...QUIET, warn: (facts: object) => void lines.push({ ...facts }) }
    const origin = await setup.http((_request, response) => response.end('ok'))
    const egress = await setup.egress(origin.port, {
      port: { log, issueForAccountKey: () => Promise.reject(new Error('not asked for')), ...port },
    })
    const token = await egress.token({ destinations: [`api.test:${origin.port}`] })
    return { egress, origin: origin.port, auth: basic(token), lines }
  }

  async function from(localAddress: string, port: number): Promise<Socket> {
    const socket = connect({ host: '127.0.0.1', port, localAddress, allowHalfOpen: true })
    await once(socket, 'connect')
    return socket
  }

  const requests: readonly [string, (origin: number, auth: string) => string][] = [
    ['a request', (origin, auth) => get(origin, auth + CLOSE)],
    ['a tunnel', (origin, auth) => `${connectTo(origin, auth)}GET / HTTP/1.0\r\n\r\n`],
    ['what policy refuses', (_, auth) => connectTo(443, auth, 'evil.test')],
    ['a request without a token', (origin) => get(origin, CLOSE)],
    ['a bad token', (origin) => get(origin, basic('a.b.c') + CLOSE)],
    ['what is malformed', () => 'GET http://[/ HTTP/1.1\r\n\r\n'],
    ['what is no HTTP', () => '\u0016\u0003\u0001\u0002\u0000'],
    ['what is cut short', () => 'GET http://api.te'],
    ['POST /v1/token', () => `POST /v1/token HTTP/1.0\r\nHost: localhost\r\n\r\n`],
  ]
  for (const [what, request] of requests)
    it(`in the record of ${what}`, async () => {
      const { egress, origin, auth } = await open()
      const socket = await from('127.23.4.5', egress.number)
      const { localPort } = socket
      socket.end(request(origin, auth), 'latin1')
      await text(socket)
      const { client_ip, client_port } = await egress.record(0)
      assert.deepEqual(
        { client_ip, client_port },
        { client_ip: '127.23.4.5', client_port: localPort },
      )
    })

  it('in the record of a header that does not end', async () => {
    const { egress } = await open({ timeouts: { headerMs: 100 } })
    // on a busy machine its first byte may come too late: then it is idle, and ends without a record
    await waitFor('a record', async () => {
      const socket = await from('127.23.4.6', egress.number)
      socket.write('GET http://api.test/ HTTP/1.1\r\n')
      await text(socket).catch(() => '')
      socket.destroy()
      return egress.records.length > 0
    })
    const { reason, client_ip } = await egress.record(0)
    assert.deepEqual([reason, client_ip], ['MESH_EGRESS_SLOW', '127.23.4.6'])
  })

  it('which over a Unix socket is nowhere', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'clawmesh-'))
    setup.closing.push(() => rm(dir, { recursive: true }))
    const path = join(dir, 'egress.sock')
    const { egress, origin, auth } = await open({ listen: { path, host: '', port: 0 } })
    const socket = connect({ path })
    socket.write(get(origin, auth + CLOSE))
    await text(socket)
    const { status, client_ip, client_port } = await egress.record(0)
    assert.deepEqual([status, client_ip, client_port], [200, null, null])
  })

  it('over TLS as well, also of a handshake that fails, is given up or never ends', async () => {
    const ca = await makeTestCa()
    setup.closing.push(() => ca.close())
    const dir = await ca.gatewayDir({ name: 'gw-1', tenants: ['acme'] })
    const certificate = await openPortCertificate({ dir })
    setup.closing.push(() => certificate.close())
    const { egress, origin, auth, lines } = await open({
      certificate,
      timeouts: { headerMs: 1_000 },
    })
    const { roots } = ca.ca.issueAgent({ tenant: 'acme', agent: 'bot-01' })
    const good = connectTls({
      ...{ host: '127.0.0.1', port: egress.number, localAddress: '127.23.5.1' },
      servername: 'gateway.mesh.internal',
      ca: roots,
    })
    good.write(get(origin, auth + CLOSE))
    assert.match(await text(good), /^HTTP\/1\.1 200/)
    assert.equal((await egress.record(0)).client_ip, '127.23.5.1')

    const noTls = await from('127.23.5.2', egress.number)
    noTls.on('error', () => {}).resume()
    noTls.write('GET / HTTP/1.1\r\n\r\n')
    const gaveUp = await from('127.23.5.3', egress.number)
    gaveUp.resetAndDestroy()
    const silent = await from('127.23.5.4', egress.number)
    const port = silent.localPort
    silent.on('error', () => {}).resume()
    await once(silent, 'end')
    await waitFor('three lines', () => lines.length >= 3)
    const told = new Map(lines.map((line) => [line.client_ip, line]))
    for (const socket of [silent, noTls]) socket.destroy()
    assert.equal(told.get('127.23.5.2')?.reason, 'tls')
    assert.equal(told.get('127.23.5.3')?.reason, 'tls')
    assert.deepEqual(told.get('127.23.5.4'), {
      reason: 'handshake-timeout',
      client_ip: '127.23.5.4',
      client_port: port,
      detail: 'ERR_TLS_HANDSHAKE_TIMEOUT',
    })
  })

  it('in the log, of a connection that was closed to make room for another', async () => {
    const { egress, lines } = await open({ maxConnections: 1 })
    const first = await from('127.23.6.1', egress.number)
    first.on('error', () => {}).resume()
    const second = await from('127.23.6.2', egress.number)
    const { localPort } = first
    await waitFor('the line', () => lines.length > 0)
    assert.deepEqual(lines, [
      { reason: 'connections', client_ip: '127.23.6.1', client_port: localPort },
    ])
    second.destroy()
  })
})
