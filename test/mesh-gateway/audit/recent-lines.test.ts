import assert from 'node:assert/strict'
import { createRecentLines } from '../../../mesh-gateway/src/audit/recent-lines.ts'
import { SAMPLE_DELEGATION, SAMPLE_EGRESS } from './sample-records.ts'

describe('the recent lines of the audit log', () => {
  const small = { lines: 3, chars: 100 }
  const made = () => createRecentLines({ refused: small, delegation: small, egress: small })

  it('are the latest of each kind, the oldest first', () => {
    const recent = made()
    for (const line of ['1', '2', '3', '4', '5']) recent.add(SAMPLE_EGRESS, line)
    assert.deepEqual(recent.of('egress'), ['3', '4', '5'])
    assert.deepEqual(recent.of('delegation'), [])
  })

  it('keep refusals of both planes, however much else there is', () => {
    const recent = made()
    recent.add(SAMPLE_DELEGATION, 'refused call')
    recent.add({ ...SAMPLE_EGRESS, action_allowed: false }, 'refused request')
    for (let i = 0; i < 10; i += 1) {
      recent.add(SAMPLE_EGRESS, `request ${i}`)
      recent.add({ ...SAMPLE_DELEGATION, action_allowed: true }, `call ${i}`)
    }
    assert.deepEqual(recent.of('refused'), ['refused call', 'refused request'])
    assert.deepEqual(recent.of('delegation'), ['call 7', 'call 8', 'call 9'])
  })

  it('never take more memory than they may, also for long lines', () => {
    const recent = made()
    for (const length of [40, 50, 60, 30, 101, 9]) recent.add(SAMPLE_EGRESS, 'x'.repeat(length))
    assert.deepEqual(
      recent.of('egress').map((line) => line.length),
      [60, 30, 9],
      'a line that would not fit at all is not kept',
    )
    for (let i = 0; i < 1_000; i += 1) recent.add(SAMPLE_EGRESS, 'y'.repeat(i % 120))
    const kept = recent.of('egress').reduce((sum, line) => sum + line.length, 0)
    assert.ok(kept <= 100 && recent.of('egress').length <= 3, `${kept}`)
  })

  describe('are shared by the agents', () => {
    const of = (agent: string | null) => ({
      ...SAMPLE_DELEGATION,
      ...(agent === null ? { tenant: null, agent_id: null } : { tenant: 'acme', agent_id: agent }),
    })
    const ring = (lines: number, chars = 1_000_000) => {
      const size = { lines, chars }
      return createRecentLines({ refused: size, delegation: size, egress: size })
    }
    const kept = (recent: ReturnType<typeof ring>, agent: string) =>
      recent.of('refused').filter((line) => line.startsWith(`${agent} `)).length

    it('so that one with thousands of refusals pushes out its own', () => {
      const recent = ring(100)
      for (let i = 0; i < 20; i += 1) recent.add(of('quiet'), `quiet ${i}`)
      for (let i = 0; i < 5_000; i += 1) {
        recent.add(of('loud'), `loud ${i}`)
        // nobody knows these clients: they are one, however many they are
        recent.add(of(null), `stranger ${i}`)
      }
      assert.equal(kept(recent, 'quiet'), 20)
      assert.deepEqual([kept(recent, 'loud'), kept(recent, 'stranger')], [40, 40])
      const all = recent.of('refused')
      assert.deepEqual(all.slice(0, 2), ['quiet 0', 'quiet 1'])
      assert.deepEqual(all.slice(-2), ['loud 4999', 'stranger 4999'])
    })

    it('also where one fills it with few, long lines', () => {
      const recent = ring(100, 100_000)
      for (let i = 0; i < 50; i += 1) recent.add(of('quiet'), `quiet ${i}`)
      for (let i = 0; i < 100; i += 1) recent.add(of('long'), `long ${'x'.repeat(20_000)}`)
      assert.equal(kept(recent, 'quiet'), 50)
      assert.equal(kept(recent, 'long'), 4)
    })

    it('of which each has as much as the others, and one that is gone leaves its share', () => {
      const recent = ring(100)
      for (let i = 0; i < 1_000; i += 1) recent.add(of(`a${i % 4}`), `a${i % 4} ${i}`)
      for (const agent of ['a0', 'a1', 'a2', 'a3']) assert.equal(kept(recent, agent), 25)
      for (let i = 0; i < 300; i += 1) recent.add(of(`b${i}`), `b${i} `)
      assert.equal(recent.of('refused').length, 100)
      assert.equal(recent.of('refused').at(-1), 'b299 ')
      assert.deepEqual(new Set(recent.of('refused')).size, 100)
    })

    it('within its bounds, in the order in which they came, whatever comes', () => {
      const recent = ring(50, 5_000)
      let state = 1
      const random = (most: number) => {
        state = (state * 1_103_515_245 + 12_345) % 2_147_483_648
        return state % most
      }
      for (let i = 0; i < 20_000; i += 1) {
        const line = `${i} `.padEnd(1 + random(300), 'x')
        recent.add(of(`agent ${random(1 + random(30))}`), line)
        if (i % 100 !== 0) continue
        const all = recent.of('refused')
        assert.ok(all.length <= 50)
        assert.ok(all.reduce((sum, one) => sum + one.length, 0) <= 5_000)
        const numbers = all.map((one) => Number.parseInt(one, 10))
        assert.deepEqual(
          numbers,
          numbers.toSorted((a, b) => a - b),
        )
        assert.equal(numbers.at(-1), i)
      }
    })
  })
})
