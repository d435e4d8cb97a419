/** With several workers the notification that cancels a call comes on another connection, which another worker may have. */
import assert from 'node:assert/strict'
import { mcpFetch } from '../support/mcp-client.ts'
import { startMesh } from '../support/mesh.ts'
import { waitFor } from '../support/wait-for.ts'

describe('a call of a tool at a gateway of several workers', function () {
  this.timeout(180_000)

  it('is cancelled by a notification on whichever connection, and none of another session', async () => {
    const canceled: string[] = []
    const running: string[] = []
    const mesh = await startMesh({
      policy: { acme: { delegation: { allow: [{ from: 'planner', to: 'researcher' }] } } },
      config: { workers: 3 },
    })
    try {
      await mesh.serve('acme', 'researcher', {
        skills: {
          async hold(task, ctx) {
            running.push(task.text())
            await new Promise<void>((resolve) => {
              ctx.signal.addEventListener('abort', () => resolve())
            })
            canceled.push(task.text())
            return 'held'
          },
        },
      })
      const place = {
        delegation: mesh.gateway.delegation,
        name: 'gateway.mesh.internal',
        identityDir: await mesh.identity('acme', 'planner'),
      }
      const caller = await mcpFetch(place)
      const begun = await caller.post({
        ...{ jsonrpc: '2.0', id: 0, method: 'initialize' },
        params: { protocolVersion: '2025-11-25' },
      })
      await begun.text()
      const session = { 'mcp-session-id': begun.headers.get('mcp-session-id') ?? '' }
      const other = await caller.post({ jsonrpc: '2.0', id: 0, method: 'initialize', params: {} })
      await other.text()
      const stranger = { 'mcp-session-id': other.headers.get('mcp-session-id') ?? '' }
      // each call has a connection of its own, and so has each notification: they meet by chance alone
      for (const input of ['1', '2', '3', '4']) {
        const call = await caller.post(
          {
            ...{ jsonrpc: '2.0', id: input, method: 'tools/call' },
            params: {
              name: 'mesh_delegate',
              arguments: { peer: 'researcher', skill: 'hold', input },
            },
          },
          session,
        )
        await waitFor('the task', () => (running.includes(input) ? true : undefined))
        const notify = async (headers: Record<string, string>) => {
          const fresh = await mcpFetch(place)
          const answer = await fresh.post(
            { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: input } },
            headers,
          )
          assert.equal(answer.status, 202)
          await fresh.close()
        }
        await notify(stranger)
        await notify({})
        assert.equal(canceled.includes(input), false)
        await notify(session)
        await waitFor('the cancel', () => (canceled.includes(input) ? true : undefined))
        // the stream ends without an answer: none is awaited
        assert.doesNotMatch(await call.text(), /"result"|"error"/)
      }
      await caller.close()
    } finally {
      await mesh.close()
    }
  })
})
