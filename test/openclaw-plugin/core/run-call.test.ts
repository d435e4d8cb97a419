import assert from 'node:assert/strict'
import { createTools } from '@clawmesh/agent/tools'
import { silentLog } from '@clawmesh/agent-sdk'
import { createTestMesh } from '@clawmesh/agent-sdk/testing'
import { runCall } from '../../../openclaw-plugin/src/core/run-call.ts'
import { createTurns } from '../../../openclaw-plugin/src/inbound/turns.ts'

describe('a call of mesh_fetch in OpenClaw', () => {
  it('gets a redirect back, so that the hook judges its target as well', async () => {
    const mesh = createTestMesh()
    const asked: string[] = []
    mesh.onFetch((request) => {
      asked.push(`${request.url} ${request.redirect}`)
      return new Response(null, { status: 307, headers: { location: 'http://b.example/' } })
    })
    const agent = await mesh.agent('planner')
    const tools = createTools()
    try {
      const answer = await runCall(
        {
          ...{ tool: 'mesh_fetch', params: { url: 'http://a.example/' }, agentId: 'main' },
          ...{ sessionKey: null, traceparent: null, workspaceDir: null, signal: null },
          onProgress: () => {},
        },
        {
          ...{ agent, why: null, tools, turns: createTurns(), waitMs: 10_000, log: silentLog },
          guard: async () => null,
        },
      )
      assert.deepEqual(asked, ['http://a.example/ manual'])
      assert.equal(answer.details.http_status, 307)
    } finally {
      await tools.close()
      await mesh.close()
    }
  })
})
