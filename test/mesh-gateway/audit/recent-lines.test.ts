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
})
