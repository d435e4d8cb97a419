/** A caller that leaves when it has the last event, as the SDK and clients of gRPC do, has not cancelled its call. */
import assert from 'node:assert/strict'
import { type Mesh, startMesh } from '../support/mesh.ts'
import { waitFor } from '../support/wait-for.ts'

const POLICY = { acme: { delegation: { allow: [{ from: '*', to: '*' }] } } }
const DELEGATIONS = 200

describe('a success is recorded as a success', function () {
  this.timeout(120_000)
  let mesh: Mesh
  before(async () => {
    mesh = await startMesh({ policy: POLICY })
    await mesh.serve('acme', 'researcher', {
      maxRunning: DELEGATIONS,
      maxRunningPerTenant: DELEGATIONS,
      maxRunningPerCaller: DELEGATIONS,
      skills: { echo: (task) => task.text() },
    })
  })
  after(() => mesh.close())

  const outcomes = async (caller: string, count: number) => {
    const lines = await waitFor(`${count} audit lines of ${caller}`, async () => {
      const found = (await mesh.audit()).filter((line) => line.agent_id === caller)
      return found.length >= count ? found : undefined
    })
    return lines.map((line) => `${line.grpc_method} ${line.grpc_status} ${line.reason}`)
  }
  const SUCCESS = 'clawmesh.delegation.v1.DelegationService/Delegate 0 null'

  it(`in each of ${DELEGATIONS} delegations whose callers want the result`, async () => {
    const agent = await mesh.agent('acme', 'planner')
    const results = Array.from({ length: DELEGATIONS }, (_, n) =>
      agent.delegate('researcher', { skill: 'echo', input: `${n}` }).result(),
    )
    await Promise.all(results)
    const seen = await outcomes('planner', DELEGATIONS)
    assert.deepEqual(
      seen,
      seen.map(() => SUCCESS),
    )
  })

  it('when the caller is closed as soon as it has the result', async () => {
    const count = 20
    for (let n = 0; n < count; n += 1) {
      const agent = await mesh.agent('acme', 'hasty')
      await agent.delegate('researcher', { skill: 'echo', input: `${n}` }).result()
      await agent.close()
    }
    const seen = await outcomes('hasty', count)
    assert.deepEqual(
      seen,
      seen.map(() => SUCCESS),
    )
  })
})
