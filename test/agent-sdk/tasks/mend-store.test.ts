/** A store that fails is looked after until it can be written again. */
import assert from 'node:assert/strict'
import { mock } from 'node:test'
import { createMemoryTaskStore } from '@clawmesh/agent-sdk'
import { MeshError } from '@clawmesh/proto'
import { mendStore } from '../../../agent-sdk/src/tasks/mend-store.ts'

describe('a task store that fails', () => {
  beforeEach(() => mock.timers.enable({ apis: ['setInterval'] }))
  afterEach(() => mock.timers.reset())

  it('is opened again, once a second, and told of at its beginning and its end', () => {
    let failed = false
    let reopens: Error | null = new MeshError('MESH_TASK_STORE_FAILED')
    const heard: string[] = []
    const say = (level: string) => () => void heard.push(level)
    const stop = mendStore({
      store: {
        ...createMemoryTaskStore(),
        failed: () => failed,
        reopen() {
          heard.push('reopen')
          if (reopens !== null) throw reopens
          failed = false
        },
      },
      log: { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') },
      letGo: () => void heard.push('let go'),
      recover: () => void heard.push('recover'),
      onServing: (serving) => void heard.push(`serving ${serving}`),
    })
    mock.timers.tick(5_000)
    assert.equal(heard.length, 0)
    failed = true
    mock.timers.tick(999)
    assert.equal(heard.length, 0)
    mock.timers.tick(1)
    assert.deepEqual(heard.splice(0), ['serving false', 'error', 'let go', 'reopen', 'debug'])
    mock.timers.tick(1_000)
    assert.deepEqual(heard.splice(0), ['let go', 'reopen', 'debug'], 'the error is told once')
    reopens = null
    mock.timers.tick(1_000)
    assert.deepEqual(heard.splice(0), ['let go', 'reopen', 'recover', 'serving true', 'info'])
    mock.timers.tick(1_000)
    assert.equal(heard.length, 0)
    failed = true
    reopens = new TypeError('a fault')
    assert.throws(() => mock.timers.tick(1_000), /a fault/)
    assert.deepEqual(heard.splice(0), ['serving false', 'error', 'let go', 'reopen'])
    stop()
    mock.timers.tick(5_000)
    assert.equal(heard.length, 0)
  })
})
