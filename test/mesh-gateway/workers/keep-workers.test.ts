import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import { silentLog } from '@clawmesh/agent-sdk'
import { MeshError } from '@clawmesh/proto'
import {
  keepWorkers,
  restartDelay,
  type WorkerHooks,
} from '../../../mesh-gateway/src/workers/keep-workers.ts'
import type { Ready } from '../../../mesh-gateway/src/workers/messages.ts'
import type { Ended, WorkerLink } from '../../../mesh-gateway/src/workers/worker-link.ts'
import { waitFor } from '../../support/wait-for.ts'

const ready: Ready = {
  kind: 'ready',
  identity: 'spiffe://mesh.internal/gateway/gw',
  notAfterMs: 0,
  addresses: { egress: { host: '', port: 1 }, delegation: { host: '', port: 2 } },
  names: [],
}

describe('workers that are kept running', () => {
  interface Fake {
    readonly index: number
    readonly hooks: WorkerHooks
    killed: boolean
    connected: boolean
    end(ended: Ended): void
  }
  let made: Fake[]
  let restarts: number
  beforeEach(() => {
    made = []
    restarts = 0
  })
  const keep = (count: number, othersMs?: number) =>
    keepWorkers({
      count,
      log: silentLog,
      onRestart: () => (restarts += 1),
      ...(othersMs === undefined ? {} : { othersMs }),
      fork(index, hooks): WorkerLink {
        const { promise, resolve } = Promise.withResolvers<Ended>()
        const fake: Fake = { index, hooks, killed: false, connected: true, end: resolve }
        made.push(fake)
        return {
          pid: index,
          stdout: null,
          ended: promise,
          connected: () => fake.connected,
          send() {},
          report: async () => null,
          ask: async () => null,
          reload: async () => [],
          kill() {
            fake.killed = true
            resolve({ code: null, signal: 'SIGKILL' })
          },
        }
      },
    })
  const [killed, failed]: readonly Ended[] = [
    { code: null, signal: 'SIGKILL' },
    { code: 1, signal: null },
  ]
  assert.ok(killed !== undefined && failed !== undefined)

  it('are there when all are ready', async () => {
    const keeping = keep(2)
    made[0]?.hooks.onMessage(ready)
    assert.equal(await Promise.race([keeping, turn('not yet')]), 'not yet')
    made[1]?.hooks.onMessage(ready)
    const kept = await keeping
    assert.deepEqual(
      kept.all().map(({ index, state }) => [index, state]),
      [
        [1, 'ready'],
        [2, 'ready'],
      ],
    )
    for (const fake of made) fake.end({ code: 0, signal: null })
    await kept.ended()
    assert.equal(restarts, 0)
  })

  it('are no others to take a connection once their channel is gone, though nobody has told their end', async () => {
    const keeping = keep(2)
    for (const { hooks } of made) hooks.onMessage(ready)
    const kept = await keeping
    const [first, second] = made
    assert.ok(first !== undefined && second !== undefined)
    assert.equal(first.hooks.others(), true)
    second.connected = false
    assert.deepEqual([first.hooks.others(), second.hooks.others()], [false, true])
    for (const fake of made) fake.end(killed)
    await kept.ended()
    assert.equal(first.hooks.others(), false)
  })

  it('do not wait for one that hangs', async () => {
    const keeping = keep(2, 5)
    made[0]?.hooks.onMessage(ready)
    const kept = await keeping
    assert.deepEqual(
      kept.all().map(({ state }) => state),
      ['ready', 'starting'],
    )
    for (const fake of made) fake.end(killed)
    await kept.ended()
  })

  it('end all, and say why, when one says at the start that it cannot', async () => {
    const keeping = keep(3)
    made[0]?.hooks.onMessage(ready)
    const hint = 'change admin.listen'
    made[1]?.hooks.onMessage({ kind: 'failed', code: 'MESH_CONFIG_PORT', message: 'taken', hint })
    made[1]?.end(failed)
    await assert.rejects(
      keeping,
      (error) =>
        error instanceof MeshError &&
        error.code === 'MESH_CONFIG_PORT' &&
        error.message === 'taken' &&
        error.hint === hint,
    )
    assert.deepEqual(
      made.map((fake) => fake.killed),
      [true, false, true],
    )
  })

  it('keep the stack of what is no error of the table, and do not start for ever what ends without a word', async () => {
    for (const said of [true, false]) {
      const keeping = keep(1)
      const fake = made.at(-1)
      if (said)
        fake?.hooks.onMessage({ kind: 'failed', code: null, message: 'Error: x\n  at y', hint: '' })
      fake?.end(failed)
      await assert.rejects(keeping, said ? { stack: 'Error: x\n  at y' } : /before it was ready/)
    }
  })

  it('are started again when they were killed before they were ready', async () => {
    const keeping = keep(1)
    made[0]?.end(killed)
    await waitFor('the next one', () => made.length === 2)
    made[1]?.hooks.onMessage(ready)
    const kept = await keeping
    assert.equal(restarts, 1)
    made[1]?.end(failed)
    await turn()
    assert.equal(kept.all()[0]?.state, 'waiting')
    // none is started any more
    await kept.ended()
    assert.equal(made.length, 2)
  })

  it('wait from 100 ms to 10 s', () => {
    assert.deepEqual(
      [0, 1, 2, 6, 7, 50, 5000].map(restartDelay),
      [100, 200, 400, 6_400, 10_000, 10_000, 10_000],
    )
  })
})
