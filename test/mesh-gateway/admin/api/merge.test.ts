import assert from 'node:assert/strict'
import { edgesOf, mergeEdges } from '../../../../mesh-gateway/src/admin/api/edges.ts'
import {
  mergeDecisions,
  mergeLimits,
  mergePeers,
  mergeReplays,
} from '../../../../mesh-gateway/src/admin/api/merge.ts'
import { atOneGo } from '../../../../mesh-gateway/src/process/in-slices.ts'
import { agentNames } from '../../../../mesh-gateway/src/recorded/recorded-case.ts'
import type { ReplayFacts } from '../../../../mesh-gateway/src/recorded/replay-shapes.ts'
import { SAMPLE_DELEGATION, SAMPLE_EGRESS } from '../../audit/sample-records.ts'

describe('one answer of several processes', () => {
  it('has the newest decisions of all, and says when one of them knows older ones', () => {
    const line = (second: number) => `{"time":"2026-11-30T08:00:0${second}.000Z"}`
    const [a, b] = [
      [line(4), line(2)],
      [line(3), line(1)],
    ]
    const part = (lines: string[], more = false) => ({ lines, more })
    assert.deepEqual(mergeDecisions([part(a), part(b)], 4), part([4, 3, 2, 1].map(line)))
    assert.deepEqual(mergeDecisions([part(a), part(b)], 3), part([4, 3, 2].map(line), true))
    assert.deepEqual(mergeDecisions([part(a, true)], 2), part(a, true))
    assert.deepEqual(mergeDecisions([], 2), part([]))
  })

  it('adds up connections to a replica, which is avoided when one avoids it', () => {
    const address = { ip: '10.0.0.7', port: 7443, sessions: 1, streams: 2 }
    const peer = { tenant: 'acme', name: 'b.acme.m', port: null }
    const good = { ...peer, addresses: [{ ...address, avoided_ms: 0, failures: 0 }] }
    const bad = { ...peer, addresses: [{ ...address, avoided_ms: 900, failures: 3 }] }
    assert.deepEqual(mergePeers([[good], [bad], [{ ...good, tenant: 'globex' }]]), [
      {
        ...peer,
        addresses: [{ ...address, sessions: 2, streams: 4, avoided_ms: 900, failures: 3 }],
      },
      { ...good, tenant: 'globex' },
    ])
  })

  it('has the fullest limits first, of the process that counts', () => {
    const use = (key: string, used: number, most: number) => ({
      ...{ key, kind: 'at-once' as const, used, most, per_minute: null },
    })
    const supervisor = { counted_in: 'supervisor' as const, uses: [use('a', 1, 2), use('b', 3, 4)] }
    const worker = { counted_in: 'supervisor' as const, uses: [] }
    const merged = mergeLimits([worker, supervisor], 1)
    assert.deepEqual(merged, { counted_in: 'supervisor', uses: [use('b', 3, 4)] })
  })

  it('adds up replays, and passes on that one was busy, or the faults of the files', () => {
    const changed = { plane: 'egress' as const, agent: 'acme/a', what: 'CONNECT x.test:443' }
    const example = { ...changed, code: 'MESH_POLICY_DENIED', rule: 'r', time: null }
    const facts = (since: string | null, count: number): ReplayFacts => ({
      ...{ records: count, not_of_policy: 0, since, same: 0, not_judged: 0, broken_files: [] },
      ...{ newly_refused: count, newly_allowed: 0, by_audit_mode: 0 },
      examples: { newly_refused: [{ ...example, count }], newly_allowed: [] },
    })
    const merged = mergeReplays([facts('2026-2', 2), facts(null, 1), facts('2026-1', 4)])
    assert.ok(merged !== null && merged !== 'busy' && !('faults' in merged))
    assert.deepEqual([merged.records, merged.newly_refused, merged.since], [7, 7, '2026-1'])
    assert.deepEqual(merged.examples.newly_refused, [{ ...example, count: 7 }])
    assert.equal(mergeReplays([facts(null, 1), 'busy']), 'busy')
    assert.deepEqual(mergeReplays([{ faults: [] }, facts(null, 1)]), { faults: [] })
    assert.equal(mergeReplays([]), null)
  })
})

describe('who calls whom', () => {
  const agentOf = agentNames()
  const line = (record: object, time = '2026-11-30T08:00:00.000Z') =>
    JSON.stringify({ time, ...record })
  const callee = 'spiffe://mesh.internal/tenant/acme/agent/writer'
  const call = { ...SAMPLE_DELEGATION, callee, action_allowed: true, reason: null, duration_ms: 5 }
  const edges = (lines: readonly string[], open: readonly string[] = []) =>
    atOneGo(edgesOf(lines, open, agentOf))

  it('is counted by pair, summaries of refusals by their number, with the latest refusal', () => {
    const denied = { ...call, action_allowed: false, reason: 'MESH_A', rule: 'first', repeated: 7 }
    const later = { ...denied, reason: 'MESH_B', rule: null, repeated: null }
    const found = edges([
      line(later, '2026-11-30T08:00:09.000Z'),
      line(call, '2026-11-30T08:00:08.000Z'),
      line(denied, '2026-11-30T08:00:01.000Z'),
    ])
    assert.deepEqual(found, {
      edges: [
        {
          ...{
            plane: 'delegation',
            from: 'acme/planner',
            to: 'acme/writer',
            allowed: 1,
            refused: 8,
          },
          ...{ open: 0, reason: 'MESH_B', rule: null, duration_ms: 5 },
          last: '2026-11-30T08:00:09.000Z',
        },
      ],
      left_out: 0,
    })
  })

  it('has what is open once, and what was open by its end', () => {
    const opening = { ...call, phase: 'open', open_id: 'x' }
    const { edges: found } = edges(
      [line(opening), line({ ...opening, phase: 'end' })],
      [line({ ...opening, open_id: 'y' })],
    )
    assert.deepEqual(
      found.map(({ allowed, open }) => [allowed, open]),
      [[2, 1]],
    )
  })

  it('names hosts with their port, and nobody where nobody was known', () => {
    const unknown = { ...SAMPLE_EGRESS, tenant: null, agent_id: null, destination_host: '::1' }
    const nothing = { ...unknown, destination_host: null }
    assert.deepEqual(
      edges([line(unknown), line(nothing)]).edges.map(({ from, to }) => [from, to]),
      [
        [null, '[::1]:443'],
        [null, null],
      ],
    )
  })

  it('is bounded, and says how much is left out', () => {
    const many = (from: number) =>
      Array.from({ length: 2_000 }, (_, i) =>
        line({ ...SAMPLE_EGRESS, destination_host: `h-${from + i}.test` }),
      )
    const merged = mergeEdges([edges(many(0)), edges(many(1_000)), edges(many(2_000))])
    assert.equal(merged.edges.length, 3_000)
    assert.equal(merged.left_out, 1_000)
  })
})
