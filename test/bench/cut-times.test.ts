import assert from 'node:assert/strict'
import { cutsInAudit, cutTimes } from '../../bench/measure/cut-times.ts'

const REASON = 'MESH_IDENTITY_REVOKED'
const line = (time: string, reason: string | null) =>
  `${JSON.stringify({ time, reason, caller: REASON })}\n`

describe('times of cuts', () => {
  it('are read from lines of the audit log that give the reason, whole lines only', () => {
    const text = [
      line('2026-11-22T12:00:00.050Z', REASON),
      line('2026-11-22T12:00:00.060Z', null),
      line('2026-11-22T12:00:00.070Z', REASON),
      line('2026-11-22T12:00:00.080Z', REASON).slice(0, 60),
    ].join('')
    const noon = Date.parse('2026-11-22T12:00:00Z')
    assert.deepEqual(cutsInAudit(text, REASON), [noon + 50, noon + 70])
    assert.deepEqual(cutsInAudit('', REASON), [])
  })

  it('count from the revocation, to the last', () => {
    const times = Array.from({ length: 101 }, (_, n) => 5_000 + n)
    assert.deepEqual(cutTimes(times, 4_990), { halfMs: 60, p99Ms: 109, lastMs: 110 })
    assert.ok(Number.isNaN(cutTimes([], 0).lastMs))
  })
})
