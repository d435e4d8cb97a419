/** The delegation port behind proxies that name their clients: the client's address is the one that counts. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type ClientHttp2Session, connect } from 'node:http2'
import { connect as connectTcp, type Socket } from 'node:net'
import tls from 'node:tls'
import { silentLog } from '@clawmesh/agent-sdk'
import { checkIsGateway, clientTlsOptions, type IdentityStore } from '@clawmesh/agent-sdk/mesh'
import type { DelegationPortOptions } from '../../../../mesh-gateway/src/delegation/port.ts'
import {
  type NamingProxyOptions,
  PROXIES,
  startNamingProxy,
} from '../../../support/naming-proxy.ts'
import { version1, version2 } from '../../../support/proxy-header.ts'
import { waitFor } from '../../../support/wait-for.ts'
import { call, echo, type Fixture, GATEWAY, makeFixture, OPEN_POLICY } from '../fixture.ts'

const PROXY = '127.23.9.1'
const CLIENT = { ip: '203.0.113.7', port: 51_234 }

describe('behind a proxy that names its clients, the delegation port', () => {
  const open: (() => Promise<void>)[] = []
  const lines: { readonly [fact: string]: unknown }[] = []
  let planner: IdentityStore
  afterEach(async () => {
    for (const close of open.splice(0).toReversed()) await close()
    lines.length = 0
  })

  async function start(more: Partial<DelegationPortOptions> = {}): Promise<Fixture> {
    const mesh = await makeFixture(OPEN_POLICY, {
      log: { ...silentLog, warn: (facts) => void lines.push(Object(facts)) },
      proxiesFrom: [PROXIES],
      mcp: { sessionKeys: () => [randomBytes(32)] },
      ...more,
    })
    open.push(() => mesh.close())
    planner = await mesh.ca.open(await mesh.ca.agentDir({ tenant: 'acme', agent: 'planner' }))
    return mesh
  }
  async function proxyTo(mesh: Fixture, more: Partial<NamingProxyOptions> = {}) {
    const to = mesh.port.address
    const proxy = await startNamingProxy({ to, header: version2, client: CLIENT, ...more })
    open.push(() => proxy.close())
    return proxy
  }
  const optionsOf = (mesh: Fixture) =>
    clientTlsOptions(planner.current(), mesh.ca.spiffe, checkIsGateway, { servername: GATEWAY })
  async function session(
    mesh: Fixture,
    to: { readonly host: string; readonly port: number },
  ): Promise<ClientHttp2Session> {
    const socket = tls.connect({ ...optionsOf(mesh), host: to.host, port: to.port })
    const made = connect(`https://${GATEWAY}`, { createConnection: () => socket })
    made.on('error', () => {})
    open.push(async () => made.destroy())
    await once(made, 'remoteSettings')
    return made
  }
  /** A connection of the proxy, which begins with the bytes. */
  async function from(proxy: string, mesh: Fixture, bytes: Buffer | string): Promise<Socket> {
    const socket = connectTcp({ ...mesh.port.address, localAddress: proxy })
    open.push(async () => void socket.destroy())
    socket.on('error', () => {}).write(bytes)
    await new Promise((settled) => socket.once('connect', settled).once('close', settled))
    return socket
  }
  const ended = (socket: Socket) =>
    new Promise<void>((resolve) => {
      socket.resume()
      if (socket.closed) resolve()
      else socket.once('end', resolve).once('close', () => resolve())
    })

  for (const first of ['apart', 'together', 'bytes'] as const)
    it(`writes the client into the record of a call, header and handshake ${first}`, async () => {
      const mesh = await start()
      const peer = await mesh.peer('writer', echo)
      for (const header of [version1, version2]) {
        const made = await session(mesh, await proxyTo(mesh, { header, first }))
        const sent = Buffer.alloc(200_000, 'payload')
        const { status, body } = await call(made, { ':authority': peer.name }, sent)
        assert.deepEqual([status, body.equals(sent)], [0, true])
      }
      await waitFor('two records', () => mesh.records.length === 2)
      for (const { client_ip, client_port } of mesh.records)
        assert.deepEqual([client_ip, client_port], [CLIENT.ip, CLIENT.port])
    })

  it('writes the client into the record of a request for MCP, over HTTP/1.1', async () => {
    const mesh = await start()
    const proxy = await proxyTo(mesh)
    const socket = tls.connect({
      ...optionsOf(mesh),
      ...{ ALPNProtocols: ['http/1.1'], host: proxy.host, port: proxy.port },
    })
    open.push(async () => void socket.destroy())
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' })
    const fields = `Host: ${GATEWAY}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n`
    socket.resume().write(`POST /mcp HTTP/1.1\r\n${fields}\r\n${body}`)
    const { client_ip } = await mesh.nextRecord()
    assert.equal(client_ip, CLIENT.ip)
  })

  it('takes the port of the proxy for its own in :authority, as clients of the proxy write it', async () => {
    const mesh = await start()
    const proxy = await proxyTo(mesh, {
      header: (client) => version2({ ...client, proxyPort: 443 }),
    })
    const made = await session(mesh, proxy)
    const { name } = await mesh.peer('writer', echo)
    assert.equal((await call(made, { ':authority': `${name}:443` })).status, 0)
    const { error } = await call(made, { ':authority': `${name}:${mesh.port.address.port}` })
    assert.equal(error?.code, 'MESH_PEER_PORT_REFUSED')
  })

  it('counts connections by client, and not by proxy', async () => {
    const mesh = await start({ guard: { maxConnectionsPerAddress: 1 } })
    const one = await session(mesh, await proxyTo(mesh))
    const two = await session(mesh, await proxyTo(mesh, { client: { ip: '203.0.113.8', port: 1 } }))
    const third = await from(PROXY, mesh, version1({ ...CLIENT, port: 2 }))
    await ended(third)
    assert.deepEqual(lines, [
      { reason: 'connections-per-address', client_ip: CLIENT.ip, client_port: 2 },
    ])
    assert.equal(one.destroyed || two.destroyed, false)
  })

  it('names the client of a handshake that fails or does not end, in the log', async () => {
    const mesh = await start({ guard: { handshakeMs: 300 } })
    await ended(await from(PROXY, mesh, `${version1(CLIENT)}GET / HTTP/1.1\r\n\r\n`))
    await ended(await from(PROXY, mesh, version1({ ip: '203.0.113.8', port: 1 })))
    const reasonOf = (ip: string) => lines.find(({ client_ip }) => client_ip === ip)?.reason
    await waitFor('both lines', () => reasonOf(CLIENT.ip) && reasonOf('203.0.113.8'))
    assert.equal(reasonOf(CLIENT.ip), 'tls')
    assert.match(String(reasonOf('203.0.113.8')), /^(?:handshake-timeout|tls)$/)
    assert.equal(reasonOf(PROXY), undefined)
  })

  it('shakes hands with nobody else, and believes nothing of a header from an address that is not listed', async () => {
    const mesh = await start()
    for (const [proxy, header] of [
      ['127.0.0.1', version2(CLIENT)],
      ['127.0.0.1', Buffer.alloc(0)],
      [PROXY, Buffer.alloc(0)],
      [PROXY, version2(CLIENT, { command: 0x20 })],
      [PROXY, version2(CLIENT, { family: 0x31 })],
      [PROXY, version2(CLIENT, { tlvs: [[0x03, Buffer.from('crc!')]] })],
    ] as const) {
      const through = await proxyTo(mesh, { from: proxy, header: () => header })
      await assert.rejects(session(mesh, through), { code: 'ECONNRESET' })
    }
    const { text } = mesh.metrics
    const metrics = await text()
    for (const [reason, count] of [
      ['proxy-unlisted', 2],
      ['proxy-missing', 1],
      ['proxy-without-client', 2],
      ['proxy-malformed', 1],
    ])
      assert.ok(
        metrics.includes(
          `clawmesh_connections_refused_total{plane="delegation",reason="${reason}"} ${count}`,
        ),
        metrics,
      )
    assert.deepEqual(mesh.records, [])
  })

  it('waits for no header when it drains, and closes what is silent when its time is up', async () => {
    const mesh = await start({ guard: { handshakeMs: 1_000 } })
    await ended(await from(PROXY, mesh, 'PROXY TCP4 '))
    assert.equal(lines[0]?.reason, 'proxy-timeout')
    const patient = await start()
    const socket = await from(PROXY, patient, 'PROXY TCP4 ')
    await ended(await from(PROXY, patient, 'GET'))
    const drained = patient.port.drain(3_600_000)
    await ended(socket)
    await drained
  })
})
