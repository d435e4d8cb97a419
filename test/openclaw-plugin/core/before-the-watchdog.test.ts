/**
 * OpenClaw ends a whole turn when one of its tools runs for 15 minutes (BLOCKED_TOOL_CALL_ABORT_FLOOR_MS, which no setting
 * changes). So each call answers after ten at most. The clock of these tests is a stand-in: ten minutes pass at once.
 */
import assert from 'node:assert/strict'
import { stat } from 'node:fs/promises'
import { mock } from 'node:test'
import { setImmediate as turnOfTheLoop } from 'node:timers/promises'
import { createTools } from '@clawmesh/agent/tools'
import { type Agent, silentLog, type Task, type TaskContext } from '@clawmesh/agent-sdk'
import { createTestMesh, type TestMesh } from '@clawmesh/agent-sdk/testing'
import { LONGEST_WAIT_MS } from '../../../openclaw-plugin/src/config/read-config.ts'
import type { ToolAnswer } from '../../../openclaw-plugin/src/core/contract.ts'
import { runCall } from '../../../openclaw-plugin/src/core/run-call.ts'
import { createTurn, createTurns } from '../../../openclaw-plugin/src/inbound/turns.ts'

const WATCHDOG_MS = 900_000
const SESSION = 'agent:main:clawmesh:x'

describe('a call that would take longer than OpenClaw lets a tool run', () => {
  let mesh: TestMesh
  let planner: Agent
  let release: (value: string) => void
  let aborted: boolean
  let begun: boolean
  const turns = createTurns()
  const tools = createTools()
  let asking: { readonly task: Task; readonly context: TaskContext } | null = null

  beforeEach(async () => {
    mesh = createTestMesh()
    aborted = false
    begun = false
    asking = null
    const { promise, resolve } = Promise.withResolvers<string>()
    release = resolve
    const researcher = await mesh.agent('researcher')
    await researcher.serve({
      listen: '127.0.0.1:0',
      skills: {
        async slow(_task, { signal }) {
          begun = true
          signal.addEventListener('abort', () => {
            aborted = true
          })
          return promise
        },
        async asks(task, context) {
          asking = { task, context }
          return promise
        },
      },
    })
    planner = await mesh.agent('planner')
    mock.timers.enable({ apis: ['setTimeout'] })
  })
  afterEach(async () => {
    mock.timers.reset()
    release('')
    await mesh.close()
  })
  after(() => tools.close())

  /** The answer of a call, and after how long it came. @param from when the clock begins to run: what comes before takes real time */
  async function timed(
    tool: Parameters<typeof runCall>[0]['tool'],
    params: object,
    {
      sessionKey = 'agent:main:main',
      from = () => true,
    }: { readonly sessionKey?: string; readonly from?: () => boolean } = {},
  ): Promise<{ readonly answer: ToolAnswer; readonly afterMs: number }> {
    let answer: ToolAnswer | null = null
    const call = runCall(
      {
        ...{ tool, params, agentId: 'main', sessionKey, traceparent: null, workspaceDir: null },
        ...{ signal: null, onProgress: () => {} },
      },
      {
        ...{ agent: planner, why: null, tools, turns, waitMs: LONGEST_WAIT_MS, log: silentLog },
        guard: async () => null,
      },
    ).then((given) => {
      answer = given
    })
    let afterMs = 0
    while (!from()) await stat(import.meta.filename)
    while (answer === null && afterMs < WATCHDOG_MS) {
      for (let turn = 0; turn < 20; turn += 1) await turnOfTheLoop()
      // what a call loads when it is first made takes real time, more of it on a busy machine
      await stat(import.meta.filename)
      if (answer !== null) break
      mock.timers.tick(1_000)
      afterMs += 1_000
    }
    assert.ok(answer !== null, `${tool} has not answered after ${afterMs} ms`)
    await call
    return { answer, afterMs }
  }

  it('answers with the id of the task after ten minutes; the task goes on, and is fetched by the id', async () => {
    const slow = { peer: 'researcher', skill: 'slow' }
    const { answer, afterMs } = await timed('mesh_delegate', slow, { from: () => begun })
    assert.ok(afterMs <= 601_000, `${afterMs} ms`)
    assert.equal(answer.isError, false)
    const { id, state } = answer.details
    assert.deepEqual([typeof id, state], ['string', 'working'])
    const again = await timed('mesh_task', { action: 'wait', id, wait_seconds: 3_600 })
    assert.ok(again.afterMs <= 601_000, `${again.afterMs} ms`)
    assert.equal(again.answer.details.id, id)
    assert.equal(aborted, false)
    release('at last')
    let last: ToolAnswer
    // a stream that is silent while minutes pass at once may be taken for lost: then it is looked for again
    do last = (await timed('mesh_task', { action: 'wait', id })).answer
    while (last.details.state === 'working')
    assert.equal(last.details.output, 'at last')
  })

  it('tells the model after eight minutes that its caller has not answered a question', async () => {
    const task = planner.delegate('researcher', { skill: 'asks', detached: true })
    while (asking === null) await turnOfTheLoop()
    const turn = createTurn(asking.task, asking.context, ['mesh_ask'])
    const end = turns.begin(SESSION, turn)
    const { answer, afterMs } = await timed(
      'mesh_ask',
      { question: 'which one?' },
      { sessionKey: SESSION },
    )
    end()
    assert.ok(afterMs <= 481_000, `${afterMs} ms`)
    assert.match(answer.text, /^The caller has not answered yet\. End your turn now/)
    release('')
    await task.result()
  })
})
