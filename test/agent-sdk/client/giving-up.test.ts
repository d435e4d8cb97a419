import assert from 'node:assert/strict'
import { silentLog } from '@clawmesh/agent-sdk'
import { type StandInMesh, startStandInMesh } from '../stand-in/mesh.ts'

describe('giving up', () => {
  let mesh: StandInMesh
  before(async () => {
    mesh = await startStandInMesh()
  })
  after(() => mesh.close())

  it('comes in its time though the clock is set back meanwhile', async () => {
    const serving = await mesh.serve({ skills: { echo: (task) => task.text() } })
    // the port is known, and nobody listens at it any more
    await serving.close()
    let backMs = 0
    const agent = await mesh.agent('c', {
      now: () => Date.now() - backMs,
      patience: { startGiveUpMs: 500 },
      log: {
        ...silentLog,
        warn: () => {
          backMs = 600_000
        },
      },
    })
    await assert.rejects(agent.delegate('b', { skill: 'echo' }).result(), {
      code: 'MESH_PEER_UNREACHABLE',
    })
    assert.equal(backMs, 600_000, 'it was tried again')
  })
})
