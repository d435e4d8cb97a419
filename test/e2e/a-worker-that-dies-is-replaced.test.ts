/** Workers that are killed or stopped: what they had is lost, and nothing else. */
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { needNodePatches } from '../mesh-gateway/process/need-node-patches.ts'
import {
  isRunning,
  type SeveralWorkers,
  startSeveralWorkers,
  type Tunnel,
} from '../mesh-gateway/workers/several-workers.ts'
import { describeClosing } from '../support/closes-everything.ts'
import { waitFor } from '../support/wait-for.ts'

/** What the log says of the end of a worker. */
interface Death {
  readonly pid: number
  readonly signal: string
  readonly againMs: number
  readonly err?: { readonly code: string }
}

/** Two workers for a whole suite. */
class Workers {
  #world: SeveralWorkers | null = null
  readonly #stopped = new Set<number>()

  get world(): SeveralWorkers {
    assert.ok(this.#world)
    return this.#world
  }

  async start(): Promise<void> {
    this.#world = await startSeveralWorkers()
  }

  stop(pid: number): void {
    this.#stopped.add(pid)
    process.kill(pid, 'SIGSTOP')
  }

  killStopped(): void {
    for (const pid of this.#stopped) if (isRunning(pid)) process.kill(pid, 'SIGKILL')
    this.#stopped.clear()
  }

  async close(): Promise<void> {
    this.killStopped()
    await this.#world?.close()
  }

  async open(count: number): Promise<Tunnel[]> {
    const tunnels: Tunnel[] = []
    for (let i = 0; i < count; i += 1) tunnels.push(await this.world.ask('bot'))
    return tunnels
  }

  bothReady(): Promise<readonly number[]> {
    return waitFor(
      'two workers',
      async () => {
        const pids = await this.world.pids()
        return pids.length === 2 && pids
      },
      { withinMs: 60_000 },
    )
  }

  deaths(): Death[] {
    const lines = this.world.gateway.lastLines()
    return lines.filter((line) => line.includes('a worker ended')).map((line) => JSON.parse(line))
  }
}

describeClosing('a worker that dies is replaced', function () {
  this.timeout(120_000)
  const workers = new Workers()
  before(() => workers.start())
  afterEach(() => workers.killStopped())
  after(() => workers.close())

  it('by another, while the tunnels of the others live on and the gateway stays ready', async () => {
    const before = await workers.bothReady()
    const tunnels = await workers.open(6)
    const [killed = 0, other = 0] = before
    const restarts = await workers.world.metric('clawmesh_worker_restarts_total')
    process.kill(killed, 'SIGKILL')
    await waitFor('the end of its tunnels', () => tunnels.some(({ socket }) => socket.destroyed))
    const alive = tunnels.filter(({ socket }) => !socket.destroyed)
    assert.equal(alive.length, 3)
    for (const tunnel of alive) assert.equal(await tunnel.echoes(), true)
    assert.equal((await workers.world.get('/ready')).status, 200)
    const after = await workers.bothReady()
    assert.ok(after.includes(other) && !after.includes(killed))
    assert.equal(await workers.world.metric('clawmesh_worker_restarts_total'), restarts + 1)
    assert.equal(await workers.world.metric('clawmesh_workers', 'state="ready"'), 2)
    const said = workers.deaths().filter(({ pid }) => pid === killed)
    assert.deepEqual(
      said.map(({ signal }) => signal),
      ['SIGKILL'],
    )
    // and takes its part
    for (const tunnel of await workers.open(4)) assert.equal(await tunnel.echoes(), true)
  })

  it('what it had counted stays counted', async () => {
    await workers.bothReady()
    const decided = () => workers.world.metric('clawmesh_decisions_total')
    const before = await decided()
    for (const { socket } of await workers.open(6)) socket.destroy()
    await waitFor('six decisions', async () => (await decided()) === before + 6)
    for (const which of [0, 1]) {
      const { [which]: killed = 0 } = await workers.bothReady()
      process.kill(killed, 'SIGKILL')
      await waitFor('its end', () => !isRunning(killed))
      assert.equal(await decided(), before + 6)
    }
    await workers.bothReady()
    for (const { socket } of await workers.open(2)) socket.destroy()
    await waitFor('two more', async () => (await decided()) === before + 8)
  })

  it('one that hangs keeps nobody from the others, from the metrics, or from ready', async function () {
    needNodePatches(this)
    const [hanging = 0] = await workers.bothReady()
    const decided = () => workers.world.metric('clawmesh_decisions_total')
    const before = await decided()
    for (const { socket } of await workers.open(4)) socket.destroy()
    await waitFor('four decisions', async () => (await decided()) === before + 4)
    workers.stop(hanging)
    assert.equal(await workers.world.metric('clawmesh_workers', 'state="silent"'), 1)
    assert.equal(await decided(), before + 4)
    assert.equal((await workers.world.get('/ready')).status, 200)
    assert.match((await workers.world.get('/')).body, /does not answer, process \d+/)
    const { decisions, silent_workers: silent } = JSON.parse(
      (await workers.world.get('/api/decisions')).body,
    )
    assert.deepEqual([decisions.length > 0, silent], [true, 1])
    // one connection is in its hands; all others go to the one that answers
    const asked = Array.from({ length: 5 }, () => workers.world.ask('bot'))
    let answered = 0
    for (const one of asked) void one.then(({ status }) => (answered += status === 200 ? 1 : 0))
    await waitFor('four tunnels', () => answered === 4)
    // when it dies without having taken it, so does that one
    process.kill(hanging, 'SIGKILL')
    for (const one of asked) assert.equal((await one).status, 200)
    for (const one of asked) assert.equal(await (await one).echoes(), true)
    await workers.bothReady()
  })

  it('by one that starts with the configuration of the others, though the file is broken by now', async () => {
    await workers.world.tokenOf('bot')
    const [, killed = 0] = await workers.bothReady()
    const good = await readFile(workers.world.gateway.configFile)
    await writeFile(workers.world.gateway.configFile, '{')
    process.kill(killed, 'SIGKILL')
    await waitFor('its end', () => !isRunning(killed))
    await workers.bothReady()
    for (const tunnel of await workers.open(4)) assert.equal(await tunnel.echoes(), true)
    await writeFile(workers.world.gateway.configFile, good)
  })

  it('by none while what it must read is broken: the log says why, the others go on, and it is tried again', async () => {
    const before = await workers.bothReady()
    await workers.world.tokenOf('bot')
    const global = join(workers.world.dir, 'policy', '_global.json')
    const good = await readFile(global)
    await writeFile(global, '{')
    process.kill(before[0] ?? 0, 'SIGKILL')
    const why = await waitFor('the reason', () =>
      workers.deaths().find(({ err }) => err !== undefined),
    )
    assert.equal(why.err?.code, 'MESH_POLICY_INVALID')
    assert.deepEqual(await workers.world.pids(), [before[1]])
    assert.equal((await workers.world.get('/ready')).status, 200)
    for (const tunnel of await workers.open(4)) assert.equal(await tunnel.echoes(), true)
    await writeFile(global, good)
    await workers.bothReady()
  })
})

describeClosing('workers that die together or again and again', function () {
  this.timeout(120_000)
  const workers = new Workers()
  before(() => workers.start())
  afterEach(() => workers.killStopped())
  after(() => workers.close())

  it('and is started ever later while it keeps dying', async () => {
    const delays = () => workers.deaths().map(({ againMs }) => againMs)
    for (const known of [1, 2, 3]) {
      const [, second = 0] = await workers.bothReady()
      process.kill(second, 'SIGKILL')
      await waitFor('its end', () => delays().length === known)
    }
    assert.deepEqual(delays(), [100, 200, 400])
  })

  it('all at once: the ports are the same, and it says that it was not ready', async () => {
    const before = await workers.bothReady()
    for (const pid of before) process.kill(pid, 'SIGKILL')
    await waitFor('nobody', async () => {
      const { status, body } = await workers.world.get('/ready')
      return status === 503 && body.includes('no worker is ready')
    })
    await workers.bothReady()
    assert.equal((await workers.world.get('/ready')).status, 200)
    for (const tunnel of await workers.open(4)) assert.equal(await tunnel.echoes(), true)
  })

  it('all at once, and connections that nobody has taken yet are ended, not left hanging', async function () {
    needNodePatches(this)
    const pids = await workers.bothReady()
    // so that all of them have asked by then
    await workers.world.tokenOf('bot')
    for (const pid of pids) workers.stop(pid)
    const asked = Array.from({ length: 4 }, () => workers.world.ask('bot'))
    // the supervisor has handed out what it could when it answers
    assert.equal(await workers.world.metric('clawmesh_workers', 'state="silent"'), 2)
    for (const pid of pids) process.kill(pid, 'SIGKILL')
    for (const one of asked) assert.equal((await one).status, 0)
    await workers.bothReady()
  })
})
