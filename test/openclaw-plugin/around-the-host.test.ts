/**
 * What goes wrong around an OpenClaw: its clock, its disk, a twin with the same identity. Each time the model gets one sentence, the
 * operator another, no secret is in either, and the host goes on. The hosts are processes that stand in for OpenClaw.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildPlugin } from '@clawmesh/openclaw-plugin/build'
import { MeshError } from '@clawmesh/proto'
import { freePort } from '../../scripts/dev/free-ports.ts'
import { closeServer, listenOnFreePort } from '../support/http-origin.ts'
import { type Mesh, type PolicyFiles, startMesh } from '../support/mesh.ts'
import { waitFor } from '../support/wait-for.ts'
import {
  type HostAnswer,
  type HostProcess,
  type HostProcessOptions,
  startHostProcess,
} from './stand-in/start-host-process.ts'

const FAKETIME = ['x86_64', 'aarch64'].map(
  (machine) => `/usr/lib/${machine}-linux-gnu/faketime/libfaketime.so.1`,
)

/** A user who is not root is root of the namespace alone. */
const ENTER = [...(process.geteuid?.() === 0 ? [] : ['-r']), '-m', 'sh', '-c']
const MOUNT = 'mount -t tmpfs -o size=8m none "$1"'

describe('around an OpenClaw', function () {
  this.timeout(180_000)
  let mesh: Mesh
  let dir = ''
  let page = ''
  let policy: PolicyFiles
  const hosts: HostProcess[] = []
  const origin = createServer((_request, response) => response.end('page'))

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-around-'))
    await buildPlugin(join(dir, 'plugin'))
    const port = await listenOnFreePort(origin)
    page = `http://page.example:${port}/`
    policy = {
      _global: { egress: { allowCidrs: ['127.0.0.0/8'], ports: [port] } },
      acme: {
        delegation: { allow: [{ from: '*', to: '*' }] },
        egress: { allow: [`page.example:${port}`] },
      },
    }
    // the shortest that there is
    mesh = await startMesh({ policy, config: { tokens: { ttlMs: '1m' } } })
    mesh.addHost('page.example', ['127.0.0.1'])
    await mesh.serve('acme', 'writer', {
      skills: {
        echo: (task) => task.text(),
        async files(_task, ctx) {
          await ctx.artifact('big.bin', Buffer.alloc(3_000_000), { mediaType: 'application/x' })
          return 'here it is'
        },
      },
    })
  })
  afterEach(async () => {
    for (const host of hosts.splice(0)) await host.stop()
  })
  after(async () => {
    await mesh.close()
    await closeServer(origin)
    await rm(dir, { recursive: true, force: true })
  })

  async function start(
    more: Partial<HostProcessOptions> = {},
    config: object = {},
  ): Promise<HostProcess> {
    const host = await startHostProcess({
      ...{ pluginDir: join(dir, 'plugin'), dir: await mkdtemp(join(dir, 'host-')) },
      ...more,
      pluginConfig: {
        ...{ gateway: mesh.gateway.delegation, egress: `http://${mesh.gateway.egress}` },
        ...{ identity: await mesh.identity('acme', 'bot'), peers: ['writer', 'bot'] },
        ...{ hosts: ['page.example'], ...config },
      },
    })
    hosts.push(host)
    return host
  }
  const up = ({ text }: HostAnswer) => !/MESH_GATEWAY_STARTING/.test(text)
  const echo = { peer: 'writer', skill: 'echo', input: 'hello' }

  /** One sentence with a code for the model, one line with what to do for the operator, and no secret in either. */
  async function told({ text, logged }: HostAnswer, model: RegExp, operator: RegExp) {
    assert.match(text, model)
    const line = logged.findLast((each) => operator.test(each))
    assert.ok(line !== undefined, logged.join('\n'))
    const key = await readFile(join(await mesh.identity('acme', 'bot'), 'tls.key'), 'utf8')
    for (const said of [text, ...logged]) {
      assert.ok(!said.includes(key.split('\n')[1] ?? ''), 'a key')
      assert.doesNotMatch(said, /eyJ|PRIVATE|\n\s+at /)
    }
    assert.doesNotMatch(text, /\/tmp\/|openclaw\.json|mesh-pki/)
  }

  /** An environment whose clock is off; null, and a skip, where that cannot be had. */
  function clockOf(context: Mocha.Context, offset: string) {
    const preload = FAKETIME.find((file) => existsSync(file))
    if (preload !== undefined)
      return { LD_PRELOAD: preload, FAKETIME: offset, FAKETIME_DONT_FAKE_MONOTONIC: '1' }
    if (process.env.CI === 'true') throw new Error('CI has to install libfaketime')
    process.stderr.write('skipped: there is no libfaketime on this machine\n')
    return context.skip()
  }

  it('a clock that is 5 minutes behind: its own certificate is not good yet', async function () {
    const host = await start({ env: clockOf(this, '-5m') })
    await told(
      await host.callUntil('mesh_delegate', echo, up),
      /^MESH_IDENTITY_NOT_YET_VALID: this agent is not in the mesh\. .*tell your user/,
      /valid from .*hint=check the clocks of both machines/,
    )
    assert.match((await host.call('mesh_peers', {})).text, /^MESH_IDENTITY_NOT_YET_VALID/)
    assert.equal(host.ended, false)
  })

  it('a clock that is 5 minutes ahead: tokens of a minute have ended as they come, and all works', async function () {
    const host = await start({ env: clockOf(this, '+5m') })
    const first = await host.callUntil('mesh_delegate', echo, up)
    assert.equal(first.details.clawmesh?.output, 'hello', first.text)
    for (const call of [1, 2])
      assert.match((await host.call('mesh_fetch', { url: page })).text, /200, 4 bytes/, `${call}`)
  })

  it('a gateway whose clock is 5 minutes ahead: all works', async function () {
    const ahead = await startMesh({
      ...{ policy, config: { tokens: { ttlMs: '1m' } }, env: clockOf(this, '+5m') },
    })
    try {
      ahead.addHost('page.example', ['127.0.0.1'])
      await ahead.serve('acme', 'writer', { skills: { echo: (task) => task.text() } })
      const host = await start(
        {},
        {
          ...{ gateway: ahead.gateway.delegation, egress: `http://${ahead.gateway.egress}` },
          identity: await ahead.identity('acme', 'bot'),
        },
      )
      const first = await host.callUntil('mesh_delegate', echo, up)
      assert.equal(first.details.clawmesh?.output, 'hello', first.text)
      const { text } = await host.call('mesh_fetch', { url: page })
      assert.match(text, /200, 4 bytes/)
    } finally {
      for (const host of hosts.splice(0)) await host.stop()
      await ahead.close()
    }
  })

  it('a disk that is full', async function () {
    const place = await mkdtemp(join(dir, 'disk-'))
    try {
      execFileSync('unshare', [...ENTER, MOUNT, 'sh', place], { stdio: 'pipe' })
    } catch (cause) {
      if (process.env.CI === 'true') throw new Error('CI has to let tests mount a disk', { cause })
      process.stderr.write('skipped: this machine mounts no disk for a test (unshare -m)\n')
      return this.skip()
    }
    const port = await freePort()
    mesh.announce('acme', 'bot', port)
    const before = ['unshare', ...ENTER, `${MOUNT} && shift && exec "$@"`, 'sh', place]
    const serve = { ask: { callers: ['planner'] } }
    const listen = `127.0.0.1:${port}`
    const host = await start({ dir: place, before }, { listen, serve })
    const planner = await mesh.agent('acme', 'planner', { patience: { startGiveUpMs: 1_000 } })
    const ask = async () => {
      const { result } = planner.delegate('bot', { skill: 'ask', input: 'x' })
      return result().then(
        (done) => done.text(),
        (error: unknown) => (error instanceof MeshError ? error.code : String(error)),
      )
    }
    await host.callUntil('mesh_delegate', echo, up)
    await waitFor('the served skill', async () => (await ask()) === 'said: x')
    const full = join(place, 'full')
    await host.call('fill', { file: full })
    const files = { peer: 'writer', skill: 'files' }
    const answer = await host.call('mesh_delegate', files)
    assert.equal(answer.details.clawmesh?.output, 'here it is')
    await told(
      answer,
      /One file is not kept: MESH_DISK_WRITE\./,
      /a file was not kept: cannot write .*\(ENOSPC\).*check free space/,
    )
    await told(answer, /completed/, /the register of tasks cannot be written .*ENOSPC/)
    assert.match(
      (await host.call('mesh_task', { action: 'list' })).text,
      /completed writer\S+ files/,
    )
    await waitFor('the refusal of a task', async () => (await ask()) === 'MESH_TASK_STORE_FAILED')
    await told(await host.call('mesh_peers', {}), /./, /the task store cannot be written: no task/)

    await host.call('free', { file: full })
    await waitFor('tasks again', async () => (await ask()) === 'said: x')
    const kept = await host.call('mesh_delegate', files)
    assert.match(kept.text, /One file is in mesh-results\//)
  })

  it('a twin with the same identity and the same port', async () => {
    const port = await freePort()
    const config = { listen: `127.0.0.1:${port}`, serve: { ask: { callers: ['twin-caller'] } } }
    mesh.announce('acme', 'twin', port)
    const identity = await mesh.identity('acme', 'twin')
    const first = await start({}, { ...config, identity })
    await first.callUntil('mesh_delegate', echo, up)
    const caller = await mesh.agent('acme', 'twin-caller')
    const ask = async () => {
      const { result } = caller.delegate('twin', { skill: 'ask', input: 'which?' })
      return (await result()).text()
    }
    assert.equal(await ask(), 'said: which?')
    const second = await start({}, { ...config, identity })
    const answer = await second.callUntil('mesh_delegate', echo, up)
    assert.equal(answer.details.clawmesh?.output, 'hello', answer.text)
    const told2 = await second.callUntil('mesh_peers', {}, ({ logged }) =>
      logged.some((line) => /what peers are served could not be changed/.test(line)),
    )
    await told(told2, /./, /MESH_CONFIG_PORT: cannot listen on 127\.0\.0\.1:\d+; change `listen`/)
    // what one of them has delegated is the same agent's, and not the other's conversation
    const id = answer.details.clawmesh?.id
    const foreign = await first.call('mesh_task', { action: 'status', id, peer: 'writer' })
    assert.match(foreign.text, /^MESH_TASK_NOT_FOUND/)
    assert.equal(await ask(), 'said: which?')
    assert.equal((await first.call('mesh_delegate', echo)).details.clawmesh?.output, 'hello')
    assert.equal((await second.call('mesh_delegate', echo)).details.clawmesh?.output, 'hello')
  })
})
