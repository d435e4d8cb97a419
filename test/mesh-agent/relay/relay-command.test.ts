/** The command `mesh-agent relay`, and a host that keeps one running: starts, ends, kills, and who gets the port. */
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { createServer as createTcpServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { keepRelay } from '@clawmesh/agent/relay'
import { silentLog } from '@clawmesh/agent-sdk'
import { refusalOf, sendRaw } from '../../mesh-gateway/egress/fixture.ts'
import { connectTo, get } from '../../mesh-gateway/egress/setup.ts'
import { closeServer, listenOnFreePort } from '../../support/http-origin.ts'
import { type Mesh, startMesh } from '../../support/mesh.ts'
import { needProgram } from '../../support/need-program.ts'
import { waitFor } from '../../support/wait-for.ts'
import {
  bundledCommand,
  credentialIn,
  isAlive,
  placeFor,
  type RelayProcess,
  secretIn,
  startRelayProcess,
} from './relay-process.ts'

const run = promisify(execFile)

describe('mesh-agent relay', function () {
  this.timeout(240_000)
  let mesh: Mesh
  let origin: Server
  let port: number
  let command: string
  const started: RelayProcess[] = []

  before(async () => {
    origin = createServer((request, response) => response.end(`fine ${request.url}`))
    port = await listenOnFreePort(origin)
    mesh = await startMesh({
      policy: {
        _global: { egress: { allowCidrs: ['127.0.0.0/8'], ports: [port, 443] } },
        acme: { egress: { allow: [`api.test:${port}`] } },
      },
    })
    mesh.addHost('api.test', ['127.0.0.1'])
    command = await bundledCommand(mesh.dir)
  })
  afterEach(async () => {
    for (const { child, ended } of started.splice(0)) {
      child.kill('SIGKILL')
      await ended
    }
  })
  after(async () => {
    await mesh.close()
    await closeServer(origin)
  })

  const start = (flags: readonly string[]) => {
    const relay = startRelayProcess(command, flags)
    started.push(relay)
    return relay
  }

  it('carries what it is given, never prints its secret, and drains on SIGTERM', async () => {
    const place = await placeFor(mesh)
    const relay = start(place.flags)
    const { agent, pid } = await relay.event('listening')
    assert.equal(agent, 'spiffe://mesh.internal/tenant/acme/agent/bot-01')
    assert.equal(pid, relay.pid)
    const credential = await credentialIn(place.secretFile)
    assert.match(
      await sendRaw(place.port, get(port, credential)),
      /^HTTP\/1\.1 200 [\s\S]*fine \/$/,
    )
    const refused = await sendRaw(place.port, connectTo(443, credential, 'other.test'))
    assert.match(refused, /^HTTP\/1\.1 403 MESH_/)
    relay.child.kill('SIGTERM')
    assert.deepEqual(await relay.ended, { code: 0, signal: null })
    assert.equal(relay.output().includes(await secretIn(place.secretFile)), false)
  })

  it('is a proxy for curl, which shows the words of a refusal', async function () {
    needProgram(this, 'curl')
    const place = await placeFor(mesh)
    await start(place.flags).event('listening')
    const config = join(mesh.dir, 'curl.conf')
    await writeFile(config, `proxy-user = "openclaw:${await secretIn(place.secretFile)}"\n`)
    const curl = (url: string) =>
      run('curl', ['-sS', '-v', '-K', config, '-x', `http://${place.listen}`, url]).catch(
        (error) => error,
      )
    const { stdout } = await curl(`http://api.test:${port}/here`)
    assert.equal(stdout, 'fine /here')
    const { stderr } = await curl('https://other.test/')
    assert.match(stderr, /403 MESH_[A-Z_]+ .*other\.test/)
    await mesh.gateway.stop()
    try {
      const away = await curl('https://api.test/')
      assert.match(away.stderr, /502 MESH_GATEWAY_UNREACHABLE /)
    } finally {
      await mesh.gateway.start()
    }
  })

  it('starts while the gateway is away, says so to clients, and serves when it is there', async () => {
    const place = await placeFor(mesh)
    await mesh.gateway.stop()
    try {
      const relay = start(place.flags)
      await relay.event('listening')
      const credential = await credentialIn(place.secretFile)
      const away = await sendRaw(place.port, get(port, credential))
      assert.match(away, /^HTTP\/1\.1 502 /)
      assert.equal(refusalOf(away).code, 'MESH_GATEWAY_UNREACHABLE')
      assert.match(relay.output(), /the relay cannot serve/)
    } finally {
      await mesh.gateway.start()
    }
    const credential = await credentialIn(place.secretFile)
    await waitFor('an answer', async () =>
      (await sendRaw(place.port, get(port, credential))).startsWith('HTTP/1.1 200 '),
    )
  })

  it('a second one finds the first, says so and ends; the first goes on', async () => {
    const place = await placeFor(mesh)
    const first = start(place.flags)
    await first.event('listening')
    const second = start(place.flags)
    assert.deepEqual(await second.ended, { code: 0, signal: null })
    assert.equal((await second.event('running')).pid, first.pid)
    assert.match(
      await sendRaw(place.port, get(port, await credentialIn(place.secretFile))),
      /^HTTP\/1\.1 200 /,
    )
  })

  it('does not share a port with a relay of another agent, with another secret, or with another program', async () => {
    const place = await placeFor(mesh)
    const other = await placeFor(mesh, 'bot-02')
    await start(place.flags).event('listening')
    const same = (flags: readonly string[], secretFile: string) =>
      flags.map((flag) =>
        flag === other.listen ? place.listen : flag === other.secretFile ? secretFile : flag,
      )
    const ofAnother = start(same(other.flags, place.secretFile))
    assert.equal((await ofAnother.ended).code, 1)
    assert.match(
      ofAnother.output(),
      /a relay of spiffe:\S+bot-01 to http:\S+ has the port \(process \d+\)/,
    )
    const withAnother = start(same(other.flags, other.secretFile))
    assert.equal((await withAnother.ended).code, 1)
    assert.match(
      withAnother.output(),
      /another program has the port, or a relay with another secret file/,
    )
    const stranger = createTcpServer((socket) =>
      socket
        .on('error', () => {})
        .resume()
        .end('no'),
    )
    const strange = await listenOnFreePort(stranger)
    const beside = start(
      place.flags.map((flag) => (flag === place.listen ? `127.0.0.1:${strange}` : flag)),
    )
    assert.equal((await beside.ended).code, 1)
    assert.match(beside.output(), /hint: stop it, or choose another port/)
    stranger.close()
  })

  it('says what is wrong with an identity or a secret file, and ends', async () => {
    const place = await placeFor(mesh)
    const without = start(
      place.flags.map((flag) => (flag.startsWith(`${mesh.dir}/agents`) ? '/nonexistent' : flag)),
    )
    assert.equal((await without.ended).code, 1)
    assert.match(without.output(), /hint: /)
    const file = join(mesh.dir, 'torn.secret')
    await writeFile(file, 'torn', { mode: 0o600 })
    const torn = start(place.flags.map((flag) => (flag === place.secretFile ? file : flag)))
    assert.equal((await torn.ended).code, 1)
    assert.match(torn.output(), /it holds something else\nmesh-agent: hint: /)
  })

  it('ends with the program that holds its stdin, and one that stands by takes over at once', async () => {
    const place = await placeFor(mesh)
    const first = start([...place.flags, '--until-stdin-ends'])
    await first.event('listening')
    const second = start([...place.flags, '--until-stdin-ends'])
    assert.equal((await second.event('standing-by')).pid, first.pid)
    first.child.stdin?.end()
    assert.deepEqual(await first.ended, { code: 0, signal: null })
    assert.equal((await second.event('listening')).pid, second.pid)
    assert.match(
      await sendRaw(place.port, get(port, await credentialIn(place.secretFile))),
      /^HTTP\/1\.1 200 /,
    )
    second.child.stdin?.end()
    assert.deepEqual(await second.ended, { code: 0, signal: null })
  })

  describe('kept by a host', () => {
    const optionsFor = async () => {
      const { listen, secretFile } = await placeFor(mesh)
      return {
        ...{ listen, secretFile, gateway: mesh.gateway.delegation },
        egress: `http://${mesh.gateway.egress}`,
        identity: await mesh.identity('acme', 'bot-01'),
        command: [process.execPath, command, 'relay'] as const,
      }
    }

    it('is started again when it is killed, and ends when it is told to', async () => {
      const kept = keepRelay({ ...(await optionsFor()), env: process.env, log: silentLog })
      const { pid, event } = await kept.serving
      assert.equal(event, 'listening')
      process.kill(pid, 'SIGKILL')
      const next = await waitFor('the next one', () =>
        kept.state?.pid !== pid ? kept.state : null,
      )
      assert.equal(next.event, 'listening')
      await kept.close()
      assert.equal(isAlive(next.pid), false)
      assert.equal(kept.state, null)
    })

    it('ends with a host that is killed', async () => {
      const keeper = fileURLToPath(new URL('./keeper.ts', import.meta.url))
      const options = JSON.stringify(await optionsFor())
      const host = spawn(process.execPath, [keeper, options], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      const [line] = await once(host.stdout, 'data')
      const pid = Number(String(line))
      assert.ok(isAlive(pid))
      host.kill('SIGKILL')
      await waitFor('the end of the relay', () => !isAlive(pid))
    })
  })
})
