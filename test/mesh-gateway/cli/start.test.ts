import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { checksOff } from '../../support/tls-checks-off.ts'
import { waitFor } from '../../support/wait-for.ts'
import { type IssuedWorkplace, makeIssuedWorkplace } from './issued-workplace.ts'

describe('mesh-gateway start', function () {
  this.timeout(120_000)
  let place: IssuedWorkplace
  let upstream: Server
  let upstreamPort: number

  before(async () => {
    upstream = createServer((socket) => {
      socket.on('error', () => {})
      socket.pipe(socket)
    }).listen(0, '127.0.0.1')
    await once(upstream, 'listening')
    upstreamPort = (upstream.address() as AddressInfo).port
  })
  after(() => {
    upstream.close()
  })
  beforeEach(async () => {
    place = await makeIssuedWorkplace()
    await place.write('policy/_global.json', {
      egress: { allowCidrs: ['127.0.0.0/8'], ports: [upstreamPort] },
    })
    await place.write('policy/acme.json', {
      tenant: 'acme',
      egress: { allow: [`127.0.0.1:${upstreamPort}`] },
    })
  })
  afterEach(() => place.close())

  const start = async () => {
    const { said, ...started } = await place.start()
    return { ...started, egress: said('egress'), admin: said('admin') }
  }
  const get = async (url: string) => {
    const response = await fetch(url)
    return { status: response.status, body: await response.text() }
  }
  const openTunnel = async (egress: string): Promise<Socket> => {
    const { stdout } = await place.run(
      'issue-token',
      '--config',
      'gateway.json',
      '--agent-id',
      'bot-01',
    )
    const { hostname, port } = new URL(egress)
    const socket = connect(Number(port), hostname)
    socket.on('error', () => {})
    const target = `127.0.0.1:${upstreamPort}`
    socket.write(
      `CONNECT ${target} HTTP/1.1\r\nhost: ${target}\r\nproxy-authorization: Bearer ${stdout.trim()}\r\n\r\n`,
    )
    const [answer] = await once(socket, 'data')
    assert.match(String(answer), /^HTTP\/1\.1 200 /)
    return socket
  }
  const auditLines = async (name: string) =>
    (await readFile(join(place.dir, name), 'utf8').catch(() => '')).split('\n').filter(Boolean)

  it('says who it is and where it listens, and is ready', async () => {
    const gateway = await start()
    assert.match(
      gateway.stderr(),
      /mesh-gateway: identity +spiffe:\/\/mesh\.internal\/gateway\/gw, until \S+Z\n/,
    )
    assert.deepEqual(await get(`${gateway.admin}/ready`), {
      status: 200,
      body: '{"status":"ready"}\n',
    })
    assert.match(
      (await get(`${gateway.admin}/metrics`)).body,
      /clawmesh_certificate_not_after_seconds \d+/,
    )
    assert.match((await get(`${gateway.admin}/`)).body, /spiffe:/)
  })

  it('says its version in the first line of its log, at /health, and when it is asked', async () => {
    const { stdout } = await place.run('--version')
    assert.match(stdout, /^\d+\.\d+\.\d+\n$/)
    const gateway = await start()
    const [first = ''] = gateway.stderr().split('\n')
    const line = JSON.parse(first)
    assert.equal(line.msg, 'mesh-gateway starts')
    assert.equal(line.version, stdout.trim())
    assert.equal(line.node, process.versions.node)
    const health = await get(`${gateway.admin}/health`)
    assert.deepEqual(JSON.parse(health.body), { status: 'up', version: stdout.trim() })
  })

  it('shows on its status page and at /ready that a file could not be taken over, until it can', async () => {
    const gateway = await start()
    const good = await readFile(join(place.dir, 'gateway.json'), 'utf8')
    await place.write('gateway.json', '{ broken')
    gateway.child.kill('SIGHUP')
    const page = async () => (await get(`${gateway.admin}/`)).body
    const red = await waitFor('the red page', async () => {
      const now = await page()
      return now.includes('<li>config: the latest reload failed, the last good one is in') && now
    })
    assert.match(red, /<p class="bad">degraded</)
    const ready = await get(`${gateway.admin}/ready`)
    assert.equal(ready.status, 200)
    // on a slow machine the disk may be among them
    const degraded: { what: string }[] = JSON.parse(ready.body).degraded
    assert.ok(degraded.some(({ what }) => what === 'config'))
    await place.write('gateway.json', good)
    gateway.child.kill('SIGHUP')
    await waitFor('the green page', async () => /<p class="good">ready</.test(await page()))
    assert.match(await page(), /certificate until<\/th><td>\S+Z, in \d+ /)
  })

  it('has threads enough that names which hang leave some for files', async () => {
    const threads = async (pid: number | undefined) => {
      const tasks = await readdir(`/proc/${pid}/task`)
      const names = tasks.map((task) => readFile(`/proc/${pid}/task/${task}/comm`, 'utf8'))
      return (await Promise.all(names)).filter((name) => name.startsWith('libuv-worker')).length
    }
    assert.equal(await threads((await start()).child.pid), 24)
  })

  it('sees rotated keys, opens a rotated audit log, takes over live settings, on SIGHUP at once', async () => {
    const gateway = await start()
    const kids = async (): Promise<string[]> =>
      JSON.parse((await get(`${gateway.egress}/.well-known/jwks.json`)).body).keys.map(
        (key: { kid: string }) => key.kid,
      )
    assert.equal((await kids()).length, 2)
    ;(await openTunnel(gateway.egress)).destroy()
    await waitFor('the audit line', async () => (await auditLines('audit.log')).length === 1)
    await place.run('keys', 'rotate', '--config', 'gateway.json')
    await rename(join(place.dir, 'audit.log'), join(place.dir, 'audit.log.1'))
    gateway.child.kill('SIGHUP')
    await waitFor('the rotated key', async () => (await kids()).length === 3)
    await waitFor(
      'the audit line in the old file',
      async () => (await auditLines('audit.log.1')).length === 1,
    )
    ;(await openTunnel(gateway.egress)).destroy()
    await waitFor(
      'the audit line in the new file',
      async () => (await auditLines('audit.log')).length === 1,
    )
    assert.equal((await auditLines('audit.log.1')).length, 1)
    await place.write('gateway.json', '{ broken')
    await waitFor('the warning', () =>
      /config: not reloaded, the last good one stays/.test(gateway.stderr()),
    )
    assert.equal((await get(`${gateway.admin}/ready`)).status, 200)
  })

  it('on SIGTERM lets a tunnel go on, refuses new work, and ends with 0 when the tunnel has', async () => {
    const gateway = await start()
    const tunnel = await openTunnel(gateway.egress)
    gateway.child.kill('SIGTERM')
    await waitFor('draining', () => /SIGTERM: draining/.test(gateway.stderr()))
    const { status, body } = await get(`${gateway.admin}/ready`)
    assert.equal(status, 503)
    assert.match(body, /"draining"/)
    await assert.rejects(get(`${gateway.egress}/health`))
    const echoed = once(tunnel, 'data')
    tunnel.write('still here')
    assert.equal(String((await echoed)[0]), 'still here')
    tunnel.end()
    assert.deepEqual(await gateway.ended, [0, null])
    assert.match(gateway.stderr(), /mesh-gateway: drained\n$/)
    const [line = ''] = await auditLines('audit.log')
    assert.equal(JSON.parse(line).bytes_up, 'still here'.length)
  })

  it('does not start where the environment turns the checks of certificates off', async () => {
    const { code, stdout, stderr } = await place.runProcess(
      checksOff(),
      'start',
      '--config',
      'gateway.json',
    )
    assert.equal(code, 1, stderr)
    assert.equal(stdout, '')
    assert.match(stderr, /NODE_TLS_REJECT_UNAUTHORIZED is 0/)
    assert.match(stderr, /hint: unset it/)
    assert.doesNotMatch(stderr, /mesh-gateway: (?:egress|admin) /)
  })

  it('ends as after any failure where the PIN of its token is not to be read yet: 3 is for a PIN that was refused', async () => {
    const pin = join(place.dir, 'pin')
    const config = JSON.parse(await readFile(join(place.dir, 'gateway.json'), 'utf8'))
    const pkcs11 = `pkcs11:token=mesh?module-path=/none.so&pin-source=file:${pin}`
    await place.write('gateway.json', { ...config, keys: { ...config.keys, pkcs11 } })
    const start = () => place.run('start', '--config', 'gateway.json')
    const missing = await start()
    assert.match(missing.stderr, /the PIN cannot be read from .*pin/)
    await writeFile(pin, '\n')
    const empty = await start()
    assert.match(empty.stderr, /there is no PIN in .*pin/)
    assert.deepEqual([missing.code, empty.code], [1, 1])
  })

  it('ends within its drain time whoever holds on, and at once on a second signal', async () => {
    const { drainMs: _, ...config } = JSON.parse(
      await readFile(join(place.dir, 'gateway.json'), 'utf8'),
    )
    await place.write('gateway.json', { ...config, drainMs: 300 })
    const first = await start()
    const held = await openTunnel(first.egress)
    first.child.kill('SIGINT')
    assert.deepEqual(await first.ended, [0, null])
    held.destroy()
    assert.equal((await auditLines('audit.log')).length, 1)

    await place.write('gateway.json', { ...config, drainMs: '10m' })
    const second = await start()
    const tunnel = await openTunnel(second.egress)
    second.child.kill('SIGTERM')
    await waitFor('draining', () => /draining/.test(second.stderr()))
    second.child.kill('SIGTERM')
    assert.deepEqual(await second.ended, [1, null], second.stderr())
    tunnel.destroy()
  })
})
