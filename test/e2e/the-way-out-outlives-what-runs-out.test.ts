/** The real process while sockets, descriptors, the disk or DNS run out: it stays up and bounded, serves again, and /ready tells the truth. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createDnsServer } from '../../scripts/dev/dns-server.ts'
import { issueToken } from '../mesh-gateway/cli/run-here.ts'
import { freeGatewayPorts, type GatewayPorts } from '../support/gateway-process.ts'
import { type Mesh, startMesh } from '../support/mesh.ts'
import { needProgram } from '../support/need-program.ts'
import { waitFor as waitForIt } from '../support/wait-for.ts'

const TUNNELS = 5_000
const SLOW = 2_000
/** Far more than it takes (about 150 MB), and far less than what a leak for each tunnel would come to. */
const MAX_RSS_MB = 600
const run = promisify(execFile)

describe('the way out outlives what runs out', function () {
  this.timeout(240_000)
  const meshes: Mesh[] = []
  let upstream: Server
  let port: number
  const inside = new Set<Socket>()

  before(async () => {
    // echoes in tunnels, answers HTTP, and misbehaves where it is asked to
    upstream = createServer((socket) => {
      inside.add(socket)
      socket.on('close', () => inside.delete(socket))
      socket.on('error', () => {})
      socket.on('data', (data: Buffer) => misbehave(socket, data.toString('latin1')))
    })
    upstream.listen(0, '127.0.0.1', 4096)
    await once(upstream, 'listening')
    const address = upstream.address()
    assert.ok(typeof address === 'object' && address !== null)
    port = address.port
  })
  after(() => {
    upstream.close()
    for (const socket of inside) socket.destroy()
  })
  afterEach(async () => {
    for (const mesh of meshes.splice(0)) await mesh.close()
  })

  interface OpenOptions {
    readonly config?: Readonly<Record<string, unknown>>
    readonly global?: object
    readonly allow?: readonly string[]
    readonly ports?: GatewayPorts
    readonly prepare?: (dir: string) => Promise<void>
  }

  interface Way {
    readonly mesh: Mesh
    readonly host: string
    readonly auth: string
    readonly egress: number
    ask(path?: string, to?: string): Promise<string>
    /** What both ports say: `egress admin`, e.g. `200 200`. */
    ready(): Promise<string>
    metric(name: string): Promise<number | null>
    rssMb(): Promise<number>
  }

  async function open(options: OpenOptions = {}): Promise<Way> {
    const host = `api.test:${port}`
    const { config = {}, global = {}, allow = [host, `127.0.0.1:${port}`], ports } = options
    const mesh = await startMesh({
      policy: {
        _global: { egress: { ports: [port], allowCidrs: ['127.0.0.0/8'], ...global } },
        acme: { egress: { allow } },
      },
      config,
      ...(ports === undefined ? {} : { ports }),
      prepare: ({ dir }) => options.prepare?.(dir) ?? Promise.resolve(),
    })
    meshes.push(mesh)
    mesh.addHost('api.test', ['127.0.0.1'])
    const [, egress = ''] = mesh.gateway.egress.split(':')
    const [, admin = ''] = mesh.gateway.admin.split(':')
    const token = await issueToken(mesh.dir, 'bot-01')
    const auth = `Proxy-Authorization: Bearer ${token}\r\nConnection: close\r\n`
    const metrics = async () => await exchange(Number(admin), request('/metrics', 'localhost', ''))
    return {
      mesh,
      host,
      auth,
      egress: Number(egress),
      ask: (path = '/ok', to = host) =>
        exchange(Number(egress), request(`http://${to}${path}`, to, auth)),
      async ready() {
        const [own, other] = await Promise.all(
          [egress, admin].map((at) => exchange(Number(at), request('/ready', 'localhost', ''))),
        )
        return `${own?.slice(9, 12)} ${other?.slice(9, 12)}`
      },
      async metric(name) {
        const [, value] = new RegExp(`^${name} (\\S+)$`, 'm').exec(await metrics()) ?? []
        return value === undefined ? null : Number(value)
      },
      async rssMb() {
        const status = await readFile(`/proc/${mesh.gateway.pid}/status`, 'utf8')
        return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024
      },
    }
  }

  it(`${TUNNELS} idle tunnels: others are served, memory is bounded, and all end when policy goes, each with its record`, async () => {
    const { mesh, host, auth, egress, ask, ready, metric, rssMb } = await open()
    const connectHead = `CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n${auth}\r\n`
    const sockets: Socket[] = []
    const tunnel = async () => {
      const socket = dial(egress)
      sockets.push(socket)
      socket.write(connectHead)
      const [data] = await once(socket, 'data')
      assert.match(String(data), /^HTTP\/1\.1 200 /)
    }
    while (sockets.length < TUNNELS) await Promise.all(Array.from({ length: 100 }, () => tunnel()))
    const active = 'clawmesh_active\\{plane="egress"\\}'
    assert.equal(await metric(active), TUNNELS)
    assert.match(await ask(), /^HTTP\/1\.1 200 /)
    assert.equal(await ready(), '200 200')
    // the first and the last still carry what is sent
    for (const socket of [sockets[0], sockets.at(-1)]) {
      socket?.write('ping')
      const [data] = socket === undefined ? [] : await once(socket, 'data')
      assert.equal(String(data), 'ping')
    }
    const rss = await rssMb()
    assert.ok(rss < MAX_RSS_MB, `${rss} MB`)
    const ended = Promise.all(
      sockets.map((socket) => new Promise((resolve) => socket.on('close', resolve))),
    )
    await mesh.setPolicy({ acme: { egress: { allow: [] } } })
    await ended
    await waitFor('none to be active', async () => (await metric(active)) === 0)
    const told = await waitFor('the records', async () => {
      const records = (await mesh.audit()).filter(
        // some were open for long enough to be told of before
        (record) => record.method === 'CONNECT' && record.phase !== 'open',
      )
      return records.length >= TUNNELS && records
    })
    assert.equal(told.length, TUNNELS)
    assert.equal(
      told.every((record) => record.reason === 'MESH_POLICY_NOT_ALLOWED'),
      true,
    )
    assert.equal(await ready(), '200 200')
    assert.equal((await ask()).slice(9, 12), '403')
  })

  it(`${SLOW} clients that trickle headers, as many that trickle bodies, and destinations that send without end`, async () => {
    const { host, auth, egress, ask, ready, rssMb } = await open({
      config: { timeouts: { headerMs: 5_000, idleTunnelMs: 5_000 } },
    })
    const slow: Socket[] = []
    const closed: Promise<unknown>[] = []
    const add = async (text: string) => {
      const socket = dial(egress)
      slow.push(socket)
      closed.push(new Promise((resolve) => socket.on('close', resolve)))
      socket.resume()
      await once(socket, 'connect')
      socket.write(text)
    }
    const header = `POST http://${host}/hang HTTP/1.1\r\nHost: ${host}\r\n${auth}`
    for (let index = 0; index < SLOW; index += 100) {
      await Promise.all(Array.from({ length: 100 }, () => add(`${header}X-Slow: `)))
      await Promise.all(
        Array.from({ length: 100 }, () => add(`${header}Content-Length: 9\r\n\r\nx`)),
      )
    }
    const trickle = setInterval(() => {
      for (const [index, socket] of slow.entries())
        if (Math.floor(index / 100) % 2 === 0 && socket.writable) socket.write('y')
    }, 300)
    for (const path of ['/ok', '/storm', '/endless', '/garbage', '/reset', '/nothing']) {
      const many = await Promise.all(Array.from({ length: 50 }, () => ask(path)))
      const status = path === '/ok' ? '200' : '502'
      // interim answers go on before the storm is one
      for (const answer of many)
        assert.match(answer, new RegExp(`(?:^|\\r\\n\\r\\n)HTTP/1\\.1 ${status} `), path)
    }
    assert.equal(await ready(), '200 200')
    await Promise.all(closed)
    clearInterval(trickle)
    const rss = await rssMb()
    assert.ok(rss < MAX_RSS_MB, `${rss} MB`)
    assert.match(await ask(), /^HTTP\/1\.1 200 /)
  })

  it('no file descriptor is left: it waits, loses nobody for good, and serves when some are free', async function () {
    needProgram(this, 'prlimit')
    const { mesh, ask, egress, host, auth, ready } = await open()
    const { pid } = mesh.gateway
    const fds = (await readdir(`/proc/${pid}/fd`)).length
    await run('prlimit', ['--pid', String(pid), `--nofile=${fds + 40}:20000`])
    // one after another, until one finds none: at once, all would be accepted first and then none could be dialled for
    const many: Socket[] = []
    let answer = ''
    do {
      const socket = dial(egress)
      many.push(socket)
      socket.write(`CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n${auth}\r\n`)
      // whose accept finds no descriptor is closed without a word, by a reset when it had asked already
      answer = await new Promise<string>((resolve) => {
        socket.once('data', (data) => resolve(String(data)))
        socket.once('close', () => resolve(''))
      })
    } while (answer.startsWith('HTTP/1.1 200 '))
    assert.match(answer, /^(?:HTTP\/1\.1 503 MESH_GATEWAY_NO_DESCRIPTORS |$)/)
    assert.ok(many.length >= 15, `${many.length} tunnels`)
    for (let index = 0; index < 400; index += 1) many.push(dial(egress))
    await waitFor('all descriptors to be taken', async () => {
      const now = (await readdir(`/proc/${pid}/fd`)).length
      return now >= fds + 38
    })
    for (const socket of many) socket.destroy()
    for (const socket of inside) socket.destroy()
    await waitFor('it to serve again', async () =>
      /^HTTP\/1\.1 200 /.test(await ask().catch(() => '')),
    )
    assert.equal(await ready(), '200 200')
    assert.equal(mesh.gateway.pid, pid)
  })

  for (const withoutAudit of ['serve', 'refuse'] as const)
    it(`the disk under the audit log is full, and the gateway is to ${withoutAudit}: as told, until there is room again`, async () => {
      const { mesh, ask, ready, metric } = await open({
        config: { audit: { file: 'audit.link' }, egress: { withoutAudit } },
        prepare: (dir) => symlink('/dev/full', join(dir, 'audit.link')),
      })
      await ask()
      await waitFor('both ports to say so', async () => (await ready()) === '503 503')
      for (let index = 0; index < 20; index += 1)
        assert.equal((await ask()).slice(9, 12), withoutAudit === 'serve' ? '200' : '503')
      const link = join(mesh.dir, 'audit.link')
      await rm(link)
      await writeFile(join(mesh.dir, 'room.jsonl'), '')
      await symlink(join(mesh.dir, 'room.jsonl'), link)
      process.kill(mesh.gateway.pid, 'SIGHUP')
      await waitFor('both ports to be ready', async () => (await ready()) === '200 200')
      assert.equal((await ask()).slice(9, 12), '200')
      assert.equal(await metric('clawmesh_audit_dropped_total'), 0)
    })

  it('DNS is down: 504 for names, addresses go on, and names again when it is back', async () => {
    const records = { addresses: { 'api.test': ['127.0.0.1'] }, services: {}, ttlSeconds: 1 }
    const dns = await createDnsServer({ records })
    const { ask, ready } = await open({
      config: { dns: { servers: [dns.address] }, timeouts: { dnsMs: 1_500 } },
    })
    assert.match(await ask(), /^HTTP\/1\.1 200 /)
    await dns.close()
    // what is remembered ends with its TTL of a second
    await waitFor('names to fail', async () => (await ask()).slice(9, 12) !== '200')
    const answers = await Promise.all(Array.from({ length: 100 }, () => ask()))
    for (const answer of answers) assert.match(answer, /^HTTP\/1\.1 50[24] [\s\S]*"gate":"resolve"/)
    assert.match(await ask('/ok', `127.0.0.1:${port}`), /^HTTP\/1\.1 200 /)
    assert.equal(await ready(), '200 200')
    const again = await createDnsServer({ port: dns.port, records })
    try {
      await waitFor('names again', async () => (await ask()).slice(9, 12) === '200')
    } finally {
      await again.close()
    }
  })

  it('none of its own ports can be reached through it, by any address of the machine in any form', async () => {
    const ports = await freeGatewayPorts()
    const { delegation, egress, admin } = ports
    const numbers = [delegation, egress, admin]
    const addresses = Object.values(networkInterfaces())
      .flat()
      .flatMap((one) => (one === undefined ? [] : [one.address]))
    const v4 = [...addresses.filter((ip) => !ip.includes(':')), '127.0.0.1', '127.9.9.9', '0.0.0.0']
    const v6 = [...addresses.filter((ip) => ip.includes(':')), '::1', '::']
    const translated = v4.map((ip) => `[64:ff9b::${ip}]`)
    const named = [...v4, ...v6.map((ip) => `[${ip}]`), ...translated]
    const hosts = [
      ...named,
      ...v4.map((ip) => `[::ffff:${ip}]`),
      ...['127.1', '0x7f000001', '2130706433', '0'],
    ]
    const single = (ip: string) => `${ip}/${ip.includes(':') ? 128 : 32}`
    const { auth, ask } = await open({
      ports,
      config: {
        delegation: { listen: `0.0.0.0:${delegation}` },
        egress: { listen: `0.0.0.0:${egress}` },
        admin: { listen: `0.0.0.0:${admin}` },
      },
      global: { ports: [...numbers, port], allowCidrs: [...new Set([...v4, ...v6])].map(single) },
      allow: named.flatMap((one) => [...numbers, port].map((number) => `${one}:${number}`)),
    })
    assert.match(await ask('/ok', `127.0.0.1:${port}`), /^HTTP\/1\.1 200 /)
    for (const to of numbers)
      for (const host of hosts) {
        const answer = await exchange(
          egress,
          `CONNECT ${host}:${to} HTTP/1.1\r\nHost: ${host}:${to}\r\n${auth}\r\n`,
        )
        assert.match(answer, /^HTTP\/1\.1 403 MESH_EGRESS_ADDRESS_REFUSED /, `${host}:${to}`)
        assert.match(answer, /"rule":"the gateway itself"/)
      }
  })
})

/** As long as a machine that is busy with other tests may take. */
function waitFor<T>(what: string, look: () => T | Promise<T>) {
  return waitForIt(what, look, { withinMs: 60_000, everyMs: 50 })
}

function misbehave(socket: Socket, text: string): void {
  const [, path] = /^(?:GET|POST) (\/[a-z]+) HTTP/.exec(text) ?? []
  switch (path) {
    case undefined:
      socket.write(text, 'latin1')
      break
    case '/ok':
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      break
    case '/storm':
      socket.write('HTTP/1.1 103 Early\r\nX: y\r\n\r\n'.repeat(10_000))
      break
    case '/endless': {
      const piece = `X: ${'y'.repeat(8_000)}\r\n`
      socket.write('HTTP/1.1 200 OK\r\n')
      const more = () => {
        while (socket.writable && socket.write(piece));
      }
      socket.on('drain', more)
      more()
      break
    }
    case '/garbage':
      socket.write('\0\0\0garbage\r\n\r\n')
      break
    case '/reset':
      socket.resetAndDestroy()
      break
    case '/nothing':
      socket.destroy()
      break
  }
}

function dial(port: number): Socket {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  return socket
}

function request(target: string, host: string, fields: string): string {
  const close = fields.includes('Connection') ? '' : 'Connection: close\r\n'
  return `GET ${target} HTTP/1.1\r\nHost: ${host}\r\n${fields}${close}\r\n`
}

/** Sends, and reads to the end. */
async function exchange(port: number, text: string): Promise<string> {
  const socket = dial(port)
  socket.write(text)
  let answer = ''
  socket.on('data', (data: Buffer) => {
    answer += data.toString('latin1')
  })
  await new Promise((resolve) => socket.on('close', resolve))
  return answer
}
