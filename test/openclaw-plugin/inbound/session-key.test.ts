import assert from 'node:assert/strict'
import type { AgentIdentity } from '@clawmesh/agent-sdk'
import { isServedSession, sessionOf } from '../../../openclaw-plugin/src/inbound/session-key.ts'

const caller = (tenant: string, agent: string): AgentIdentity => ({
  ...{ kind: 'agent', trustDomain: 'mesh.internal', tenant, agent },
  id: `spiffe://mesh.internal/tenant/${tenant}/agent/${agent}`,
})

describe('the conversation that serves a caller', () => {
  const keyOf = (who: AgentIdentity, conversation: string | null, task = 't1') =>
    sessionOf('main', who, conversation, task).sessionKey

  it('belongs to one caller, whatever the caller calls it', () => {
    const callers = [
      ...[caller('acme', 'planner'), caller('acme', 'Planner'), caller('globex', 'planner')],
      ...[caller('acme.x', 'planner'), caller('acme', 'x.planner')],
    ]
    const names = ['', 'x', 'acme', ':', '../x', 'agent:main:main', '\u0000']
    const keys = callers.flatMap((who) => names.map((name) => keyOf(who, name)))
    assert.equal(new Set(keys).size, callers.length * names.length)
    // OpenClaw compares keys in lower case
    assert.equal(new Set(keys.map((key) => key.toLowerCase())).size, keys.length)
  })

  it('names tenant and agent of the caller, and is none of the agent itself', () => {
    const key = keyOf(caller('acme', 'planner'), null)
    assert.match(key, /^agent:main:clawmesh:acme\.planner:[0-9a-f]{16}:[0-9a-f]{32}$/)
    assert.ok(isServedSession(key))
    for (const own of ['agent:main:main', 'agent:main:openai:clawmesh:x', undefined])
      assert.ok(!isServedSession(own))
  })

  it('is new for each task, or goes on where the caller says so', () => {
    const planner = caller('acme', 'planner')
    assert.notEqual(keyOf(planner, null, 't1'), keyOf(planner, null, 't2'))
    assert.equal(keyOf(planner, 'x', 't1'), keyOf(planner, 'x', 't2'))
    // what a caller says is never taken for the id of a task
    assert.notEqual(keyOf(planner, 't1', 't2'), keyOf(planner, null, 't1'))
  })

  it('has an id of its own, a UUID', () => {
    const ids = ['a', 'b'].map(
      (name) => sessionOf('main', caller('acme', 'p'), name, 't').sessionId,
    )
    assert.equal(new Set(ids).size, 2)
    for (const id of ids)
      assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  })
})
