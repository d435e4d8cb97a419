import assert from 'node:assert/strict'
import type { IdentityStore } from '@clawmesh/agent-sdk/mesh'
import { call, echo, type Fixture, frame, makeFixture, OPEN_POLICY } from './fixture.ts'

describe('a delegation port whose audit log cannot be written', () => {
  let mesh: Fixture
  let planner: IdentityStore
  let healthy = true

  const open = async (refuseWithoutAudit: boolean) => {
    const audit = { write: () => {}, healthy: () => healthy, close: async () => {} }
    mesh = await makeFixture(OPEN_POLICY, { audit, refuseWithoutAudit })
    planner = await mesh.ca.open(await mesh.ca.agentDir({ tenant: 'acme', agent: 'planner' }))
    const peer = await mesh.peer('researcher', echo)
    const session = await mesh.connect(planner)
    return async () => {
      const answer = await call(session, { ':authority': peer.name }, frame(Buffer.from('hello')))
      return answer.status
    }
  }
  afterEach(() => mesh.close())

  it('refuses every call when it is told to, until the log can be written again', async () => {
    const ask = await open(true)
    healthy = false
    assert.equal(await ask(), 14, 'UNAVAILABLE')
    assert.equal(await ask(), 14)
    healthy = true
    assert.equal(await ask(), 0)
  })

  it('serves when it is not', async () => {
    const ask = await open(false)
    healthy = false
    assert.equal(await ask(), 0)
  })
})
