/** close() ends sockets, timers and watchers, with tasks running, streams broken and handles never looked at. */
import assert from 'node:assert/strict'
import { type StandInMesh, startStandInMesh } from '../agent-sdk/stand-in/mesh.ts'
import { leftOpen, openResources } from '../support/closes-everything.ts'

describe('an agent that is closed leaves nothing open', () => {
  it('and tells the peers whose tasks it lets go of', async () => {
    const before = openResources()
    const mesh: StandInMesh = await startStandInMesh()
    const reasons: unknown[] = []
    await mesh.serve({
      skills: {
        forever: (_task, ctx) =>
          new Promise<string>(() => {
            ctx.signal.addEventListener('abort', () => reasons.push(ctx.signal.reason))
            ctx.message('running')
          }),
      },
    })
    const c = await mesh.agent('c')
    const running = c.delegate('b', { skill: 'forever' })
    for await (const event of running) if (event.kind === 'message') break
    const detached = c.delegate('b', { skill: 'forever', detached: true })
    for await (const event of detached) if (event.kind === 'message') break
    const iterating = c.delegate('nobody', { skill: 'forever' })
    const iteration = assert.rejects(
      (async () => {
        for await (const event of iterating) assert.fail(event.kind)
      })(),
      { code: 'MESH_CALL_CANCELED' },
    )
    await c.close()
    await assert.rejects(running.result(), { code: 'MESH_CALL_CANCELED' })
    await iteration
    assert.equal(reasons.length, 1, 'the one that is not detached was cancelled at once')
    await assert.rejects(c.delegate('b', { skill: 'forever' }).result(), {
      code: 'MESH_CALL_CANCELED',
    })
    await assert.rejects(c.whoAmI(), { code: 'MESH_CALL_CANCELED' })
    await c.close()

    await mesh.close()
    assert.deepEqual(await leftOpen(before, 10_000), [])
  })
})
