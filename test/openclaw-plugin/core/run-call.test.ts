import assert from 'node:assert/strict'
import { createTools } from '@clawmesh/agent/tools'
import { silentLog } from '@clawmesh/agent-sdk'
import { createTestMesh } from '@clawmesh/agent-sdk/testing'
import { runCall } from '../../../openclaw-plugin/src/core/run-call.ts'
import { createTurn, createTurns } from '../../../openclaw-plugin/src/inbound/turns.ts'

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

describe('a question to the caller of a turn', () => {
  it('gets an answer of bounded length, and may be asked again', async () => {
    const mesh = createTestMesh()
    const turns = createTurns()
    const tools = createTools()
    const said: string[] = []
    const researcher = await mesh.agent('researcher')
    await researcher.serve({
      listen: '127.0.0.1:0',
      skills: {
        async asks(task, context) {
          const end = turns.begin('a session', createTurn(task, context, ['mesh_ask']))
          for (const _ of [1, 2]) {
            const { text, isError } = await runCall(
              {
                ...{ tool: 'mesh_ask', params: { question: 'which one?' }, agentId: 'main' },
                ...{ sessionKey: 'a session', traceparent: null, workspaceDir: null, signal: null },
                onProgress: () => {},
              },
              {
                ...{ agent: researcher, why: null, tools, turns, waitMs: 10_000, log: silentLog },
                guard: async () => null,
              },
            )
            said.push(`${isError} ${text}`)
          }
          end()
          return 'done'
        },
      },
    })
    const planner = await mesh.agent('planner')
    const answers = ['a'.repeat(400_001), 'the second']
    const task = planner.delegate('researcher', { skill: 'asks' })
    for await (const event of task)
      if (event.kind === 'input-required') await task.sendInput(answers.shift() ?? '')
    await task.result()
    await tools.close()
    await mesh.close()
    assert.match(said[0] ?? '', /^true MESH_LIMIT_SIZE: .* 400000 characters/)
    assert.match(said[1] ?? '', /^false .*the second/s)
  })
})
