/** What was measured of OpenClaw, done to the built plugin by a host that stands in for it. The real one is in test/openclaw. */
import assert from 'node:assert/strict'
import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildPlugin } from '@clawmesh/openclaw-plugin/build'
import { freePort } from '../../scripts/dev/free-ports.ts'
import { type Mesh, startMesh } from '../support/mesh.ts'
import { waitFor } from '../support/wait-for.ts'
import { createStandInOpenClaw, type StandInOpenClaw, textOf } from './stand-in/openclaw.ts'

describe('the OpenClaw plugin lives in its host', function () {
  this.timeout(120_000)
  let mesh: Mesh
  let dir = ''
  const hosts: StandInOpenClaw[] = []
  /** Each task waits here until it is let go. */
  let letGo = Promise.withResolvers<void>()
  const running: string[] = []

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-plugin-'))
    await buildPlugin(join(dir, 'plugin'))
    mesh = await startMesh({
      policy: {
        acme: {
          delegation: { allow: [{ from: '*', to: '*' }] },
          egress: { allow: ['b.example'] },
        },
      },
      config: { tokens: { maxTtlMs: '30m' } },
    })
    await mesh.serve('acme', 'writer', { skills: { echo: (task) => task.text() } })
    await mesh.serve('acme', 'researcher', {
      skills: {
        echo: (task) => task.text(),
        async slow(task, ctx) {
          running.push(task.text())
          await Promise.race([
            letGo.promise,
            new Promise((_, reject) =>
              ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason)),
            ),
          ])
          return `done: ${task.text()}`
        },
      },
    })
  })
  beforeEach(() => {
    letGo = Promise.withResolvers()
  })
  afterEach(async () => {
    for (const host of hosts.splice(0)) await host.stop()
  })
  after(async () => {
    await mesh.close()
    await rm(dir, { recursive: true, force: true })
  })

  async function makeHost(
    more: Readonly<Record<string, unknown>> = {},
    runTurn?: Parameters<typeof createStandInOpenClaw>[0]['runTurn'],
  ): Promise<StandInOpenClaw> {
    const host = createStandInOpenClaw({
      pluginDir: join(dir, 'plugin'),
      dir: await mkdtemp(join(dir, 'host-')),
      pluginConfig: { ...(await settings()), ...more },
      ...(runTurn === undefined ? {} : { runTurn }),
    })
    hosts.push(host)
    return host
  }
  const settings = async () => ({
    gateway: mesh.gateway.delegation,
    egress: `http://${mesh.gateway.egress}`,
    identity: await mesh.identity('acme', 'planner'),
    peers: ['researcher'],
  })
  const delegate = (skill: string, input: string, more: object = {}) => ({
    ...{ peer: 'researcher', skill, input },
    ...more,
  })
  /** What a tool says once the agent has been made, which takes a moment after `start`. */
  const answer = (host: StandInOpenClaw, tool: string, args: unknown) =>
    waitFor('an agent', async () => {
      const said = textOf(await host.call(tool, args))
      return !/not in the mesh/.test(said) && said
    })

  it('as one file without dependencies, which awaits nothing at its top', async () => {
    const manifest = JSON.parse(await readFile(join(dir, 'plugin/package.json'), 'utf8'))
    assert.equal(manifest.dependencies, undefined)
    assert.deepEqual(Object.keys(manifest.peerDependencies), ['openclaw'])
    const files = await readdir(join(dir, 'plugin'))
    assert.deepEqual(
      files.filter((each) => each.endsWith('.js')),
      ['index.js'],
    )
    // require throws ERR_REQUIRE_ASYNC_MODULE otherwise
    const host = await makeHost()
    await host.start()
  })

  it('and its tools work in the copy that runs turns, not in that of the service alone', async () => {
    const host = await makeHost()
    await host.start()
    assert.match(await answer(host, 'mesh_delegate', delegate('echo', 'hello')), /hello/)
    assert.match(textOf(await host.invoke('mesh_delegate', delegate('echo', 'again'))), /again/)
  })

  it('and starts at once while the mesh is away', async () => {
    const host = await makeHost({ gateway: `127.0.0.1:${await freePort()}` })
    await host.start()
    // nothing was waited for: the SDK itself comes afterwards, in a turn of the event loop of its own
    const copies: unknown = Reflect.get(globalThis, Symbol.for('@clawmesh/openclaw-plugin'))
    assert.equal(Object(copies).loaded(), null)
    await waitFor('the SDK', () => Object(copies).loaded() !== null)
  })

  it('and an edit of its configuration ends no task of a peer, and none that it waits for', async () => {
    const host = await makeHost()
    await host.start()
    await answer(host, 'mesh_delegate', delegate('echo', 'hello'))
    const waits = host.call('mesh_delegate', delegate('slow', 'one'))
    await waitFor('the task', () => running.includes('one'))
    await host.reload({ ...(await settings()), peers: ['researcher', 'writer'] })
    letGo.resolve()
    assert.match(textOf(await waits), /done: one/)
    assert.match(await answer(host, 'mesh_delegate', delegate('echo', 'after')), /after/)
    const of = (peer: string) => host.call('mesh_delegate', { peer, skill: 'echo', input: 'x' })
    assert.match(textOf(await of('painter')), /CLAWMESH_PEER_NOT_DECLARED/)
    assert.doesNotMatch(textOf(await of('writer')), /NOT_DECLARED/)
  })

  it('and a task that takes longer than a tool call may goes on, and is found again', async () => {
    const host = await makeHost({ wait: '200ms' })
    await host.start()
    const said = await answer(
      host,
      'mesh_delegate',
      delegate('slow', 'long', { wait_seconds: 3600 }),
    )
    const [, id = ''] = /([0-9a-f]{8}-[0-9a-f-]{27})/.exec(said) ?? []
    assert.notEqual(id, '', said)
    letGo.resolve()
    const result = await waitFor('its result', async () => {
      const found = textOf(await host.call('mesh_task', { action: 'wait', id }))
      return /done: long/.test(found) && found
    })
    assert.match(result, /UNTRUSTED/)
  })

  it('and takes the signal that aborts after a call for no cancel', async () => {
    const host = await makeHost({ wait: '200ms' })
    await host.start()
    await answer(host, 'mesh_delegate', delegate('echo', 'x'))
    const said = textOf(await host.invoke('mesh_delegate', delegate('slow', 'kept')))
    const [, id = ''] = /([0-9a-f]{8}-[0-9a-f-]{27})/.exec(said) ?? []
    letGo.resolve()
    await waitFor('its result', async () =>
      /done: kept/.test(textOf(await host.invoke('mesh_task', { action: 'wait', id }))),
    )
  })

  it('and checks arguments that the host has not checked', async () => {
    const host = await makeHost()
    await host.start()
    await answer(host, 'mesh_peers', {})
    for (const args of [
      { peer: 5, extra: 1 },
      null,
      [],
      'x',
      { peer: 'researcher', skill: 'echo', x: 1 },
    ])
      assert.match(textOf(await host.invoke('mesh_delegate', args)), /TOOL_ARGUMENTS/)
  })

  it('and a configuration that cannot be used is told once, and leaves the last good one in force', async () => {
    const host = await makeHost({ gatway: 'x', peers: 5 })
    await host.start()
    await waitFor('the message', () =>
      host.logged.some((line) => /peers must be a list; gatway/.test(line)),
    )
    assert.match(textOf(await host.call('mesh_peers', {})), /not in the mesh/)
    await host.reload(await settings())
    assert.match(await answer(host, 'mesh_delegate', delegate('echo', 'good')), /good/)
    await host.reload({ ...(await settings()), wait: '2h' })
    assert.match(await answer(host, 'mesh_delegate', delegate('echo', 'still')), /still/)
    assert.ok(
      host.logged.some((line) => /the last good one stays in force: wait must be/.test(line)),
    )
  })

  it('and an identity that is not there yet is told once, and found when it comes', async () => {
    const identity = join(dir, 'later')
    const host = await makeHost({ identity })
    await host.start()
    const said = await waitFor('the refusal', async () => {
      const found = textOf(await host.call('mesh_peers', {}))
      return /MESH_IDENTITY/.test(found) && found
    })
    assert.match(said, /tell your user/)
    assert.doesNotMatch(said, /later|tls\.crt/)
    await cp(await mesh.identity('acme', 'planner'), identity, { recursive: true })
    assert.match(await answer(host, 'mesh_delegate', delegate('echo', 'here')), /here/)
  })

  it('and asks for tokens of the life that the configuration says', async () => {
    const host = await makeHost({ hosts: ['a.example'], token: { ttl: '45m' } })
    await host.start()
    const fetched = () => answer(host, 'mesh_fetch', { url: 'http://a.example/' })
    // the mesh of this test grants half an hour at most, so the answer shows what was asked for
    assert.match(await fetched(), /MESH_TOKEN_REQUEST_INVALID/)
    await host.reload({ ...(await settings()), hosts: ['a.example'], token: { ttl: '20m' } })
    assert.match(await fetched(), /MESH_POLICY_NOT_ALLOWED/)
  })
})
