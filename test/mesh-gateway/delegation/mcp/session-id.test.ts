/** Session ids of MCP: not to be guessed, and of one agent only. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { createSessionIds } from '../../../../mesh-gateway/src/delegation/mcp/session-id.ts'

const PLANNER = 'spiffe://mesh.internal/tenant/acme/agent/planner'
const OTHER = 'spiffe://mesh.internal/tenant/acme/agent/planner2'

describe('a session id of MCP', () => {
  const [old, now, strange] = [randomBytes(32), randomBytes(32), randomBytes(32)]
  const ids = createSessionIds(() => [now, old])

  it('is of the agent that it was made for, and of no other', () => {
    const id = ids.create(PLANNER)
    assert.equal(ids.isOf(id, PLANNER), true)
    assert.equal(ids.isOf(id, OTHER), false)
  })

  it('holds visible ASCII only, and no two are alike', () => {
    const made = Array.from({ length: 1_000 }, () => ids.create(PLANNER))
    assert.equal(new Set(made).size, 1_000)
    for (const id of made) assert.match(id, /^[\w-]{64}$/)
  })

  it('holds while the key that it was made with verifies', () => {
    const before = createSessionIds(() => [old]).create(PLANNER)
    assert.equal(ids.isOf(before, PLANNER), true)
    assert.equal(createSessionIds(() => [now]).isOf(before, PLANNER), false)
    assert.equal(createSessionIds(() => [strange]).isOf(ids.create(PLANNER), PLANNER), false)
    assert.equal(createSessionIds(() => []).isOf(before, PLANNER), false)
  })

  it('is refused with any character changed, cut, or longer', () => {
    const id = ids.create(PLANNER)
    for (let at = 0; at < id.length; at += 1) {
      const other = id[at] === 'A' ? 'B' : 'A'
      assert.equal(ids.isOf(id.slice(0, at) + other + id.slice(at + 1), PLANNER), false)
    }
    for (const wrong of ['', id.slice(1), `${id}A`, `${id}=`, ` ${id}`, 'A'.repeat(64)])
      assert.equal(ids.isOf(wrong, PLANNER), false)
  })
})
