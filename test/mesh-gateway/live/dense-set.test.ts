import assert from 'node:assert/strict'
import { GCProfiler } from 'node:v8'
import fc from 'fast-check'
import {
  createDenseSet,
  type DenseSet,
  type Member,
} from '../../../mesh-gateway/src/live/dense-set.ts'

interface Somebody extends Member {
  readonly id: number
}

const somebody = (id: number): Somebody => ({ id, index: -1 })
const idsOf = (members: DenseSet<Somebody>) => {
  const found: number[] = []
  members.visit(({ id }) => found.push(id))
  return found.toSorted((a, b) => a - b)
}

describe('a members of who is there', () => {
  it('holds whoever came and has not gone, whatever the order, and however often one goes', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(1000), { maxLength: 200 }), (steps) => {
        const members = createDenseSet<Somebody>()
        const there = new Map<number, Somebody>()
        const gone: Somebody[] = []
        for (const [id, step] of steps.entries()) {
          if (step % 3 !== 0 || there.size === 0) {
            const comes = somebody(id)
            members.add(comes)
            there.set(id, comes)
            continue
          }
          const [who, goes] = [...there][step % there.size] ?? assert.fail()
          assert.equal(members.remove(goes), true)
          there.delete(who)
          gone.push(goes)
          const before = gone[step % gone.length] ?? assert.fail()
          assert.equal(members.remove(before), false)
        }
        assert.equal(members.size, there.size)
        assert.deepEqual(
          idsOf(members),
          [...there.keys()].toSorted((a, b) => a - b),
        )
        assert.deepEqual(new Set(members.all()), new Set(there.values()))
      }),
    )
  })

  it('walks to everybody who stays, whoever comes and goes during its pauses', () => {
    const step = fc.record({ comes: fc.nat(3), goes: fc.array(fc.nat(1000), { maxLength: 3 }) })
    fc.assert(
      fc.property(fc.nat(40), fc.array(step, { maxLength: 60 }), (count, steps) => {
        const members = createDenseSet<Somebody>()
        const staying = new Set(Array.from({ length: count }, (_, id) => somebody(id)))
        for (const one of staying) members.add(one)
        const called = new Set<Somebody>()
        let made = count
        const walk = members.walk((one) => {
          assert.ok(one.index >= 0, 'it is there')
          called.add(one)
        })
        for (const { comes, goes } of steps) {
          if (walk.next().done === true) break
          for (const which of goes) {
            const all = members.all()
            const one = all[which % Math.max(1, all.length)]
            if (one === undefined) continue
            members.remove(one)
            staying.delete(one)
          }
          for (let i = 0; i < comes; i += 1) {
            members.add(somebody(made))
            made += 1
          }
        }
        while (walk.next().done !== true);
        for (const one of staying) assert.ok(called.has(one), `${one.id} was passed over`)
      }),
    )
  })

  it('visits each once, passes over who goes meanwhile, and leaves out who comes', () => {
    const members = createDenseSet<Somebody>()
    const all = [0, 1, 2, 3].map(somebody)
    for (const one of all) members.add(one)
    const seen: number[] = []
    members.visit((one) => {
      seen.push(one.id)
      members.remove(one)
      members.remove(all[3] ?? assert.fail())
      if (one.id === 0) members.add(somebody(9))
    })
    assert.deepEqual(seen, [0, 1, 2])
    assert.deepEqual(idsOf(members), [9])
  })

  it('lets those who have gone die young, as a Map of V8 does not', () => {
    const members = createDenseSet<Guest>()
    const ofRoll = promotedMegabytes((guest) => {
      members.add(guest)
      return () => members.remove(guest)
    })
    const map = new Map<Guest, true>()
    const ofMap = promotedMegabytes((guest) => {
      map.set(guest, true)
      return () => map.delete(guest)
    })
    assert.ok(ofRoll < 2, `${ofRoll} MB of a roll`)
    assert.ok(
      ofMap > 4 * ofRoll + 2,
      `a Map keeps ${ofMap} MB only: a members may not be needed any more`,
    )
  })
})

let garbage: readonly number[] = []

interface Guest extends Member {
  readonly data: readonly number[]
}

/**
 * What small collections moved into the old generation while 100,000 members came and went, 32 there at once. Before, members
 * stay for long enough that what holds them is moved there.
 */
function promotedMegabytes(add: (guest: Guest) => unknown): number {
  const there: unknown[] = []
  const profiler = new GCProfiler()
  const comeAndGo = (times: number) => {
    for (let i = 0; i < times; i += 1) {
      const leave = there[i % 32]
      if (typeof leave === 'function') leave()
      there[i % 32] = add({ data: Array.from({ length: 100 }, (_, at) => at + i), index: -1 })
    }
  }
  comeAndGo(32)
  for (let i = 0; i < 300_000; i += 1) garbage = Array.from({ length: 50 }, (_, at) => at + i)
  comeAndGo(1_000)
  profiler.start()
  comeAndGo(100_000)
  const { statistics } = profiler.stop()
  assert.ok(garbage.length > 0)
  let bytes = 0
  for (const { gcType, beforeGC, afterGC } of statistics)
    if (gcType === 'Scavenge') bytes += Math.max(0, oldBytes(afterGC) - oldBytes(beforeGC))
  return bytes / 1e6
}

function oldBytes(heap: {
  heapSpaceStatistics: readonly { spaceName: string; spaceUsedSize: number }[]
}) {
  return (
    heap.heapSpaceStatistics.find(({ spaceName }) => spaceName === 'old_space')?.spaceUsedSize ?? 0
  )
}
