import assert from 'node:assert/strict'
import type { DecisionFilter } from '../../../../mesh-gateway/src/admin/api/facts.ts'
import { findDecisions, newestFirst } from '../../../../mesh-gateway/src/admin/api/newest-lines.ts'
import type { AuditRecord } from '../../../../mesh-gateway/src/audit/audit-record.ts'
import { createRecentLines } from '../../../../mesh-gateway/src/audit/recent-lines.ts'
import { atOneGo } from '../../../../mesh-gateway/src/process/in-slices.ts'
import { SAMPLE_DELEGATION, SAMPLE_EGRESS } from '../../audit/sample-records.ts'

const ANY: DecisionFilter = {
  ...{ plane: null, allowed: null, agent: null, host: null, reason: null, last: 10 },
}

describe('the latest lines of the audit log', () => {
  const at = (second: number) => `2026-11-30T08:00:0${second}.000Z`
  const line = (second: number, record: object) => JSON.stringify({ time: at(second), ...record })
  const recent = createRecentLines()
  const add = (second: number, record: AuditRecord) => recent.add(record, line(second, record))
  add(1, SAMPLE_EGRESS)
  add(2, SAMPLE_DELEGATION)
  add(3, { ...SAMPLE_DELEGATION, action_allowed: true, reason: null, agent_id: 'writer' })
  add(4, { ...SAMPLE_EGRESS, action_allowed: false, reason: 'MESH_POLICY_DENIED' })
  add(5, { ...SAMPLE_EGRESS, agent_id: 'Planner-2', destination_host: 'api.other.test' })
  const found = (filter: Partial<DecisionFilter>) =>
    atOneGo(findDecisions(recent, { ...ANY, ...filter })).lines.map((one) => Number(one[27]))

  it('are read newest first, whatever their kind', () => {
    assert.deepEqual(found({}), [5, 4, 3, 2, 1])
    const lists = [[line(1, {}), line(4, {})], [], [line(2, {}), line(3, {}), line(3, {})]]
    assert.deepEqual(
      [...newestFirst(lists)].map((one) => Number(one[27])),
      [4, 3, 3, 2, 1],
    )
    assert.deepEqual([...newestFirst([])], [])
  })

  it('are found by plane and decision, and by text in agent, host or callee, and reason', () => {
    assert.deepEqual(found({ allowed: false }), [4, 2])
    assert.deepEqual(found({ allowed: true }), [5, 3, 1])
    assert.deepEqual(found({ plane: 'delegation' }), [3, 2])
    assert.deepEqual(found({ plane: 'egress', allowed: false }), [4])
    assert.deepEqual(found({ agent: 'acme/planner' }), [5, 2])
    assert.deepEqual(found({ host: 'OTHER' }), [5])
    assert.deepEqual(found({ reason: 'denied' }), [4])
    assert.deepEqual(found({ reason: 'denied', agent: 'writer' }), [])
  })

  it('are no more than asked for, and say that older ones fit', () => {
    const all = atOneGo(findDecisions(recent, { ...ANY, last: 5 }))
    assert.deepEqual([all.lines.length, all.more], [5, false])
    const some = atOneGo(findDecisions(recent, { ...ANY, last: 4 }))
    assert.deepEqual([some.lines.length, some.more], [4, true])
  })

  it('are looked for with pauses, also when none fits', () => {
    const steps = findDecisions(recent, { ...ANY, agent: 'nobody' })
    let pauses = 0
    while (steps.next().done !== true) pauses += 1
    assert.equal(pauses, 5)
  })
})
