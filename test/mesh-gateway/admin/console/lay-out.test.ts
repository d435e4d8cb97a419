import assert from 'node:assert/strict'
import type { Edge } from '../../../../mesh-gateway/src/admin/api/answer-shapes.ts'
import { layOut } from '../../../../mesh-gateway/src/admin/console/page/lay-out.ts'
import { agent, name, timeLeft } from '../../../../mesh-gateway/src/admin/console/page/words.ts'

function edge(from: string | null, to: string | null, plane: Edge['plane'] = 'delegation'): Edge {
  const counts = { allowed: 1, refused: 0, open: 0, duration_ms: 1 }
  return { plane, from, to, ...counts, reason: null, rule: null, last: '' }
}

describe('the picture of the mesh', () => {
  const columns = (edges: readonly Edge[]) =>
    Object.fromEntries(layOut(edges).nodes.map((node) => [node.name, node.column]))

  it('has those that nobody calls on the left, and hosts on the right', () => {
    assert.deepEqual(
      columns([
        edge('planner', 'researcher'),
        edge('researcher', 'writer'),
        edge('planner', 'writer'),
        edge('planner', 'api.example:443', 'egress'),
      ]),
      { planner: 0, researcher: 1, writer: 2, 'api.example:443': 3 },
    )
  })

  it('is finite where agents call each other in a circle, themselves, or are unknown', () => {
    const circle = [edge('a', 'b'), edge('b', 'c'), edge('c', 'a'), edge('d', 'd')]
    const { nodes, lines } = layOut([...circle, edge(null, null), edge(null, null, 'egress')])
    assert.equal(lines.length, 6)
    assert.equal(new Set(nodes.map(({ key }) => key)).size, nodes.length)
    assert.ok(nodes.every(({ column, row }) => column >= 0 && column < 7 && row >= 0))
    assert.deepEqual(layOut([]), { nodes: [], lines: [], columns: 0, rows: 0 })
  })

  it('has no two at one place', () => {
    const many = Array.from({ length: 200 }, (_, i) => edge(`a-${i % 40}`, `a-${(i * 13) % 90}`))
    const { nodes } = layOut(many)
    assert.equal(new Set(nodes.map(({ column, row }) => `${column} ${row}`)).size, nodes.length)
  })
})

describe('names on the console', () => {
  it('show what would turn or hide text, and are cut', () => {
    assert.equal(name('a\u202eb\u200b\n'), 'a\\u{202e}b\\u{200b}\\u{a}')
    assert.equal(name(null), 'unknown')
    assert.equal(name('x'.repeat(300)).length, 201)
  })

  it('of agents are short where their SPIFFE ID has the usual form', () => {
    assert.equal(agent('spiffe://mesh.internal/tenant/acme/agent/planner'), 'acme/planner')
    assert.equal(agent('spiffe://mesh.internal/gateway/gw'), 'spiffe://mesh.internal/gateway/gw')
  })

  it('have the time that is left beside them', () => {
    assert.equal(timeLeft('2026-01-01T05:00:00.000Z', Date.UTC(2026, 0, 1)), 'in 5 hours')
    assert.equal(timeLeft('2026-01-01T00:00:00.000Z', Date.UTC(2026, 0, 3)), 'ended 2 days ago')
  })
})
