/**
 * Caller, callee and gateway are processes, killed at random moments and started again. Every task ends with its result or
 * says why not; no event is lost or repeated; nothing that may run once runs twice. CLAWMESH_SEED repeats a run.
 */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { MeshError } from '@clawmesh/proto'
import { type RunningProcess, startProcess } from '../../scripts/dev/child-process.ts'
import { freePort } from '../../scripts/dev/free-ports.ts'
import { type Mesh, startMesh } from '../support/mesh.ts'
import type { GivenTask, WorkerOptions } from '../support/task-worker.ts'
import { waitFor } from '../support/wait-for.ts'

const WORKER = new URL('../support/task-worker.ts', import.meta.url)
const STEPS = 12
const KILLS = 5
const TASKS = 6

interface Line {
  readonly pid: number
  readonly key: string
  readonly id: string
  readonly seq?: number
  readonly kind?: string
  readonly text?: string
  readonly hash?: string
  readonly outcome?: string
  readonly ran?: string
  readonly resumed?: boolean
}

describe('kill -9 loses and repeats nothing', () => {
  const seed = Number(process.env.CLAWMESH_SEED ?? Math.floor(Math.random() * 2 ** 31))
  const random = seeded(seed)
  const workers = new Set<RunningProcess>()
  let mesh: Mesh
  let port = 0

  before(async function () {
    this.timeout(60_000)
    mesh = await startMesh({
      policy: {
        acme: {
          delegation: {
            allow: [
              { from: 'planner', to: 'worker' },
              { from: 'worker', to: 'helper' },
            ],
          },
        },
      },
    })
    port = await freePort()
    mesh.announce('acme', 'worker', port)
  })
  // also of a test that fails: the next one, or its second try, would find the store of tasks in use
  afterEach(() => Promise.all([...workers].map((worker) => killed(worker))))
  after(() => mesh.close())

  const start = async (role: 'callee' | 'caller', tasks: readonly GivenTask[] = []) => {
    const options: WorkerOptions = {
      ...{ role, tasks, gateway: mesh.gateway.delegation },
      identity: await mesh.identity('acme', role === 'callee' ? 'worker' : 'planner'),
      ledger: join(mesh.dir, `${role}.jsonl`),
      listen: `127.0.0.1:${port}`,
      store: join(mesh.dir, 'tasks.db'),
    }
    const said = new Set<unknown>()
    const worker = startProcess({
      ...{ name: role, file: WORKER, args: [JSON.stringify(options)], foreign: true },
      onMessage: (message) => said.add(message),
    })
    workers.add(worker)
    void worker.ended.then(() => workers.delete(worker))
    await Promise.race([
      waitFor(`the ${role}`, () => said.has('ready'), { withinMs: 60_000 }),
      worker.ended.then(() => assert.fail(`the ${role} ended:\n${worker.lastLines().join('\n')}`)),
    ])
    return { worker, done: () => said.has('done') }
  }
  const killed = async ({ pid, ended }: RunningProcess) => {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // it has ended by itself
    }
    await ended
  }
  const read = async (role: string): Promise<Line[]> => {
    const text = await readFile(join(mesh.dir, `${role}.jsonl`), 'utf8').catch(() => '')
    // a kill tears no line: each is one write
    return text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line))
  }

  it('what a killed agent had delegated is orphaned, and its own task reports that it was interrupted', async function () {
    this.timeout(120_000)
    const begun = Promise.withResolvers<void>()
    const ended = Promise.withResolvers<unknown>()
    await mesh.serve('acme', 'helper', {
      orphanGraceMs: 1_000,
      skills: {
        async waits(_task, ctx) {
          begun.resolve()
          ctx.signal.addEventListener('abort', () => ended.resolve(ctx.signal.reason))
          await ended.promise
        },
      },
    })
    const { worker } = await start('callee')
    const planner = await mesh.agent('acme', 'planner')
    const task = planner.delegate('worker', { skill: 'gives' })
    const result = assert.rejects(task.result(), { code: 'MESH_TASK_INTERRUPTED' })
    await begun.promise
    await killed(worker)
    const reason = await ended.promise
    assert.ok(reason instanceof MeshError && reason.code === 'MESH_TASK_ORPHANED')
    const again = await start('callee')
    await result
    await killed(again.worker)
  })

  it(`of caller, callee or gateway, at any moment (seed ${seed})`, async function () {
    this.timeout(240_000)
    const tasks = Array.from({ length: TASKS }, (_, i) => ({
      key: `key-${i}`,
      skill: i % 3 === 0 ? 'once' : 'resumes',
    }))
    let callee = await start('callee')
    let caller = await start('caller', tasks)
    for (let kill = 0; kill < KILLS; kill += 1) {
      // in the middle of what goes on
      const before = (await read('caller')).length
      const goesOn = async () => caller.done() || (await read('caller')).length > before
      await waitFor('something to happen', goesOn, { withinMs: 60_000 })
      await sleep(random() * 400)
      const victim = ['callee', 'callee', 'caller', 'gateway'][Math.floor(random() * 4)]
      if (victim === 'callee') {
        await killed(callee.worker)
        callee = await start('callee')
      } else if (victim === 'caller') {
        await killed(caller.worker)
        caller = await start('caller', tasks)
      } else {
        const { ended, pid } = mesh.gateway
        process.kill(pid, 'SIGKILL')
        await ended
        await mesh.gateway.start()
      }
    }
    await waitFor('every task to end', caller.done, { withinMs: 60_000 })
    const seen = await read('caller')
    const runs = (await read('callee')).filter((line) => line.ran !== undefined)

    for (const { key, skill } of tasks) {
      const mine = seen.filter((line) => line.key === key)
      const outcomes = mine.filter((line) => line.outcome !== undefined)
      const last = outcomes.at(-1)
      // a key leads to one task, however often it is asked for
      assert.equal(new Set(mine.map(({ id }) => id)).size, 1, key)
      assert.ok(last?.outcome === 'completed' || skill === 'once', `${key} ${last?.outcome}`)
      assert.ok(['completed', 'MESH_TASK_INTERRUPTED'].includes(last?.outcome ?? ''), last?.outcome)
      // whoever asks again hears the same
      assert.equal(new Set(outcomes.map(({ outcome, text }) => `${outcome} ${text}`)).size, 1, key)

      const events = mine.filter((line) => line.seq !== undefined)
      const bySeq = new Map<number, string>()
      for (const pid of new Set(events.map((event) => event.pid))) {
        const seqs = events.filter((event) => event.pid === pid).map(({ seq }) => seq)
        assert.deepEqual(
          seqs,
          seqs.map((_, index) => index + 1),
          `${key}: lost or repeated`,
        )
      }
      for (const { seq = 0, hash = '' } of events) {
        assert.equal(bySeq.get(seq) ?? hash, hash, `${key}: event ${seq} is two events`)
        bySeq.set(seq, hash)
      }
      const whole = events.filter(({ pid }) => pid === last?.pid)
      const texts = whole.filter(({ kind }) => kind === 'message').map(({ text }) => text)
      const steps = Array.from({ length: STEPS }, (_, i) => `${key} ${i}`)
      assert.deepEqual(texts, last?.outcome === 'completed' ? steps : steps.slice(0, texts.length))
      if (skill === 'resumes') {
        assert.match(last?.text ?? '', new RegExp(`^[0-9a-f]{64} yes ${key}$`))
        assert.equal(whole.filter(({ kind }) => kind === 'input-required').length, 1, key)
      } else assert.ok(runs.filter(({ ran }) => ran === key).length <= 1, `${key} ran twice`)
    }
  })
})

function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}
