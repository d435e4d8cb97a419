/** The egress port behind proxies that name their clients: the client's address is the one that counts. */
import assert from 'node:assert/strict'
import { connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { connect as connectTls } from 'node:tls'
import { openPortCertificate } from '../../../../mesh-gateway/src/egress/client/port-certificate.ts'
import { createRefusalBudgets } from '../../../../mesh-gateway/src/limits/refusal-budget.ts'
import { PROXIES, startNamingProxy } from '../../../support/naming-proxy.ts'
import { version1, version2 } from '../../../support/proxy-header.ts'
import { makeTestCa } from '../../../support/test-ca.ts'
import { waitFor } from '../../../support/wait-for.ts'
import { basic, connectTo, get, setUp } from '../setup.ts'

const CLOSE = 'Connection: close\r\n'
const QUIET = { debug() {}, info() {}, error() {} }
const PROXY = '127.23.9.1'
const CLIENT = { ip: '203.0.113.7', port: 51_234 }
const CLIENT6 = { ip: '2001:db8::7', port: 7 }

describe('behind a proxy that names its clients, the egress port', () => {
  const setup = setUp()
  const sockets: Socket[] = []
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy()
    await setup.close()
  })

  async function open(port: object = {}) {
    const lines: { readonly [fact: string]: unknown }[] = []
    const log = { ...QUIET, warn: (facts: object) => void lines.push({ ...facts }) }
    const origin = await setup.http((_request, response) => response.end('ok'))
    const egress = await setup.egress(origin.port, {
      port: { log, proxiesFrom: [PROXIES], ...port },
    })
    const token = await egress.token({ destinations: [`api.test:${origin.port}`] })
    return { egress, origin: origin.port, auth: basic(token), lines }
  }
  /** A connection of the proxy, which begins with the bytes. */
  async function from(proxy: string, port: number, bytes: Buffer | string): Promise<Socket> {
    const socket = connect({ host: '127.0.0.1', port, localAddress: proxy, allowHalfOpen: true })
    sockets.push(socket.on('error', () => {}))
    socket.write(bytes)
    await new Promise((settled) => socket.once('connect', settled).once('close', settled))
    return socket
  }
  const ended = (socket: Socket) =>
    new Promise<void>((resolve) => {
      socket.resume()
      if (socket.closed) resolve()
      else socket.once('end', resolve).once('close', () => resolve())
    })

  for (const [header, bytes, client] of [
    ['version 1', version1(CLIENT), CLIENT],
    ['version 2', version2(CLIENT), CLIENT],
    ['version 2 and IPv6', version2(CLIENT6, { checksum: true }), CLIENT6],
  ] as const)
    it(`writes the client into the record of a request and of a tunnel, by ${header}`, async () => {
      const { egress, origin, auth } = await open()
      const behind = [get(origin, auth + CLOSE), `${connectTo(origin, auth)}GET / HTTP/1.0\r\n\r\n`]
      for (const [index, request] of behind.entries()) {
        const whole = Buffer.concat([bytes, Buffer.from(request)])
        const socket = await from(PROXY, egress.number, whole)
        socket.end()
        assert.match(await text(socket), /^HTTP\/1\.1 200[\s\S]*ok$/)
        const { client_ip, client_port } = await egress.record(index)
        assert.deepEqual([client_ip, client_port], [client.ip, client.port])
      }
    })

  for (const first of ['apart', 'together', 'bytes'] as const)
    for (const tls of [false, true])
      it(`serves what stands behind the header, ${first}${tls ? ', over TLS' : ''}`, async () => {
        const ca = await makeTestCa()
        setup.closing.push(() => ca.close())
        const dir = await ca.gatewayDir({ name: 'gw-1', tenants: ['acme'] })
        const certificate = tls ? await openPortCertificate({ dir }) : null
        if (certificate !== null) setup.closing.push(() => certificate.close())
        const { egress, origin, auth } = await open({ certificate })
        const to = { host: '127.0.0.1', port: egress.number }
        const proxy = await startNamingProxy({ to, header: version2, client: CLIENT, first })
        setup.closing.push(() => proxy.close())
        const { roots } = ca.ca.issueAgent({ tenant: 'acme', agent: 'bot-01' })
        const servername = 'gateway.mesh.internal'
        const { host, port } = proxy
        const socket = tls ? connectTls({ host, port, servername, ca: roots }) : connect(port, host)
        sockets.push(socket)
        socket.write(get(origin, auth) + get(origin, auth + CLOSE))
        const answers = await text(socket)
        assert.equal(answers.match(/HTTP\/1\.1 200/g)?.length, 2)
        for (const index of [0, 1]) assert.equal((await egress.record(index)).client_ip, CLIENT.ip)
      })

  it('carries megabytes behind the header whole', async () => {
    const { egress } = await open()
    const echo = await setup.http((request, response) => {
      response.writeHead(200, { 'content-length': request.headers['content-length'] })
      request.pipe(response)
    })
    egress.setPolicy({ allow: [`api.test:${echo.port}`] }, { ports: [echo.port] })
    const auth = basic(await egress.token({ destinations: [`api.test:${echo.port}`] }))
    const sent = Buffer.alloc(8_000_000, 'what goes up comes down ')
    const fields = `${auth}${CLOSE}Content-Length: ${sent.length}\r\n`
    const head = version1(CLIENT) + get(echo.port, fields, '/', 'POST')
    const socket = await from(PROXY, egress.number, head)
    socket.write(sent)
    const answer = await text(socket)
    assert.match(answer, /^HTTP\/1\.1 200/)
    assert.ok(answer.endsWith(`\r\n\r\n${sent}`))
  })

  it('counts the connections of an address by client, and not by proxy', async () => {
    const { egress, lines } = await open({ maxUnauthenticatedPerAddress: 1 })
    const [one, two] = [
      await from(PROXY, egress.number, version1(CLIENT)),
      await from(PROXY, egress.number, version1({ ip: '203.0.113.8', port: 1 })),
    ]
    const next = await from(PROXY, egress.number, version1({ ...CLIENT, port: 2 }))
    await ended(one)
    assert.deepEqual(lines, [
      { reason: 'handshakes', client_ip: CLIENT.ip, client_port: CLIENT.port },
    ])
    assert.equal(two.closed || next.closed, false)
  })

  it('counts refusals of clients that are not known by the address of the client', async () => {
    const refusals = createRefusalBudgets({ refusedPerAgent: 1e9, refusedPerAddress: 6 })
    const { egress, origin } = await open({ refusals })
    const codes: string[] = []
    for (const ip of [CLIENT.ip, CLIENT.ip, '203.0.113.8']) {
      const request = version1({ ip, port: 1 }) + get(origin, basic('a.b.c') + CLOSE)
      const socket = await from(PROXY, egress.number, request)
      codes.push(/"code":"(\w+)"/.exec(await text(socket))?.[1] ?? '')
    }
    assert.equal(codes[0], codes[2])
    assert.notEqual(codes[1], codes[0], 'one at once, a sixth of six')
  })

  it('answers nobody else, and believes nothing of a header from an address that is not listed', async () => {
    const { egress, origin, auth, lines } = await open()
    const request = get(origin, auth + CLOSE)
    for (const [proxy, bytes] of [
      ['127.0.0.1', version1(CLIENT) + request],
      ['127.0.0.1', request],
      [PROXY, request],
      [PROXY, `PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n${request}`],
      [PROXY, `PROXY UNKNOWN\r\n${request}`],
    ] as const) {
      const socket = await from(proxy, egress.number, bytes)
      await ended(socket)
      assert.equal(socket.bytesRead, 0)
    }
    const metrics = await egress.metrics()
    for (const [reason, count] of [
      ['proxy-unlisted', 2],
      ['proxy-missing', 1],
      ['proxy-malformed', 1],
      ['proxy-without-client', 1],
    ])
      assert.ok(
        metrics.includes(
          `clawmesh_connections_refused_total{plane="egress",reason="${reason}"} ${count}`,
        ),
        metrics,
      )
    assert.deepEqual(egress.records, [])
    assert.ok(lines.every(({ client_ip }) => client_ip === '127.0.0.1' || client_ip === PROXY))
  })

  it('closes what stays silent when the time for a header is up', async () => {
    const { egress, lines } = await open({ timeouts: { headerMs: 100 } })
    await ended(await from(PROXY, egress.number, 'PROXY TCP4 '))
    assert.equal(lines[0]?.reason, 'proxy-timeout')
  })

  it('waits for no header when it drains', async () => {
    const { egress } = await open()
    const socket = await from(PROXY, egress.number, 'PROXY TCP4 ')
    const marker = await from(PROXY, egress.number, 'GET')
    await ended(marker)
    const drained = egress.port.drain(3_600_000)
    await ended(socket)
    await drained
  })

  it('takes a header for what it is where no proxy is listed: a malformed request', async () => {
    const { egress, origin, auth } = await open({ proxiesFrom: [] })
    const socket = await from(PROXY, egress.number, version1(CLIENT) + get(origin, auth + CLOSE))
    assert.match(await text(socket), /^HTTP\/1\.1 400/)
    await waitFor('the record', () => egress.records.length > 0)
    assert.equal(egress.records[0]?.client_ip, PROXY)
  })
})
