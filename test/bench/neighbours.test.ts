import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { besideOthers, calmest, parseBusy } from '../../bench/measure/neighbours.ts'
import { needProgram } from '../support/need-program.ts'

const STAT = `cpu  9 9 9 9 9 9 9 9 0 0
cpu0 1 1 1 1000 1000 1 1 1 0 0
cpu1 100 20 30 5000 600 4 5 6 0 0
cpu11 7 7 7 7 7 7 7 7 0 0
`

describe('what others do on the core of the process under test', () => {
  it('is read from the line of the core: all but idling and waiting for disks', () => {
    assert.equal(parseBusy(STAT, 1), 165 * 10_000_000)
    assert.ok(Number.isNaN(parseBusy(STAT, 2)))
  })

  it('does not count what the process itself does', async function () {
    if (process.platform !== 'linux') this.skip()
    needProgram(this, 'taskset')
    const spin = spawn('taskset', ['-c', '0', process.execPath, '-e', 'for (;;);'])
    try {
      const pids = [spin.pid ?? 0]
      const seen = () => besideOthers(0, pids, () => sleep(300))
      const { others: own } = await seen()
      const { others: foreign } = await besideOthers(0, [], () => sleep(300))
      assert.ok(own >= 0 && foreign > own, `${own} and ${foreign}`)
    } finally {
      spin.kill('SIGKILL')
    }
  })

  it('is nobody’s to say when nothing is pinned', async () => {
    const { value, others } = await besideOthers(null, [], async () => 7)
    assert.equal(value, 7)
    assert.ok(Number.isNaN(others))
  })

  const measuring = (...seen: number[]) => {
    const left = [...seen]
    return { left, measure: async () => ({ value: left[0], others: left.shift() ?? 1 }) }
  }
  const options = { tries: 3, others: 0.15 }

  it('has it measured again until it is calm, and no further', async () => {
    const { left, measure } = measuring(0.5, 0.1, 0)
    assert.equal((await calmest(measure, options)).others, 0.1)
    assert.equal(left.length, 1)
  })

  it('leaves the calmest when it never is, and the first when nobody can say', async () => {
    assert.equal((await calmest(measuring(0.5, 0.3, 0.4, 0).measure, options)).others, 0.3)
    const { left, measure } = measuring(Number.NaN, 0)
    assert.ok(Number.isNaN((await calmest(measure, options)).others))
    assert.equal(left.length, 1)
  })
})
