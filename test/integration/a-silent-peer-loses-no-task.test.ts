/** A callee that falls silent, or a gateway that drains, costs no task: its stream ends with a reason, and Watch goes on with it. */
import assert from 'node:assert/strict'
import type { Agent } from '@clawmesh/agent-sdk'
import { type Mesh, startMesh } from '../support/mesh.ts'
import { type PausableRelay, startPausableRelay } from '../support/pausable-relay.ts'
import { waitFor } from '../support/wait-for.ts'

const TASKS = 10

describe('a task whose callee or gateway goes away for a while', function () {
  this.timeout(240_000)
  let mesh: Mesh
  let planner: Agent
  let relay: PausableRelay
  const goOn: (() => void)[] = []

  before(async () => {
    mesh = await startMesh({
      policy: { acme: { delegation: { allow: [{ from: 'planner', to: 'researcher' }] } } },
      config: { delegation: { limits: { pingMs: '1s' } }, drainMs: 200 },
    })
    const researcher = await mesh.agent('acme', 'researcher')
    const { address } = await researcher.serve({
      listen: '127.0.0.1:0',
      skills: {
        async waits(task, ctx) {
          ctx.message('begun')
          await new Promise<void>((resolve) => goOn.push(resolve))
          return `${task.text()} done`
        },
      },
    })
    relay = await startPausableRelay(address)
    mesh.announce('acme', 'researcher', relay.port)
    planner = await mesh.agent('acme', 'planner')
  })
  beforeEach(() => {
    goOn.length = 0
  })
  after(async () => {
    await mesh.close()
    await relay.close()
  })

  /** Ten tasks that run; resolves their results when they are let go on. */
  async function begin() {
    const tasks = Array.from({ length: TASKS }, (_, n) =>
      planner.delegate('researcher', { skill: 'waits', input: String(n) }),
    )
    const results = Promise.all(tasks.map((task) => task.result()))
    results.catch(() => {})
    await waitFor('the tasks to run', () => goOn.length === TASKS)
    return async () => {
      for (const resolve of goOn) resolve()
      const texts = (await results).map((result) => result.text())
      assert.deepEqual(
        texts,
        texts.map((_, n) => `${n} done`),
      )
    }
  }

  /** The ends of Delegate streams, as the audit log tells them. */
  async function ended(reason: string) {
    return await waitFor(`${TASKS} streams that ended with ${reason}`, async () => {
      const lines = (await mesh.audit()).filter(
        (line) => line.reason === reason && String(line.grpc_method).endsWith('/Delegate'),
      )
      return lines.length >= TASKS && lines
    })
  }

  it('ends well when the callee answers again: MESH_PEER_LOST, and ten of ten are resumed', async () => {
    const finish = await begin()
    relay.pause()
    const lines = await ended('MESH_PEER_LOST')
    assert.deepEqual([...new Set(lines.map((line) => line.grpc_status))], [14])
    relay.resume()
    await finish()
  })

  it('ends well when the gateway drains: MESH_GATEWAY_DRAINING, and ten of ten are resumed', async () => {
    const finish = await begin()
    await mesh.gateway.stop()
    const lines = await ended('MESH_GATEWAY_DRAINING')
    assert.deepEqual([...new Set(lines.map((line) => line.action_allowed))], [true])
    await mesh.gateway.start()
    await finish()
  })
})
