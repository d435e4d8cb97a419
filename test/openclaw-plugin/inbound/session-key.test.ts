import assert from 'node:assert/strict'
import type { AgentIdentity } from '@clawmesh/agent-sdk'
import { isServedSession, sessionOf } from '../../../openclaw-plugin/src/inbound/session-key.ts'

const caller = (tenant: string, agent: string): AgentIdentity => ({
  ...{ kind: 'agent', trustDomain: 'mesh.internal', tenant, agent },
  id: `spiffe://mesh.internal/tenant/${tenant}/agent/${agent}`,
})

describe('the conversation that serves a caller', () => {
  const keyOf = (who: AgentIdentity, task: string) => sessionOf('main', who, task).sessionKey

  it('belongs to one caller, whatever its tasks are called', () => {
    const callers = [
      ...[caller('acme', 'planner'), caller('acme', 'Planner'), caller('globex', 'planner')],
      ...[caller('acme.x', 'planner'), caller('acme', 'x.planner')],
    ]
    const tasks = ['', 'x', 'acme', ':', '../x', 'agent:main:main', '\u0000']
    const keys = callers.flatMap((who) => tasks.map((task) => keyOf(who, task)))
    assert.equal(new Set(keys).size, callers.length * tasks.length)
    // OpenClaw compares keys in lower case
    assert.equal(new Set(keys.map((key) => key.toLowerCase())).size, keys.length)
  })

  it('names tenant and agent of the caller, and is none of the agent itself', () => {
    const key = keyOf(caller('acme', 'planner'), 't1')
    assert.match(key, /^agent:main:clawmesh:acme\.planner:[0-9a-f]{16}:[0-9a-f]{32}$/)
    assert.ok(isServedSession(key))
    for (const own of ['agent:main:main', 'agent:main:openai:clawmesh:x', undefined])
      assert.ok(!isServedSession(own))
  })

  it('has an id of its own, a UUID', () => {
    const ids = ['a', 'b'].map((task) => sessionOf('main', caller('acme', 'p'), task).sessionId)
    assert.equal(new Set(ids).size, 2)
    for (const id of ids)
      assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  })
})
