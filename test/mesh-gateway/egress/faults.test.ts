/** What runs out, hangs or is not there. The port stays up, stays bounded, and says what is so. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { openAuditLog } from '../../../mesh-gateway/src/audit/open-audit-log.ts'
import { createResolver } from '../../../mesh-gateway/src/resolve/create-resolver.ts'
import { createMetrics } from '../../../mesh-gateway/src/telemetry/create-metrics.ts'
import { waitFor } from '../../support/wait-for.ts'
import { rawClient, refusalOf, sendRaw } from './fixture.ts'
import { basic, connectTo, get, setUp } from './setup.ts'

const CLOSE = 'Connection: close\r\n'

describe('the egress port', () => {
  const setup = setUp()
  afterEach(setup.close)

  it('serves others while hundreds of clients trickle headers and bodies, and is rid of them in time', async () => {
    const { port } = await setup.http((request, response) => {
      request.resume()
      request.on('end', () => response.end('ok'))
    })
    const egress = await setup.egress(port, {
      port: { timeouts: { headerMs: 600, idleMs: 600, answerMs: 600 } },
    })
    const auth = basic(await egress.token({ destinations: [`api.test:${port}`] }))
    const headers = get(port, auth).slice(0, -4)
    const bodies = `${get(port, `${auth}Content-Length: 100\r\n`, '/', 'POST')}x`
    const slow: Socket[] = []
    for (let index = 0; index < 300; index += 1) {
      const socket = connect(egress.number, '127.0.0.1')
      socket.on('error', () => {})
      socket.resume()
      socket.write(index % 2 === 0 ? headers : bodies)
      slow.push(socket)
    }
    const ended = Promise.all(slow.map((socket) => once(socket, 'close')))
    // a byte now and then is not progress of a header
    const trickle = setInterval(() => {
      for (const [index, socket] of slow.entries())
        if (index % 2 === 0 && socket.writable) socket.write('x')
    }, 100)
    for (let round = 0; round < 5; round += 1) {
      assert.match(await sendRaw(egress.number, get(port, auth + CLOSE)), /^HTTP\/1\.1 200 /)
    }
    for (const socket of slow) socket.end()
    await ended
    clearInterval(trickle)
    const told = egress.records.filter((record) => record.status === 408 || record.status === 400)
    assert.ok(told.length > 0)
  })

  it('gives up a destination that resets, in every form, and says so', async () => {
    const upstream = await setup.upstream((socket) =>
      socket.once('data', () => socket.resetAndDestroy()),
    )
    const host = `api.test:${upstream.port}`
    const egress = await setup.egress(upstream.port, {
      egress: { allow: [{ host, scheme: 'http' }] },
    })
    const auth = basic(await egress.token({ destinations: [host] }))
    const relay = `GET / HTTP/1.1\r\nHost: ${host}\r\n${auth}\r\n`
    for (const head of [get(upstream.port, auth), relay]) {
      const client = await rawClient(egress.number)
      client.send(head)
      assert.match(
        await client.until((text) => text.endsWith('}\n')),
        /502 [\s\S]*MESH_EGRESS_LOST/,
      )
      client.socket.destroy()
    }
    const client = await rawClient(egress.number)
    client.send(`${connectTo(upstream.port, auth)}x`)
    await client.rest()
    assert.equal((await egress.record(2)).reason, 'MESH_EGRESS_LOST')
  })

  it('answers 504 when DNS is down, goes on for IP literals, and recovers when it is back', async () => {
    const { port } = await setup.http((_, response) => response.end('ok'))
    // a port of UDP that nobody answers at
    const resolver = createResolver({ servers: ['127.0.0.1:9'], timeoutMs: 200 })
    setup.closing.push(async () => resolver.close())
    const egress = await setup.egress(port, {
      port: { resolver },
      egress: { allow: [`api.test:${port}`, `127.0.0.1:${port}`] },
    })
    const auth = basic(
      await egress.token({ destinations: [`api.test:${port}`, `127.0.0.1:${port}`] }),
    )
    const many = Array.from({ length: 50 }, () => sendRaw(egress.number, get(port, auth + CLOSE)))
    const literal = `GET http://127.0.0.1:${port}/ HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n${auth}${CLOSE}\r\n`
    assert.match(await sendRaw(egress.number, literal), /^HTTP\/1\.1 200 /)
    for (const answer of await Promise.all(many)) {
      assert.match(answer, /^HTTP\/1\.1 50[24] /)
      const { gate, code } = refusalOf(answer)
      assert.equal(gate, 'resolve')
      assert.ok(['MESH_EGRESS_TIMEOUT', 'MESH_EGRESS_UNRESOLVED'].includes(code))
    }
  })

  for (const [what, refuse] of [
    ['goes on and counts what is lost', false],
    ['refuses, where it is told to', true],
  ] as const)
    it(`with a disk full under its audit log ${what}; /ready says so either way`, async function () {
      if (process.platform !== 'linux') this.skip()
      const metrics = createMetrics()
      const silent = { error() {}, warn() {}, info() {} }
      const audit = openAuditLog({
        file: '/dev/full',
        metrics,
        log: silent,
        maxBufferBytes: 2000,
        retryMs: 10,
      })
      setup.closing.push(async () => {
        await audit.close()
        metrics.close()
      })
      const { port } = await setup.http((_, response) => response.end('ok'))
      const egress = await setup.egress(port, {
        port: { audit, metrics, refuseWithoutAudit: refuse, isReady: () => audit.healthy() },
      })
      const auth = basic(await egress.token({ destinations: [`api.test:${port}`] }))
      const ask = () => sendRaw(egress.number, get(port, auth + CLOSE))
      const ready = () =>
        sendRaw(egress.number, `GET /ready HTTP/1.1\r\nHost: localhost\r\n${CLOSE}\r\n`)
      assert.match(await ready(), /^HTTP\/1\.1 200 /)
      assert.match(await ask(), /^HTTP\/1\.1 200 /)
      await waitFor('the log to be unhealthy', () => !audit.healthy())
      assert.match(await ready(), /^HTTP\/1\.1 503 /)
      for (let index = 0; index < 20; index += 1) {
        const answer = await ask()
        if (!refuse) assert.match(answer, /^HTTP\/1\.1 200 /)
        else assert.match(answer, /^HTTP\/1\.1 503 [\s\S]*MESH_GATEWAY_NOT_READY/)
      }
      const lost = /^clawmesh_audit_dropped_total ([1-9]\d*)$/m
      await waitFor('the counter', async () => lost.test(await metrics.text()))
    })

  it('outlives running out of file descriptors, and serves again when some are free', async function () {
    this.timeout(60_000)
    if (process.platform !== 'linux') this.skip()
    const script = fileURLToPath(new URL('./small-egress.ts', import.meta.url))
    const child = spawn('sh', ['-c', 'ulimit -n 64; exec "$0" "$1"', process.execPath, script], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const exited = once(child, 'exit')
    const [line] = await once(child.stdout, 'data')
    const { number, port, token } = JSON.parse(String(line))
    const auth = basic(String(token))
    assert.match(await sendRaw(number, get(port, auth + CLOSE)), /^HTTP\/1\.1 200 /)
    const many = Array.from({ length: 200 }, () => {
      const socket = connect(number, '127.0.0.1')
      socket.on('error', () => {})
      // requests that are let in and cannot be dialled, too
      socket.write(get(port, auth))
      return socket
    })
    await Promise.all(many.map((socket) => once(socket, 'connect').catch(() => null)))
    await new Promise((resolve) => setTimeout(resolve, 300))
    assert.equal(child.exitCode, null)
    for (const socket of many) socket.destroy()
    await waitFor('it to serve again', async () =>
      /^HTTP\/1\.1 200 /.test(await sendRaw(number, get(port, auth + CLOSE)).catch(() => '')),
    )
    child.stdin.end()
    const [code] = await exited
    assert.equal(code, 0)
  })

  it('holds a thousand idle tunnels, and ends them all when policy goes', async () => {
    const target = createServer((socket) => socket.on('error', () => {}))
    target.listen(0, '127.0.0.1')
    await once(target, 'listening')
    setup.closing.push(async () => {
      target.close()
    })
    const address = target.address()
    assert.ok(typeof address === 'object' && address !== null)
    const { port } = address
    const egress = await setup.egress(port)
    const auth = basic(await egress.token({ destinations: [`api.test:${port}`] }))
    const open = async () => {
      const socket = connect(egress.number, '127.0.0.1')
      socket.on('error', () => {})
      socket.write(connectTo(port, auth))
      await once(socket, 'data')
      return socket
    }
    const sockets: Socket[] = []
    for (let batch = 0; batch < 20; batch += 1)
      sockets.push(...(await Promise.all(Array.from({ length: 50 }, open))))
    assert.match(await egress.metrics(), /^clawmesh_active\{plane="egress"\} 1000$/m)
    // they are reset, which once() would take for a failure
    const ended = Promise.all(
      sockets.map((socket) => new Promise((resolve) => socket.on('close', resolve))),
    )
    egress.setPolicy({ allow: [] }, { ports: [port] })
    // in slices, the first one at once
    await ended
    await egress.record(999)
    assert.match(await egress.metrics(), /^clawmesh_active\{plane="egress"\} 0$/m)
    assert.equal(
      egress.records.every((record) => record.reason === 'MESH_POLICY_NOT_ALLOWED'),
      true,
    )
  })
})
