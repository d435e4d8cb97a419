/** How the egress port can be reached: TCP as everywhere else, TLS, a Unix socket; and tokens that are bound to a certificate. */
import assert from 'node:assert/strict'
import { createHash, randomBytes, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { stat, writeFile } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { connect as connectTcp } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import { writeIdentity } from '@clawmesh/pki'
import { Secret } from '@clawmesh/proto'
import { fetch, ProxyAgent } from 'undici'
import { openPortCertificate } from '../../../../mesh-gateway/src/egress/client/port-certificate.ts'
import { makeTicketKeys } from '../../../../mesh-gateway/src/workers/ticket-keys.ts'
import { needProgram } from '../../../support/need-program.ts'
import { makeTestCa, type TestCa } from '../../../support/test-ca.ts'
import { waitFor } from '../../../support/wait-for.ts'
import { run } from '../client-world.ts'
import type { FixtureOptions } from '../fixture.ts'
import { basic, connectTo, get, setUp } from '../setup.ts'

const NAME = 'gateway.mesh.internal'
const CLOSE = 'Connection: close\r\n'

describe('the egress port over TLS', () => {
  const setup = setUp()
  let ca: TestCa
  let roots: string
  let dir: string
  before(async () => {
    ca = await makeTestCa()
    roots = ca.ca.issueAgent({ tenant: 'acme', agent: 'bot-01' }).roots
    dir = await ca.gatewayDir({ name: 'gw-1', tenants: ['acme'] })
  })
  after(() => ca.close())
  afterEach(setup.close)

  async function open(options: FixtureOptions = {}) {
    const certificate = await openPortCertificate({ dir, pollMs: 50 })
    setup.closing.push(() => certificate.close())
    const { port } = await setup.http((incoming, response) => response.end(incoming.url))
    const egress = await setup.egress(port, { ...options, port: { certificate, ...options.port } })
    const destinations = [`api.test:${port}`]
    return { egress, port, destinations, certificate }
  }

  async function dial(number: number, options: ConnectionOptions = {}): Promise<TLSSocket> {
    const socket = connect({
      host: '127.0.0.1',
      port: number,
      servername: NAME,
      ca: roots,
      ALPNProtocols: ['http/1.1'],
      ...options,
    })
    await once(socket, 'secureConnect')
    return socket
  }

  async function ask(number: number, head: string, options: ConnectionOptions = {}) {
    const socket = await dial(number, options)
    socket.write(head)
    const answer = await text(socket)
    return answer
  }

  it('answers, tunnels and explains itself as in the clear', async () => {
    const { egress, port, destinations } = await open()
    const auth = basic(await egress.token({ destinations }))
    assert.match(
      await ask(egress.number, get(port, auth + CLOSE, '/x')),
      /^HTTP\/1\.1 200 [\s\S]*\/x$/,
    )
    const head = `GET /t HTTP/1.1\r\nHost: api.test\r\n${CLOSE}\r\n`
    assert.match(
      await ask(egress.number, connectTo(port, auth) + head),
      /200 Connection[\s\S]*\/t$/,
    )
    assert.match(
      await ask(egress.number, connectTo(443, auth, 'evil.test')),
      /^HTTP\/1\.1 403 MESH_POLICY_NOT_ALLOWED/,
    )
  })

  it('serves curl and undici as an https proxy', async function () {
    needProgram(this, 'curl')
    const { egress, port, destinations } = await open()
    const token = await egress.token({ destinations })
    const rootsFile = join(ca.dir, 'proxy-roots.pem')
    await writeFile(rootsFile, roots)
    const proxy = `https://bot-01:${token}@${NAME}:${egress.number}`
    const resolve = `${NAME}:${egress.number}:127.0.0.1`
    const url = `http://api.test:${port}/curl`
    const args = ['-sS', '--proxy-cacert', rootsFile, '--resolve', resolve, '-p', '-x', proxy, url]
    const curl = await run('curl', args)
    assert.deepEqual([curl.code, curl.stdout], [0, '/curl'], curl.stderr)
    const dispatcher = new ProxyAgent({
      uri: `https://127.0.0.1:${egress.number}`,
      token: `Bearer ${token}`,
      proxyTls: { ca: roots, servername: NAME },
    })
    const response = await fetch(url, { dispatcher })
    assert.equal(await response.text(), '/curl')
    await dispatcher.close()
  })

  it('with keys of tickets that another port has too, resumes what was begun there, also when they and the certificate are new', async () => {
    const tickets = makeTicketKeys(3_600_000)
    setup.closing.push(async () => tickets.close())
    let keys = tickets.current()
    const listeners = new Set<() => void>()
    const ticketKeys = {
      current: () => keys,
      onChange(listener: () => void) {
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
    }
    const [one, two] = [await open({ port: { ticketKeys } }), await open({ port: { ticketKeys } })]
    const sessionAt = async (number: number) => {
      const socket = await dial(number)
      const [session] = await once(socket, 'session')
      socket.destroy()
      return session
    }
    const resumesAt = async (number: number, session: Buffer) => {
      const socket = await dial(number, { session })
      const resumed = socket.isSessionReused()
      socket.destroy()
      return resumed
    }
    const old = await sessionAt(one.egress.number)
    assert.equal(await resumesAt(two.egress.number, old), true)
    keys = new Secret(randomBytes(48))
    for (const listener of listeners) listener()
    assert.equal(await resumesAt(two.egress.number, old), false)
    const session = await sessionAt(one.egress.number)
    assert.equal(await resumesAt(two.egress.number, session), true)
    const changed = Promise.withResolvers<void>()
    two.certificate.onChange(() => changed.resolve())
    await writeIdentity(dir, ca.ca.issueGateway({ name: 'gw-1', tenants: ['acme'] }))
    await changed.promise
    assert.equal(await resumesAt(two.egress.number, session), true)
  })

  it('lets clients resume sessions', async () => {
    const { egress, port, destinations } = await open()
    const auth = basic(await egress.token({ destinations }))
    const first = await dial(egress.number)
    const [session] = await once(first, 'session')
    first.destroy()
    const second = await dial(egress.number, { session })
    assert.equal(second.isSessionReused(), true)
    second.write(get(port, auth + CLOSE, '/again'))
    assert.match(await text(second), /\/again$/)
  })

  it('takes a renewed certificate over, and keeps the last good one when it is damaged', async () => {
    const { egress, certificate } = await open()
    const serial = async () => {
      const socket = await dial(egress.number)
      const seen = socket.getPeerX509Certificate()?.serialNumber
      socket.destroy()
      return seen
    }
    const before = await serial()
    await writeIdentity(dir, ca.ca.issueGateway({ name: 'gw-1', tenants: ['acme'] }))
    await certificate.reload()
    const renewed = await serial()
    assert.notEqual(renewed, before)
    const other = ca.ca.issueGateway({ name: 'gw-1', tenants: ['acme'] })
    await writeFile(join(dir, '..data', 'tls.key'), other.privateKey.reveal())
    assert.equal(await certificate.reload(), false)
    assert.equal(await serial(), renewed)
    await writeIdentity(dir, other)
    await waitFor('the pair that fits again', async () => (await serial()) !== renewed)
  })

  it('is not opened with a key that does not fit, or with none', async () => {
    const bad = await ca.agentDir({ tenant: 'acme', agent: 'bad' })
    await writeFile(join(bad, 'tls.key'), 'nothing')
    await assert.rejects(openPortCertificate({ dir: bad }), { code: 'MESH_CONFIG_INVALID' })
    await assert.rejects(openPortCertificate({ dir: join(bad, 'no') }), {
      code: 'MESH_CONFIG_INVALID',
    })
  })

  it('is rid of a client that does not shake hands, and of one that speaks in the clear', async () => {
    const { egress } = await open({ port: { timeouts: { headerMs: 60 } } })
    for (const said of ['', 'GET / HTTP/1.1\r\n\r\n']) {
      const socket = connectTcp(egress.number, '127.0.0.1')
      socket.on('error', () => {})
      socket.write(said)
      await once(socket, 'close')
    }
  })

  it('takes a bound token from who shows the certificate it is bound to, and from nobody else', async () => {
    const { egress, port, destinations } = await open()
    const [own, other] = ['bot-01', 'bot-02'].map((agent) => {
      const issued = ca.ca.issueAgent({ tenant: 'acme', agent })
      return { cert: issued.certificateChain, key: issued.privateKey.reveal() }
    })
    assert.ok(own && other)
    const thumbprint = createHash('sha256').update(new X509Certificate(own.cert).raw)
    const boundTo = thumbprint.digest('base64url')
    const auth = basic(await egress.token({ destinations, boundTo }))
    assert.match(await ask(egress.number, get(port, auth + CLOSE), own), /^HTTP\/1\.1 200 /)
    for (const shown of [other, {}])
      assert.match(
        await ask(egress.number, get(port, auth + CLOSE), shown),
        /^HTTP\/1\.1 403 [\s\S]*MESH_TOKEN_BINDING/,
      )
    // one that is bound to nothing needs no certificate
    const free = basic(await egress.token({ destinations }))
    assert.match(await ask(egress.number, get(port, free + CLOSE), other), /^HTTP\/1\.1 200 /)
    const { reason } = await egress.record(1)
    assert.equal(reason, 'MESH_TOKEN_BINDING')
  })

  for (const maxVersion of ['TLSv1.3', 'TLSv1.2'] as const)
    it(`takes a bound token on no session that was resumed, which shows no certificate (${maxVersion})`, async () => {
      const { egress, port, destinations } = await open()
      const issued = ca.ca.issueAgent({ tenant: 'acme', agent: 'bot-01' })
      const own = { cert: issued.certificateChain, key: issued.privateKey.reveal() }
      const raw = new X509Certificate(own.cert).raw
      const boundTo = createHash('sha256').update(raw).digest('base64url')
      const auth = basic(await egress.token({ destinations, boundTo }))
      const first = connect({
        ...{ host: '127.0.0.1', port: egress.number, servername: NAME, ca: roots },
        ...{ maxVersion, ...own },
      })
      const [session] = await once(first, 'session')
      first.destroy()
      // with the certificate at hand or without: a resumed handshake does not send it
      for (const more of [{}, own]) {
        const resumed = await dial(egress.number, { session, maxVersion, ...more })
        assert.equal(resumed.isSessionReused(), true)
        resumed.write(get(port, auth + CLOSE))
        const answer = await text(resumed)
        assert.match(answer, /^HTTP\/1\.1 403 [\s\S]*MESH_TOKEN_BINDING/)
        assert.match(answer, /full TLS handshake/)
      }
      assert.match(await ask(egress.number, get(port, auth + CLOSE), own), /^HTTP\/1\.1 200 /)
    })

  it('refuses a bound token in the clear', async () => {
    const { port } = await setup.http((_, response) => response.end())
    const egress = await setup.egress(port)
    const boundTo = createHash('sha256').update('x').digest('base64url')
    const auth = basic(await egress.token({ destinations: [`api.test:${port}`], boundTo }))
    const socket = connectTcp(egress.number, '127.0.0.1')
    socket.write(get(port, auth + CLOSE))
    assert.match(await text(socket), /^HTTP\/1\.1 403 [\s\S]*MESH_TOKEN_BINDING/)
  })

  it('ends an answer that broke off so that it does not look whole', async () => {
    const { port } = await setup.upstream((socket) =>
      socket.once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf')
        setTimeout(() => socket.resetAndDestroy(), 20)
      }),
    )
    const { egress } = await open({
      egress: { allow: [`api.test:${port}`] },
      global: { ports: [port] },
    })
    const auth = basic(await egress.token({ destinations: [`api.test:${port}`] }))
    const answer = await ask(egress.number, get(port, auth)).catch(() => 'cut off')
    assert.doesNotMatch(answer, /half.{6}/s)
    assert.equal((await egress.record(0)).reason, 'MESH_EGRESS_LOST')
  })

  it('drains and closes with clients connected', async () => {
    const { egress } = await open()
    const socket = await dial(egress.number)
    const closed = once(socket, 'close')
    await egress.port.drain(1000)
    socket.resume()
    await closed
  })
})

describe('the egress port on a Unix socket', () => {
  const setup = setUp()
  let ca: TestCa
  before(async () => {
    ca = await makeTestCa()
  })
  after(() => ca.close())
  afterEach(setup.close)

  async function open(path: string) {
    const { port } = await setup.http((incoming, response) => response.end(incoming.url))
    const egress = await setup.egress(port, { port: { listen: { host: '', port: 0, path } } })
    const auth = basic(await egress.token({ destinations: [`api.test:${port}`] }))
    return { egress, auth, port }
  }

  async function ask(path: string, head: string): Promise<string> {
    const socket = connectTcp(path)
    socket.write(head)
    return await text(socket)
  }

  it('answers in every form; owner and group may connect, others not', async () => {
    const path = join(ca.dir, 'egress.sock')
    const { auth, port, egress } = await open(path)
    assert.match(await ask(path, get(port, auth + CLOSE, '/x')), /^HTTP\/1\.1 200 [\s\S]*\/x$/)
    const own = `GET /health HTTP/1.1\r\nHost: localhost\r\n${CLOSE}\r\n`
    assert.match(await ask(path, own), /^HTTP\/1\.1 200 /)
    const inner = `GET /t HTTP/1.1\r\nHost: api.test\r\n${CLOSE}\r\n`
    assert.match(await ask(path, connectTo(port, auth) + inner), /200 Connection[\s\S]*\/t$/)
    assert.equal((await stat(path)).mode & 0o777, 0o660)
    assert.equal(egress.port.address.path, path)
  })

  it('serves node:http with a socketPath', async () => {
    const path = join(ca.dir, 'http.sock')
    const { auth, port } = await open(path)
    const agent = new Agent()
    const outgoing = request({
      socketPath: path,
      agent,
      path: `http://api.test:${port}/node`,
      headers: { host: `api.test:${port}`, 'proxy-authorization': auth.slice(21).trim() },
    })
    outgoing.end()
    const [response] = await once(outgoing, 'response')
    assert.equal(await text(response), '/node')
    agent.destroy()
  })

  it('takes the place of a socket that a killed process left, and never of one in use', async () => {
    const path = join(ca.dir, 'left.sock')
    const { egress } = await open(path)
    await assert.rejects(open(path), { code: 'MESH_CONFIG_PORT' })
    await egress.port.close()
    const left = await run(process.execPath, [
      '-e',
      `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`,
    ])
    assert.notEqual(left.code, 0)
    assert.ok((await stat(path)).isSocket())
    await open(path)
    const file = join(ca.dir, 'file')
    await writeFile(file, 'not a socket')
    await assert.rejects(open(file), { code: 'MESH_CONFIG_PORT' })
    assert.ok((await stat(file)).isFile())
  })

  it('ends what broke off without ending the process', async () => {
    const path = join(ca.dir, 'reset.sock')
    const upstream = await setup.upstream((socket) =>
      socket.once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf')
        setTimeout(() => socket.resetAndDestroy(), 20)
      }),
    )
    const egress = await setup.egress(upstream.port, {
      port: { listen: { host: '', port: 0, path } },
    })
    const auth = basic(await egress.token({ destinations: [`api.test:${upstream.port}`] }))
    const answer = await ask(path, get(upstream.port, auth)).catch(() => 'cut off')
    assert.doesNotMatch(answer, /half.{6}/s)
  })
})
