import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { silentLog } from '@clawmesh/agent-sdk'
import { MeshError } from '@clawmesh/proto'
import { createAdminPort } from '../../../mesh-gateway/src/admin/admin-port.ts'
import type { Missing } from '../../../mesh-gateway/src/admin/status-page.ts'
import type { Port } from '../../../mesh-gateway/src/net/port.ts'
import { VERSION } from '../../../mesh-gateway/src/version.ts'
import { waitFor } from '../../support/wait-for.ts'

describe('the admin port', () => {
  let port: Port
  let missing: Missing[]
  let degraded: Missing[]
  const options = () => ({
    listen: { host: '127.0.0.1', port: 0 },
    names: () => ['gw.mesh.internal'],
    metrics: { text: async (format: string) => `${format} 1\n` },
    degraded: () => degraded,
    missing: () => missing,
    connectionRefused: () => {},
    log: silentLog,
    console: false,
    facts: { ask: async () => ({ answers: [], silent: 0 }), workers: () => [] },
    agentOf: () => () => null,
    status: () => [{ name: 'policy', value: '<script>alert("1")</script>' }],
  })
  beforeEach(async () => {
    missing = []
    degraded = []
    port = await createAdminPort(options())
  })
  afterEach(() => port.close())

  const ask = async (
    path: string,
    more: { method?: string; host?: string; accept?: string } = {},
  ) => {
    const sent = request({
      port: port.address.port,
      path,
      method: more.method ?? 'GET',
      headers: {
        ...(more.host === undefined ? {} : { host: more.host }),
        ...(more.accept === undefined ? {} : { accept: more.accept }),
      },
      agent: false,
    })
    sent.end()
    const [response] = await once(sent, 'response')
    return { status: response.statusCode, headers: response.headers, body: await text(response) }
  }
  const raw = async (bytes: string) => {
    const socket = connect(port.address.port, '127.0.0.1')
    socket.write(bytes)
    return await text(socket)
  }

  it('answers while a hundred others are silent, and ends a header that comes too slowly', async () => {
    const silent = Array.from({ length: 150 }, () => connect(port.address.port, '127.0.0.1'))
    for (const socket of silent) socket.on('error', () => {}).resume()
    const slow = silent[149]
    const drip = setInterval(() => slow?.write('a'), 100)
    slow?.write('GET / HTTP/1.1\r\nx-')
    assert.equal((await ask('/health')).status, 200)
    assert.equal((await ask('/metrics')).status, 200)
    if (slow?.closed === false) await once(slow, 'close')
    clearInterval(drip)
    for (const socket of silent) socket.destroy()
  })

  it('gives metrics in the form that Prometheus reads', async () => {
    const { status, headers, body } = await ask('/metrics')
    assert.equal(status, 200)
    assert.equal(headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8')
    assert.equal(body, 'prometheus 1\n')
    const accept = 'application/openmetrics-text;version=1.0.0,text/plain;q=0.5'
    const open = await ask('/metrics', { accept })
    assert.match(String(open.headers['content-type']), /^application\/openmetrics-text; version=1/)
    assert.equal(open.headers.vary, 'accept')
    assert.equal(open.body, 'openmetrics 1\n')
  })

  it('is up as long as it answers, and ready when nothing is missing', async () => {
    assert.deepEqual(JSON.parse((await ask('/health')).body), { status: 'up', version: VERSION })
    assert.deepEqual((await ask('/ready')).body, '{"status":"ready"}\n')
    missing = [{ what: 'policy', reason: 'there is none' }]
    const { status, body } = await ask('/ready')
    assert.equal(status, 503)
    assert.deepEqual(JSON.parse(body), { status: 'not ready', missing })
    assert.equal((await ask('/health')).status, 200)
  })

  it('shows at a glance, and in the title of a tab, whether all is well', async () => {
    const good = await ask('/')
    assert.match(good.body, /<p class="good">ready<\/p>/)
    assert.match(good.body, /<title>mesh-gateway<\/title>/)
    assert.match(good.body, /<meta http-equiv="refresh" content="10">/)
    degraded = [{ what: 'keys', reason: 'the latest reload failed: <b>' }]
    const worse = await ask('/')
    assert.match(worse.body, /<p class="bad">degraded<\/p>/)
    assert.match(worse.body, /<title>degraded: mesh-gateway<\/title>/)
    assert.match(worse.body, /<li>keys: the latest reload failed: &#60;b&#62;<\/li>/)
    missing = [{ what: 'policy', reason: 'there is none' }]
    assert.match((await ask('/')).body, /<title>not ready: mesh-gateway<\/title>/)
  })

  it('shows a status page on which nothing can run', async () => {
    const { body, headers } = await ask('/')
    assert.ok(!body.includes('<script>'))
    assert.match(String(headers['content-security-policy']), /default-src 'none'/)
  })

  it('answers to its own names only, so that no web page can read it', async () => {
    for (const host of [
      'localhost',
      'localhost:9090',
      '127.0.0.1:9090',
      '[::1]:9090',
      '10.1.2.3',
      'GW.mesh.internal:9090',
    ])
      assert.equal((await ask('/health', { host })).status, 200, host)
    for (const host of [
      'evil.example',
      'localhost.evil.example:9090',
      'xgw.mesh.internal',
      '[evil]',
      '127.0.0.1.nip.io',
    ])
      assert.equal((await ask('/metrics', { host })).status, 421, host)
  })

  it('refuses an empty Host', async () => {
    assert.match(
      await raw('GET /health HTTP/1.1\r\nhost: \r\nconnection: close\r\n\r\n'),
      /^HTTP\/1\.1 421 /,
    )
  })

  it('answers a health check that sends no Host', async () => {
    assert.match(await raw('GET /health HTTP/1.0\r\n\r\n'), /^HTTP\/1\.1 200 /)
  })

  it('only reads', async () => {
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE']) {
      const { status, headers } = await ask('/metrics', { method })
      assert.equal(status, 405, method)
      assert.equal(headers.allow, 'GET, HEAD')
    }
    assert.equal((await ask('/ready', { method: 'HEAD' })).body, '')
    const other = await ask('/nope')
    assert.deepEqual([other.status, other.body], [404, 'there is /, /metrics, /health, /ready\n'])
    assert.equal((await ask('/metrics/../../etc/passwd')).status, 404)
  })

  it('survives what is not HTTP, too long, or never ends', async () => {
    assert.match(await raw('\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'), /^HTTP\/1\.1 400 /)
    assert.match(await raw(`GET /${'a'.repeat(20_000)} HTTP/1.1\r\n`), /^HTTP\/1\.1 400 /)
    const endless =
      'GET /health HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999999\r\n\r\nxx'
    assert.match(await raw(endless), /^HTTP\/1\.1 200 /)
    assert.equal((await ask('/health')).status, 200)
  })

  it('answers while a hundred others do not read what they asked for', async () => {
    await port.close()
    const long = 'x'.repeat(4_000_000)
    let computed = 0
    const metrics = {
      async text() {
        computed += 1
        return long
      },
    }
    port = await createAdminPort({ ...options(), metrics })
    const silent = Array.from({ length: 100 }, () => connect(port.address.port, '127.0.0.1'))
    for (const socket of silent) {
      socket.on('error', () => {}).pause()
      socket.write('GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n')
    }
    await waitFor('all of them to be asked', async () => computed === 100)
    assert.equal((await ask('/health')).status, 200)
    for (const socket of silent) socket.destroy()
  })

  it('computes one answer at a time for a connection, and ends one that asks for more', async () => {
    await port.close()
    let computed = 0
    const metrics = {
      text() {
        computed += 1
        return new Promise<string>(() => {})
      },
    }
    port = await createAdminPort({ ...options(), metrics })
    const question = 'GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n'
    assert.equal(await raw(question.repeat(1_000)), '')
    assert.equal(computed, 1)
    const socket = connect(port.address.port, '127.0.0.1')
    for (const _ of [1, 2]) {
      socket.write('GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n')
      const [answer] = await once(socket, 'data')
      assert.match(String(answer), /^HTTP\/1\.1 200 /)
    }
    socket.destroy()
  })

  it('says which setting to change when its address is taken', async () => {
    await assert.rejects(
      createAdminPort({ ...options(), listen: port.address }),
      (error) =>
        error instanceof MeshError &&
        error.code === 'MESH_CONFIG_PORT' &&
        error.hint.includes('admin.listen'),
    )
  })
})
