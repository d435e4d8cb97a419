import assert from 'node:assert/strict'
import {
  StreamSet,
  StreamTable,
} from '../../../../mesh-gateway/src/process/node-internals/stream-table.ts'

describe('the table of streams', () => {
  it('holds what a Map holds, whatever comes and goes', () => {
    const table = new StreamTable<{ key: number }>()
    const map = new Map<number, { key: number }>()
    let seed = 42
    const random = (below: number) => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648
      return Math.floor((seed / 2_147_483_648) * below)
    }
    for (let i = 0; i < 20_000; i += 1) {
      // few keys, many of them in the same home, odd and even
      const key = 1 + random(40) * (random(3) === 0 ? 16 : 1)
      if (random(2) === 0) {
        const value = { key }
        table.set(key, value)
        map.set(key, value)
      } else assert.equal(table.delete(key), map.delete(key))
      assert.equal(table.size, map.size)
      assert.equal(table.get(key), map.get(key))
      assert.equal(table.has(key), map.has(key))
    }
    assert.deepEqual(
      [...table],
      [...map].sort(([a], [b]) => a - b),
    )
    for (const [key, value] of map) assert.equal(table.get(key), value)
  })

  it('keeps a stream that stays while a hundred thousand others pass, without growing', () => {
    const table = new StreamTable<object>()
    const stays = {}
    table.set(1, stays)
    for (let key = 3; key < 200_000; key += 2) {
      table.set(key, {})
      if (key > 20) table.delete(key - 12)
    }
    assert.equal(table.get(1), stays)
    assert.ok(table.size < 16)
  })

  it('can be visited while everything in it is taken out', () => {
    const table = new StreamTable<object>()
    for (let key = 1; key < 200; key += 2) table.set(key, {})
    const seen: number[] = []
    table.forEach((_value, key, same) => {
      seen.push(key)
      same.delete(key)
      same.delete(key + 2)
    })
    assert.equal(table.size, 0)
    assert.deepEqual(seen.slice(0, 3), [1, 5, 9])
    table.set(7, {}).clear()
    assert.deepEqual([table.size, table.has(7)], [0, false])
  })
})

describe('the set of streams', () => {
  it('holds each once, in order, and can be emptied while it is visited', () => {
    const set = new StreamSet<{ name: string }>()
    const [a, b, c] = [{ name: 'a' }, { name: 'b' }, { name: 'c' }]
    set.add(a).add(b).add(a).add(c)
    assert.equal(set.size, 3)
    assert.equal(set.delete(b), true)
    assert.equal(set.delete(b), false)
    set.add(b)
    assert.deepEqual([...set], [a, c, b])
    const seen: object[] = []
    set.forEach((one) => {
      seen.push(one)
      set.delete(one)
      set.delete(c)
    })
    assert.deepEqual(seen, [a, b])
    assert.equal(set.size, 0)
  })
})
