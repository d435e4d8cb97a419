/** The places of what is open: looked at when something changes, and by the clock. */
import assert from 'node:assert/strict'
import { mock } from 'node:test'
import { OpenRecord } from '../../../mesh-gateway/src/audit/open-record.ts'
import { createRegistry, type Place } from '../../../mesh-gateway/src/live/registry.ts'
import { SAMPLE_EGRESS } from '../audit/sample-records.ts'

describe('the registry of what is open', () => {
  let nowMs: number
  beforeEach(() => {
    nowMs = 1_000
    mock.timers.enable({ apis: ['setInterval'] })
  })
  afterEach(() => mock.timers.reset())

  const make = (more: Partial<Parameters<typeof createRegistry<Place>>[0]> = {}) => {
    const looked: [Place, boolean][] = []
    const registry = createRegistry<Place>({
      look: (place, expired) => void looked.push([place, expired]),
      now: () => nowMs,
      sweepMs: 10,
      ...more,
    })
    const add = (endMs = Number.POSITIVE_INFINITY, opening?: OpenRecord) => {
      const place: Place = { endMs, epoch: registry.epoch, index: -1, opening }
      registry.add(place)
      return place
    }
    return { registry, add, looked }
  }
  const settled = async () => {
    for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate)
  }

  it('looks at each place once after a change, and at none without', async () => {
    const { registry, add, looked } = make()
    const places = [add(), add()]
    assert.deepEqual([registry.size, registry.epoch, registry.due], [2, 0, false])
    mock.timers.tick(100)
    await settled()
    assert.equal(looked.length, 0)
    registry.changed()
    assert.equal(registry.epoch, 1)
    await settled()
    assert.equal(registry.due, false)
    assert.deepEqual(new Set(looked.splice(0).map(([place]) => place)), new Set(places))
    mock.timers.tick(100)
    await settled()
    assert.equal(looked.length, 0)
    const first = places[0] ?? assert.fail()
    assert.equal(registry.remove(first), true)
    assert.equal(registry.remove(first), false)
    registry.changed()
    await settled()
    assert.equal(looked.length, 1)
    registry.close()
    assert.equal(registry.size, 0)
  })

  it('looks at a place whose end has come, to the millisecond, by the clock alone', async () => {
    const { registry, add, looked } = make()
    const place = add(1_005)
    add(2_000)
    nowMs = 1_004
    mock.timers.tick(10)
    await settled()
    assert.equal(looked.length, 0)
    nowMs = 1_005
    mock.timers.tick(10)
    await settled()
    assert.deepEqual(looked, [[place, true]])
    registry.changed()
    await settled()
    assert.deepEqual(
      looked
        .slice(1)
        .map(([, expired]) => expired)
        .toSorted(),
      [false, true],
    )
    registry.close()
  })

  it('writes the record of what has been open for long, but not of what it has just ended', async () => {
    const written: string[] = []
    const opening = (name: string, dueMs: number) =>
      new OpenRecord(dueMs, { write: () => void written.push(name) }, () => SAMPLE_EGRESS)
    const { registry, add, looked } = make({
      look(place, expired) {
        looked.push([place, expired])
        if (expired) registry.remove(place)
      },
    })
    const due = performance.now() - 1
    add(Number.POSITIVE_INFINITY, opening('long', due))
    add(Number.POSITIVE_INFINITY, opening('short', due + 1e9))
    add(1_000, opening('ended', due))
    mock.timers.tick(10)
    await settled()
    assert.deepEqual(written, ['long'])
    assert.equal(looked.length, 1, 'and judges only the one whose end has come')
    registry.close()
  })

  it('keeps its clock while there are places, and only then', async () => {
    let sweeps = 0
    const { registry, add } = make({
      onSweep() {
        sweeps += 1
      },
    })
    mock.timers.tick(50)
    assert.equal(sweeps, 0)
    const place = add()
    add()
    mock.timers.tick(10)
    assert.equal(sweeps, 1)
    registry.remove(place)
    mock.timers.tick(10)
    assert.equal(sweeps, 2)
    registry.visit((each) => registry.remove(each))
    mock.timers.tick(100)
    assert.equal(sweeps, 3, 'the last one finds it empty')
    add()
    mock.timers.tick(10)
    assert.equal(sweeps, 4)
    registry.close()
    mock.timers.tick(100)
    assert.equal(sweeps, 4)
    await settled()
  })

  it('does other work that is due after its own, and tells all that are there', async () => {
    const order: string[] = []
    let due = true
    const { registry, add } = make({
      look: () => void order.push('look'),
      more: {
        due: () => due,
        *run() {
          order.push('more')
          due = false
          yield
        },
      },
    })
    const place = add()
    registry.changed()
    await settled()
    assert.deepEqual(order.splice(0), ['look', 'more'])
    due = true
    registry.start()
    await settled()
    assert.deepEqual(order, ['more'])
    assert.deepEqual(registry.all(), [place])
    registry.close()
  })
})
