import assert from 'node:assert/strict'
import type { RevocationEntry } from '../../../mesh-gateway/src/revocation/entry.ts'
import {
  indexOf,
  RevokedIndex,
  SHARES,
} from '../../../mesh-gateway/src/revocation/revoked-index.ts'

const NOW_MS = 1_800_000_000_000
const entry = (value: string, endsInMs: number | null = null, by: string | null = null) =>
  ({
    ...{ kind: 'token', value, reason: null, since: '2026-11-29T12:00:00Z', by },
    until: endsInMs === null ? null : new Date(NOW_MS + endsInMs).toISOString(),
  }) satisfies RevocationEntry

describe('the index of what is revoked', () => {
  it('holds entries by kind and value, one about each, the last one', () => {
    const [a, b] = [entry('a'), { ...entry('b'), kind: 'txn' } as const]
    const index = indexOf([a, b])
    assert.deepEqual([index.get('token', 'a'), index.get('txn', 'b')], [a, b])
    assert.deepEqual([index.get('txn', 'a'), index.get('token', 'b')], [undefined, undefined])
    assert.deepEqual([index.size, index.sizeOf('token'), index.sizeOf('agent')], [2, 1, 0])
    const again = { ...a, reason: 'again' }
    index.add(again)
    assert.deepEqual([index.size, index.get('token', 'a')], [2, again])
    assert.deepEqual(
      [...index.entries()].toSorted((x, y) => (x.value < y.value ? -1 : 1)),
      [again, b],
    )
    assert.equal(index.remove('token', 'b'), false)
    assert.equal(index.remove('txn', 'b'), true)
    assert.equal(index.remove('txn', 'b'), false)
    assert.equal(index.size, 1)
  })

  it('lets go of what has ended, when it is time, and once a second at most', () => {
    const index = indexOf([entry('never'), entry('late', 5_000), entry('soon', 100)])
    assert.equal(index.nextSweepMs, NOW_MS + 100)
    index.sweep(NOW_MS + 99)
    assert.equal(index.size, 3)
    index.sweep(NOW_MS + 100)
    assert.deepEqual(
      [...index.entries()].map(({ value }) => value),
      ['never', 'late'],
    )
    assert.equal(index.nextSweepMs, NOW_MS + 5_000)
    index.add(entry('next', 200))
    assert.equal(index.nextSweepMs, NOW_MS + 1_100)
    index.sweep(NOW_MS + 1_099)
    assert.equal(index.size, 3)
    index.sweep(NOW_MS + 1_100)
    assert.equal(index.size, 2)
    index.sweep(NOW_MS + 5_000)
    assert.deepEqual([index.size, index.nextSweepMs], [1, Infinity])
  })

  it('counts the entries of agents, until they end, are taken back, or an operator takes one over', () => {
    const most = { ...SHARES, agent: 2 }
    const index = new RevokedIndex()
    index.add(entry('a', 100, 'acme/bot'))
    index.add(entry('b', null, 'acme/bot'))
    index.add(entry('c', null, 'acme/other'))
    index.add(entry('d'))
    assert.equal(index.byAgents, 3)
    assert.deepEqual(
      [index.full('acme/bot', most), index.full('acme/other', most)],
      ['agent', null],
    )
    index.sweep(NOW_MS + 100)
    assert.deepEqual([index.byAgents, index.full('acme/bot', most)], [2, null])
    index.add(entry('b'))
    assert.deepEqual([index.byAgents, index.size], [1, 3])
    index.remove('token', 'c')
    assert.equal(index.byAgents, 0)
  })

  it('gives agents shares of a thousand, tenants of ten thousand, and a hundred in any case', () => {
    assert.deepEqual(SHARES, { agent: 1_000, tenant: 10_000, all: 100_000, reserved: 100 })
    const shares = { agent: 5, tenant: 3, all: 4, reserved: 2 }
    const full = (counts: Record<string, number>, agent: string) => {
      let n = 0
      const index = new RevokedIndex()
      for (const [by, count] of Object.entries(counts))
        for (let i = 0; i < count; i += 1) index.add(entry(`t${n++}`, null, by))
      return index.full(agent, shares)
    }
    assert.equal(new RevokedIndex().full('a/x', { agent: 1, tenant: 1, all: 1, reserved: 1 }), null)
    assert.equal(full({ 'a/x': 2 }, 'a/y'), null)
    assert.equal(full({ 'a/x': 3 }, 'a/y'), 'tenant')
    // a tenant whose name begins like another's is another
    assert.equal(full({ 'a/x': 3 }, 'ab/x'), null)
    assert.equal(full({ 'a/x': 2, 'b/x': 1 }, 'a/x'), null)
    assert.equal(full({ 'a/x': 2, 'b/x': 2 }, 'a/x'), 'all')
    assert.equal(full({ 'a/x': 3, 'b/x': 1 }, 'b/x'), null)
  })
})
