/** Workers that are killed or stopped: what they had is lost, and nothing else. */
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  isRunning,
  type SeveralWorkers,
  startSeveralWorkers,
  type Tunnel,
} from '../mesh-gateway/workers/several-workers.ts'
import { describeClosing } from '../support/closes-everything.ts'
import { waitFor } from '../support/wait-for.ts'

describeClosing('a worker that dies is replaced', function () {
  this.timeout(60_000)
  let world: SeveralWorkers
  const stopped = new Set<number>()
  beforeEach(async () => {
    world = await startSeveralWorkers()
  })
  afterEach(async () => {
    for (const pid of stopped) if (isRunning(pid)) process.kill(pid, 'SIGKILL')
    stopped.clear()
    await world.close()
  })

  const stop = (pid: number) => {
    stopped.add(pid)
    process.kill(pid, 'SIGSTOP')
  }
  const open = async (count: number) => {
    const tunnels: Tunnel[] = []
    for (let i = 0; i < count; i += 1) tunnels.push(await world.ask('bot'))
    return tunnels
  }
  const bothReady = () =>
    waitFor(
      'two workers',
      async () => {
        const pids = await world.pids()
        return pids.length === 2 && pids
      },
      { withinMs: 50_000 },
    )

  it('by another, while the tunnels of the others live on and the gateway stays ready', async () => {
    const before = await bothReady()
    const tunnels = await open(6)
    const [killed = 0, other = 0] = before
    process.kill(killed, 'SIGKILL')
    await waitFor('the end of its tunnels', () => tunnels.some(({ socket }) => socket.destroyed))
    const alive = tunnels.filter(({ socket }) => !socket.destroyed)
    assert.equal(alive.length, 3)
    for (const tunnel of alive) assert.equal(await tunnel.echoes(), true)
    assert.equal((await world.get('/ready')).status, 200)
    const after = await bothReady()
    assert.ok(after.includes(other) && !after.includes(killed))
    assert.equal(await world.metric('clawmesh_worker_restarts_total'), 1)
    assert.equal(await world.metric('clawmesh_workers', 'state="ready"'), 2)
    const said = world.gateway.lastLines().filter((line) => line.includes('a worker ended'))
    assert.equal(said.length, 1)
    assert.equal(JSON.parse(said[0] ?? '').signal, 'SIGKILL')
    // and takes its part
    for (const tunnel of await open(4)) assert.equal(await tunnel.echoes(), true)
  })

  it('what it had counted stays counted', async () => {
    for (const { socket } of await open(6)) socket.destroy()
    const decided = () => world.metric('clawmesh_decisions_total')
    await waitFor('six decisions', async () => (await decided()) === 6)
    for (let round = 0; round < 3; round += 1) {
      const [killed = 0] = await bothReady()
      process.kill(killed, 'SIGKILL')
      await waitFor('its end', () => !isRunning(killed))
      assert.equal(await decided(), 6)
    }
    await bothReady()
    for (const { socket } of await open(2)) socket.destroy()
    await waitFor('two more', async () => (await decided()) === 8)
  })

  it('all at once: the ports are the same, and it says that it was not ready', async () => {
    const before = await bothReady()
    for (const pid of before) process.kill(pid, 'SIGKILL')
    await waitFor('nobody', async () => {
      const { status, body } = await world.get('/ready')
      return status === 503 && body.includes('no worker is ready')
    })
    await bothReady()
    assert.equal((await world.get('/ready')).status, 200)
    for (const tunnel of await open(4)) assert.equal(await tunnel.echoes(), true)
  })

  it('all at once, and connections that nobody has taken yet are ended, not left hanging', async () => {
    const pids = await bothReady()
    // so that all of them have asked by then
    await world.tokenOf('bot')
    for (const pid of pids) stop(pid)
    const asked = Array.from({ length: 4 }, () => world.ask('bot'))
    // the supervisor has handed out what it could when it answers
    assert.equal(await world.metric('clawmesh_workers', 'state="silent"'), 2)
    for (const pid of pids) process.kill(pid, 'SIGKILL')
    for (const one of asked) assert.equal((await one).status, 0)
    await bothReady()
  })

  it('one that hangs keeps nobody from the others, from the metrics, or from ready', async () => {
    for (const { socket } of await open(4)) socket.destroy()
    await waitFor(
      'four decisions',
      async () => (await world.metric('clawmesh_decisions_total')) === 4,
    )
    const [hanging = 0] = await bothReady()
    stop(hanging)
    assert.equal(await world.metric('clawmesh_workers', 'state="silent"'), 1)
    assert.equal(await world.metric('clawmesh_decisions_total'), 4)
    assert.equal((await world.get('/ready')).status, 200)
    assert.match((await world.get('/')).body, /does not answer, process \d+/)
    // one connection is in its hands; all others go to the one that answers
    const asked = Array.from({ length: 5 }, () => world.ask('bot'))
    let answered = 0
    for (const one of asked) void one.then(({ status }) => (answered += status === 200 ? 1 : 0))
    await waitFor('four tunnels', () => answered === 4)
    // when it dies without having taken it, so does that one
    process.kill(hanging, 'SIGKILL')
    for (const one of asked) assert.equal((await one).status, 200)
    for (const one of asked) assert.equal(await (await one).echoes(), true)
    await bothReady()
  })

  it('by one that starts with the configuration of the others, though the file is broken by now', async () => {
    await world.tokenOf('bot')
    await writeFile(world.gateway.configFile, '{')
    const [killed = 0] = await bothReady()
    process.kill(killed, 'SIGKILL')
    await waitFor('its end', () => !isRunning(killed))
    await bothReady()
    for (const tunnel of await open(4)) assert.equal(await tunnel.echoes(), true)
  })

  it('by none while what it must read is broken: the log says why, the others go on, and it is tried again', async () => {
    const before = await bothReady()
    await world.tokenOf('bot')
    const global = join(world.dir, 'policy', '_global.json')
    const good = await readFile(global)
    await writeFile(global, '{')
    process.kill(before[0] ?? 0, 'SIGKILL')
    const why = await waitFor('the reason', () =>
      world.gateway
        .lastLines()
        .filter((line) => line.includes('a worker ended'))
        .map((line) => JSON.parse(line))
        .find(({ err }) => err !== undefined),
    )
    assert.equal(why.err.code, 'MESH_POLICY_INVALID')
    assert.deepEqual(await world.pids(), [before[1]])
    assert.equal((await world.get('/ready')).status, 200)
    for (const tunnel of await open(4)) assert.equal(await tunnel.echoes(), true)
    await writeFile(global, good)
    await bothReady()
  })

  it('and is started ever later while it keeps dying', async () => {
    const delays = () =>
      world.gateway
        .lastLines()
        .filter((line) => line.includes('a worker ended'))
        .map((line) => Number(JSON.parse(line).againMs))
    for (const known of [1, 2, 3]) {
      const [, second = 0] = await bothReady()
      process.kill(second, 'SIGKILL')
      await waitFor('its end', () => delays().length === known)
    }
    assert.deepEqual(delays(), [100, 200, 400])
  })
})
