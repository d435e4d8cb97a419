/** The secret of a relay: how it is kept, and who gets to know it. */
import assert from 'node:assert/strict'
import {
  chmod,
  link,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { Worker } from 'node:worker_threads'
import { createAgent, silentLog } from '@clawmesh/agent-sdk'
import { askRelay, openRelaySecret, readRelaySecret } from '@clawmesh/agent-sdk/mesh'
import { type ErrorCode, MeshError, Secret } from '@clawmesh/proto'
import { createEgressRelay } from '../../../../agent-sdk/src/egress/relay/egress-relay.ts'
import { freePorts } from '../../../../scripts/dev/free-ports.ts'
import { refusalOf, sendRaw, startUpstream } from '../../../mesh-gateway/egress/fixture.ts'
import { connectTo, get, setUp } from '../../../mesh-gateway/egress/setup.ts'
import { makeTestCa } from '../../../support/test-ca.ts'
import { ABOUT, basicOf, fixedTokens, startRelay } from './relay-world.ts'

const SWAP = `
const { linkSync, renameSync } = require('node:fs')
const { file, mine, open } = require('node:worker_threads').workerData
for (let turn = 0; ; turn += 1) {
  linkSync(turn % 2 === 0 ? open : mine, file + '.next')
  renameSync(file + '.next', file)
}`

describe('the secret of a relay', () => {
  const setup = setUp()
  let dir: string
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-secret-'))
  })
  afterEach(async () => {
    await setup.close()
    await rm(dir, { recursive: true })
  })

  it('is made once, in a file and a directory that only this user can use', async () => {
    const file = join(dir, 'deep', 'relay.secret')
    const secrets = await Promise.all(Array.from({ length: 8 }, () => openRelaySecret(file)))
    assert.equal(new Set(secrets.map((secret) => secret.reveal())).size, 1)
    assert.equal(secrets[0]?.reveal().length, 43)
    assert.equal((await stat(file)).mode & 0o777, 0o600)
    assert.equal((await stat(join(dir, 'deep'))).mode & 0o777, 0o700)
    assert.deepEqual(await readdir(join(dir, 'deep')), ['relay.secret'])
    assert.equal((await readRelaySecret(file)).reveal(), secrets[0]?.reveal())
    assert.equal(inspect(secrets[0]).includes(secrets[0]?.reveal() ?? ''), false)
  })

  const spoilt: Record<string, (file: string) => Promise<unknown>> = {
    'that is empty': (file) => writeFile(file, '', { mode: 0o600 }),
    'that is torn': (file) => writeFile(file, 'abc', { mode: 0o600 }),
    'of something else': (file) => writeFile(file, `${'x y '.repeat(20)}\n`, { mode: 0o600 }),
    'of any size': (file) => writeFile(file, 'x'.repeat(100_000), { mode: 0o600 }),
    'that is a directory': (file) => mkdir(file, { mode: 0o700 }),
    'that its group can read': async (file) => {
      await openRelaySecret(file)
      await chmod(file, 0o640)
    },
    'that all can read': async (file) => {
      await openRelaySecret(file)
      await chmod(file, 0o604)
    },
  }
  for (const [what, spoil] of Object.entries(spoilt))
    it(`is refused in a file ${what}, which stays as it is`, async () => {
      const file = join(dir, 'relay.secret')
      await spoil(file)
      const before = await readFile(file).catch(() => null)
      for (const open of [openRelaySecret, readRelaySecret])
        await assert.rejects(open(file), refused('MESH_RELAY_SECRET', file))
      assert.deepEqual(await readFile(file).catch(() => null), before)
    })

  it('is judged as it is read, also while another file takes its name', async () => {
    const file = join(dir, 'relay.secret')
    const [mine, open] = [join(dir, 'mine'), join(dir, 'open')]
    await writeFile(mine, 'm'.repeat(43), { mode: 0o600 })
    await writeFile(open, 'o'.repeat(43))
    await chmod(open, 0o644)
    await link(mine, file)
    // renames as fast as it can, until it is told to end
    const swap = new Worker(SWAP, { eval: true, workerData: { file, mine, open } })
    const seen = new Set<string>()
    try {
      // until the thread has begun, too: on a fast machine it begins after some thousand reads
      for (let read = 0; read < 500 || (seen.size < 2 && read < 1_000_000); read += 1) {
        const secret = await readRelaySecret(file).catch((error: unknown) => error)
        seen.add(secret instanceof Secret ? secret.reveal().slice(0, 1) : 'refused')
      }
    } finally {
      await swap.terminate()
    }
    assert.deepEqual([...seen].sort(), ['m', 'refused'])
  })

  it('says so when there is none, and when none can be written', async () => {
    await assert.rejects(readRelaySecret(join(dir, 'none')), refused('MESH_RELAY_SECRET', dir))
    await writeFile(join(dir, 'file'), '')
    await assert.rejects(
      openRelaySecret(join(dir, 'file', 'below')),
      (error: unknown) => error instanceof MeshError && error.message.includes('ENOTDIR'),
    )
  })

  it('opens the relay; without it, or with another, nothing leaves', async () => {
    const upstream = await startUpstream((socket) => socket.end('HTTP/1.1 204 No Content\r\n\r\n'))
    setup.closing.push(upstream.close)
    const world = await startRelay({ gateway: upstream.port })
    setup.closing.push(world.close)
    const { secret, port } = world
    const bearer = `Proxy-Authorization: Bearer ${secret}\r\n`
    const colonless = `Proxy-Authorization: Basic ${Buffer.from(secret).toString('base64')}\r\n`
    for (const credential of [
      '',
      basicOf(''),
      basicOf(`${secret}x`),
      basicOf(secret.slice(1)),
      bearer,
      colonless,
    ])
      for (const request of [get(80, credential), connectTo(443, credential)]) {
        const answer = await sendRaw(port, request)
        assert.match(answer, /^HTTP\/1\.1 407 /)
        assert.match(answer, /\r\nproxy-authenticate: Basic realm="clawmesh relay"\r\n/)
        assert.equal(refusalOf(answer).code, 'MESH_RELAY_CREDENTIAL')
        assert.equal(answer.includes(secret), false)
      }
    assert.equal(upstream.connections.length, 0)
    assert.match(await sendRaw(port, get(80, basicOf(secret))), /^HTTP\/1\.1 204 /)
    assert.equal(world.logged().includes(secret), false)
    assert.equal(world.logged().includes('a-token'), false)
  })

  it('proves a relay to a program that has it, and is shown to nobody for that', async () => {
    const world = await startRelay({ gateway: 1 })
    setup.closing.push(world.close)
    const secret = await readRelaySecret(world.secretFile)
    const at = { host: '127.0.0.1', port: world.port }
    await sendRaw(world.port, get(80, ''))
    await sendRaw(world.port, get(80, world.credential))
    const found = await askRelay(at, secret)
    assert.equal(found.kind, 'relay')
    const status = found.kind === 'relay' ? found.status : null
    assert.deepEqual(
      [status?.agent, status?.gateway, status?.egress, status?.pid, status?.denied],
      [ABOUT.agent, ABOUT.gateway, 'http://127.0.0.1:1', process.pid, 1],
    )
    assert.equal(status?.fault?.code, 'MESH_GATEWAY_UNREACHABLE')
    assert.equal((await askRelay(at, new Secret('another'))).kind, 'stranger')

    const heard: string[] = []
    // it says back what it was told, and a status of its own making
    const stranger = createServer((socket) =>
      socket.on('data', (chunk) => {
        heard.push(chunk.toString('latin1'))
        socket.end(
          `HTTP/1.1 200 OK\r\nclawmesh-relay-proof: ${'0'.repeat(64)}\r\n\r\n{"agent":"me"}`,
        )
      }),
    )
    const mute = createServer((socket) => void socket.resume())
    for (const server of [stranger, mute])
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const portOf = (server: typeof mute) => {
      const bound = server.address()
      return typeof bound === 'object' ? (bound?.port ?? 0) : 0
    }
    const ask = (port: number) => askRelay({ host: '127.0.0.1', port }, secret, 500)
    assert.equal((await ask(portOf(stranger))).kind, 'stranger')
    assert.equal(heard.join().includes(secret.reveal()), false)
    assert.equal((await ask(portOf(mute))).kind, 'silent')
    for (const server of [stranger, mute]) server.close()
    const [free = 0] = await freePorts(1)
    assert.equal((await ask(free)).kind, 'nobody')
  })

  it('is for this machine: other addresses are refused unless they are allowed, and so is a port in use', async () => {
    const world = await startRelay({ gateway: 1 })
    setup.closing.push(world.close)
    const parts = {
      ...{ port: new URL('http://127.0.0.1:1'), dialer: null, tokens: fixedTokens(), about: ABOUT },
      ...{ log: silentLog, now: Date.now },
    }
    const open = (options: object) =>
      createEgressRelay({ listen: '127.0.0.1:0', secretFile: world.secretFile, ...options }, parts)
    for (const listen of ['0.0.0.0:0', '[::]:0', '10.0.0.1:0', 'relay.example:0', '128.0.0.1:0'])
      await assert.rejects(open({ listen }), /TypeError: listen: must be an address of loopback/)
    await assert.rejects(open({ listen: '7080' }), /TypeError: listen: must be host:port/)
    await assert.rejects(open({ secretFile: '' }), /TypeError: secretFile/)
    await assert.rejects(open({ secretfile: 'x' }), /did you mean secretFile/)
    await assert.rejects(
      open({ listen: `127.0.0.1:${world.port}` }),
      (error: unknown) => error instanceof MeshError && error.code === 'MESH_CONFIG_PORT',
    )
    const open2 = await open({ listen: '0.0.0.0:0', allowOtherMachines: true })
    await open2.close()
  })

  it('is of no use to an agent without an egress port', async () => {
    const ca = await makeTestCa()
    setup.closing.push(ca.close)
    const identity = await ca.agentDir({ tenant: 'acme', agent: 'bot-01' })
    const agent = await createAgent({ gateway: '127.0.0.1:1', identity, log: silentLog })
    setup.closing.push(agent.close)
    const secretFile = join(dir, 'relay.secret')
    await assert.rejects(
      agent.egressRelay({ listen: '127.0.0.1:0', secretFile }),
      /TypeError: egress: createAgent was given no egress port/,
    )
  })
})

function refused(code: ErrorCode, says: string) {
  return (error: unknown) => {
    assert.ok(error instanceof MeshError)
    assert.equal(error.code, code)
    assert.ok(error.message.includes(says), error.message)
    return true
  }
}
