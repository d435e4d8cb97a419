import assert from 'node:assert/strict'
import { createLanes } from '../../../openclaw-plugin/src/inbound/lanes.ts'

const { signal } = new AbortController()

describe('lanes of turns', () => {
  it('let so many run at once, and the others in order', async () => {
    const lanes = createLanes()
    const done: string[] = []
    const enter = (name: string) =>
      lanes
        .enter('a', () => 2, signal)
        .then((leave) => {
          done.push(name)
          return leave
        })
    const [first, second] = await Promise.all([enter('1'), enter('2')])
    const [third, fourth] = [enter('3'), enter('4')]
    first()
    // a second time changes nothing
    first()
    const leaveThird = await third
    assert.deepEqual(done, ['1', '2', '3'])
    second()
    leaveThird()
    ;(await fourth)()
    assert.deepEqual(done, ['1', '2', '3', '4'])
  })

  it('of other names do not wait for each other', async () => {
    const lanes = createLanes()
    await lanes.enter('a', () => 1, signal)
    await lanes.enter('b', () => 1, signal)
  })

  it('are left by a task that is cancelled while it waits', async () => {
    const lanes = createLanes()
    const leave = await lanes.enter('a', () => 1, signal)
    const gone = new AbortController()
    const waits = lanes.enter('a', () => 1, gone.signal)
    const next = lanes.enter('a', () => 1, signal)
    gone.abort(new Error('cancelled'))
    await assert.rejects(waits, /cancelled/)
    leave()
    ;(await next)()
    await assert.rejects(
      lanes.enter('a', () => 1, gone.signal),
      /cancelled/,
    )
  })

  it('follow a bound that is edited meanwhile', async () => {
    const lanes = createLanes()
    let atOnce = 1
    const leave = await lanes.enter('a', () => atOnce, signal)
    const [second, third] = [
      lanes.enter('a', () => atOnce, signal),
      lanes.enter('a', () => atOnce, signal),
    ]
    atOnce = 2
    leave()
    await Promise.all([second, third])
  })
})
