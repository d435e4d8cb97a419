import assert from 'node:assert/strict'
import { GCProfiler } from 'node:v8'
import fc from 'fast-check'
import { createRoll } from '../../../mesh-gateway/src/process/roll.ts'

const membersOf = (roll: ReturnType<typeof createRoll<{ id: number }>>) => {
  const found: number[] = []
  roll.visit(({ id }) => found.push(id))
  return found.toSorted((a, b) => a - b)
}

describe('a roll of who is there', () => {
  it('holds whoever came and has not gone, whatever the order, and however often one goes', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(1000), { maxLength: 200 }), (steps) => {
        const roll = createRoll<{ id: number }>()
        const there = new Map<number, () => void>()
        const gone: (() => void)[] = []
        for (const [id, step] of steps.entries()) {
          if (step % 3 !== 0 || there.size === 0) {
            there.set(id, roll.add({ id }))
            continue
          }
          const [who = -1, leave] = [...there][step % there.size] ?? []
          leave?.()
          if (leave !== undefined) gone.push(leave)
          there.delete(who)
          gone[step % gone.length]?.()
        }
        assert.equal(roll.size, there.size)
        assert.deepEqual(
          membersOf(roll),
          [...there.keys()].toSorted((a, b) => a - b),
        )
      }),
    )
  })

  it('visits each once, passes over who goes meanwhile, and leaves out who comes', () => {
    const roll = createRoll<{ id: number }>()
    const leave = [0, 1, 2, 3].map((id) => roll.add({ id }))
    const seen: number[] = []
    roll.visit(({ id }) => {
      seen.push(id)
      leave[id]?.()
      leave[3]?.()
      if (id === 0) roll.add({ id: 9 })
    })
    assert.deepEqual(seen, [0, 1, 2])
    assert.deepEqual(membersOf(roll), [9])
  })

  it('lets those who have gone die young, as a Map of V8 does not', () => {
    const roll = createRoll<Member>()
    const ofRoll = promotedMegabytes((member) => roll.add(member))
    const map = new Map<Member, true>()
    const ofMap = promotedMegabytes((member) => {
      map.set(member, true)
      return () => map.delete(member)
    })
    assert.ok(ofRoll < 2, `${ofRoll} MB of a roll`)
    assert.ok(
      ofMap > 4 * ofRoll + 2,
      `a Map keeps ${ofMap} MB only: a roll may not be needed any more`,
    )
  })
})

let garbage: readonly number[] = []

interface Member {
  readonly data: readonly number[]
}

/**
 * What small collections moved into the old generation while 100,000 members came and went, 32 there at once. Before, members
 * stay for long enough that what holds them is moved there.
 */
function promotedMegabytes(add: (member: Member) => unknown): number {
  const there: unknown[] = []
  const profiler = new GCProfiler()
  const comeAndGo = (times: number) => {
    for (let i = 0; i < times; i += 1) {
      const leave = there[i % 32]
      if (typeof leave === 'function') leave()
      there[i % 32] = add({ data: Array.from({ length: 100 }, (_, at) => at + i) })
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
