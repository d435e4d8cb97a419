import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import { MeshError } from '@clawmesh/proto'
import {
  createLimitsClient,
  type LimitsClient,
} from '../../../mesh-gateway/src/limits/limits-client.ts'
import {
  createLimitsServer,
  type LimitsServer,
  type Question,
} from '../../../mesh-gateway/src/limits/limits-server.ts'
import { countHere } from '../../../mesh-gateway/src/limits/open-limits.ts'

const isUnavailable = (error: unknown) =>
  error instanceof MeshError && error.code === 'MESH_LIMIT_UNAVAILABLE'

describe('limits that another process counts', () => {
  const counting = countHere({ maxTrees: 1_000, delegationTtlMs: () => 60_000 })
  let messages: (readonly Question[])[]

  /** One who asks, and one who answers him; `hold` keeps the answers back. */
  function pair(options: { timeoutMs?: number; maxWaiting?: number; hold?: boolean } = {}) {
    const answering: LimitsServer = createLimitsServer(counting)
    const held: (() => Promise<void>)[] = []
    const asked: LimitsClient = createLimitsClient({
      ...options,
      send(questions) {
        messages.push(questions)
        const reply = async () => asked.answered(await answering.answer(questions))
        if (options.hold === true) held.push(reply)
        else void reply()
        return true
      },
    })
    return { asked, answering, release: () => Promise.all(held.splice(0).map((one) => one())) }
  }
  beforeEach(() => {
    messages = []
  })

  it('grant together what one process would grant', async () => {
    const [one, two] = [pair().asked, pair().asked]
    const taken = await Promise.all(
      Array.from({ length: 30 }, (_, i) => (i % 2 ? one : two).limits.take('rate', 1, 10)),
    )
    assert.equal(taken.filter((waitMs) => waitMs === null).length, 10)
    for (const waitMs of taken) assert.ok(waitMs === null || (waitMs > 50_000 && waitMs <= 60_000))

    const inside = await Promise.all(
      Array.from({ length: 10 }, (_, i) => (i % 2 ? one : two).limits.enter('room', 4)),
    )
    const entered = inside.filter((leave) => leave !== null)
    assert.equal(entered.length, 4)
    entered[0]?.()
    entered[0]?.()
    await turn()
    assert.notEqual(await one.limits.enter('room', 4), null)
    assert.equal(await two.limits.enter('room', 4), null)

    const spent = await Promise.all(
      Array.from({ length: 6 }, (_, i) => (i % 2 ? one : two).budgets.spend('tree', 3, 'acme')),
    )
    assert.equal(spent.filter(Boolean).length, 3)
  })

  it('are asked once for all questions of a turn of the event loop', async () => {
    const { asked } = pair()
    await Promise.all([
      ...Array.from({ length: 50 }, () => asked.limits.take('turn', 1000, 1000)),
      asked.limits.enter('turn', 5),
      asked.budgets.spend('turn', 5, 'acme'),
    ])
    assert.equal(messages.length, 1)
    assert.equal(messages[0]?.length, 52)
    await turn()
    assert.equal(messages.length, 1)
  })

  it('let nothing through without an answer in time, and give back what was granted too late', async () => {
    const { asked, release } = pair({ timeoutMs: 20, hold: true })
    await assert.rejects(async () => asked.limits.take('late', 1, 1), isUnavailable)
    await assert.rejects(async () => asked.limits.enter('late', 1), isUnavailable)
    await assert.rejects(async () => asked.budgets.spend('late', 1, 'acme'), isUnavailable)
    await release()
    await turn()
    await release()
    const other = pair().asked
    assert.notEqual(await other.limits.enter('late', 1), null)
  })

  it('do not let a process that was busy itself refuse what is answered already', async () => {
    const { asked, release } = pair({ timeoutMs: 20, hold: true })
    const taken = asked.limits.take('busy', 1, 1)
    await turn()
    const until = performance.now() + 60
    while (performance.now() < until);
    // as an answer that waits to be read when the turn begins
    setImmediate(() => void release())
    assert.equal(await taken, null)
  })

  it('refuse at once when nobody is there to ask, and when too many wait', async () => {
    let sent = 0
    const gone = createLimitsClient({
      // at once, and not when the time is over
      timeoutMs: 600_000,
      send() {
        sent += 1
        return false
      },
    })
    await assert.rejects(async () => gone.limits.take('gone', 1, 1), isUnavailable)
    await assert.rejects(async () => gone.limits.take('gone', 1, 1), isUnavailable)
    await turn()
    assert.equal(sent, 1)
    const full = pair({ maxWaiting: 1, hold: true, timeoutMs: 20 })
    const first = full.asked.limits.take('full', 1, 1)
    await assert.rejects(async () => full.asked.limits.take('full', 1, 1), isUnavailable)
    full.asked.close()
    await assert.rejects(async () => first, isUnavailable)
    await assert.rejects(async () => full.asked.limits.take('full', 1, 1), isUnavailable)
  })

  it('take no answer for a grant that is none', async () => {
    for (const wrong of [true, false]) {
      const asked: LimitsClient = createLimitsClient({
        send(questions) {
          setImmediate(() => asked.answered(questions.map(([, id]) => [id, wrong])))
          return true
        },
      })
      await assert.rejects(async () => asked.limits.take('wrong', 1, 1), isUnavailable)
    }
    const asked: LimitsClient = createLimitsClient({
      send(questions) {
        setImmediate(() => asked.answered(questions.map(([, id]) => [id, 1])))
        return true
      },
    })
    assert.equal(await asked.limits.enter('wrong', 1), null)
    // an answer that comes twice, or to nobody, is none
    asked.answered([
      [1, null],
      [-1, true],
      [Number.NaN, true],
    ])
    assert.equal(await asked.budgets.spend('wrong', 1, 'acme'), false)
  })

  it('have back what a process held that has gone, and grant it nothing more', async () => {
    const { asked, answering } = pair()
    for (let i = 0; i < 3; i += 1) assert.notEqual(await asked.limits.enter('left', 3), null)
    answering.release()
    const other = pair().asked
    assert.equal(await asked.limits.enter('left', 3), null)
    for (let i = 0; i < 3; i += 1) assert.notEqual(await other.limits.enter('left', 3), null)
    assert.equal(await other.limits.enter('left', 3), null)
  })
  it('take an answer for the question that it answers, also when that waits no more', async () => {
    const ids: number[] = []
    const asked = createLimitsClient({
      timeoutMs: 20,
      send(questions) {
        messages.push(questions)
        for (const [, id] of questions) ids.push(id)
        return true
      },
    })
    await assert.rejects(async () => asked.limits.take('first', 1, 1), isUnavailable)
    const second = assert.rejects(async () => asked.limits.take('second', 1, 1), isUnavailable)
    await turn()
    // in the place where the second one waits now
    asked.answered([[ids[0] ?? 0, null]])
    asked.answered([[ids[0] ?? 0, 5]])
    await second
    await turn()
    assert.deepEqual(
      messages.flat().map(([kind]) => kind),
      ['take', 'take'],
      'nothing is given back that was not granted',
    )
  })

  it('have room again for each question that was answered', async () => {
    const { asked } = pair({ maxWaiting: 2, timeoutMs: 60_000 })
    for (let times = 0; times < 5; times += 1)
      assert.deepEqual(
        await Promise.all([
          asked.limits.take(`again ${times}`, 1, 1),
          asked.limits.take(`once more ${times}`, 1, 1),
        ]),
        [null, null],
      )
    asked.close()
  })

  it('give each question its own time, and none a clock when all are answered', async () => {
    const warned: string[] = []
    const onWarning = ({ name }: Error) => void warned.push(name)
    process.on('warning', onWarning)
    const { asked, release } = pair({ timeoutMs: 100, hold: true })
    const first = assert.rejects(async () => asked.limits.take('time', 9, 9), isUnavailable)
    const between = performance.now() + 20
    while (performance.now() < between) await turn()
    const second = assert.rejects(async () => asked.limits.take('time', 9, 9), isUnavailable)
    await Promise.all([first, second])
    await release()
    // the clock of a question that was answered runs out while another waits elsewhere
    const answered = asked.limits.take('time', 9, 9)
    await turn()
    await release()
    assert.equal(await answered, null)
    const other = pair({ timeoutMs: 150, hold: true })
    await assert.rejects(async () => other.asked.limits.take('time', 9, 9), isUnavailable)
    await turn()
    process.off('warning', onWarning)
    assert.deepEqual(warned, [])
    // each of two that ask now has a place of its own
    const two = [asked.limits.take('time', 9, 9), asked.limits.take('time', 9, 9)]
    await turn()
    await release()
    assert.deepEqual(await Promise.all(two), [null, null])
  })

  it('send nothing when they have closed, and leave no clock behind', async () => {
    const clocks = () => process.getActiveResourcesInfo().filter((one) => one === 'Timeout').length
    const { asked, release } = pair({ timeoutMs: 60_000, hold: true })
    const answered = asked.limits.take('closed', 9, 9)
    const waits = asked.limits.take('closed', 9, 9)
    await turn()
    // of the two the first has its answer, and its place is empty
    const [question] = messages.splice(0).flat()
    asked.answered([[question?.[1] ?? 0, null]])
    assert.equal(await answered, null)
    const late = asked.limits.take('closed', 9, 9)
    const before = clocks()
    asked.close()
    assert.equal(clocks(), before - 1)
    for (const one of [waits, late]) await assert.rejects(async () => one, isUnavailable)
    await turn()
    assert.deepEqual(messages, [])
    await release()
  })
})
