/** Runs one of the mesh's tools: for the agent itself, or within the task of the peer whose turn calls it. */

import { markUntrusted, type Tools } from '@clawmesh/agent/tools'
import { type Agent, type Log, MeshError } from '@clawmesh/agent-sdk'
import { answerInWords } from '../inbound/turn-prompt.ts'
import type { Turn, Turns } from '../inbound/turns.ts'
import type { GuardedCall, ToolAnswer, ToolCall } from './contract.ts'
import { TASK_ENDED } from './guard-call.ts'

export interface RunOptions {
  readonly agent: Agent | null
  /** Why there is no agent. */
  readonly why: Error | null
  readonly tools: Tools | null
  readonly turns: Turns
  readonly waitMs: number
  readonly log: Log
  guard(call: GuardedCall): Promise<string | null>
}

// before OpenClaw's watchdog strikes
const ASK_WAIT_MS = 480_000

/** Never rejects for what the world does. */
export async function runCall(call: ToolCall, options: RunOptions): Promise<ToolAnswer> {
  const { params, sessionKey } = call
  const record = isRecord(params) ? params : {}
  // the hook has judged it in a turn; a call that comes past the hooks is judged here
  const refused = await options.guard({ tool: call.tool, params: record, sessionKey })
  if (refused !== null) return refusal(refused)
  const turn = options.turns.find(sessionKey ?? undefined)
  if (call.tool === 'mesh_ask') return askCaller(turn, record, call.signal)
  const { agent, tools } = options
  if (agent === null || tools === null) return notUp(options)
  const { tool } = call
  const work = () =>
    tools.get(tool).run(params, {
      ...{ agent, maxWaitMs: options.waitMs, log: options.log },
      owner: turn === null ? `agent ${call.agentId ?? ''}` : `session ${sessionKey}`,
      // the hook judges the target of a redirect too
      redirects: 'manual',
      // the scope of the task has the trace of its caller
      ...(turn !== null || call.traceparent === null ? {} : { traceparent: call.traceparent }),
      ...(call.workspaceDir === null ? {} : { workspaceDir: call.workspaceDir }),
      ...(call.signal === null ? {} : { signal: call.signal }),
      onProgress: ({ note }) => call.onProgress(note),
    })
  if (turn === null) return work()
  if (turn.context.signal.aborted) return refusal(TASK_ENDED)
  return turn.context.enter(work)
}

/** An answer that does not come in time is told by a later run of the same conversation. */
async function askCaller(
  turn: Turn | null,
  { question }: Readonly<Record<string, unknown>>,
  signal: AbortSignal | null,
): Promise<ToolAnswer> {
  if (turn === null)
    return refusal('CLAWMESH_NO_CALLER: nobody of the mesh asked for this. Ask your own user.')
  if (typeof question !== 'string' || question.trim() === '' || question.length > 20_000)
    return refusal('TOOL_ARGUMENTS: question must be a text. Call it again with one.')
  const over = Promise.withResolvers<null>()
  const timer = setTimeout(() => over.resolve(null), ASK_WAIT_MS)
  const stop = () => over.reject(signal?.reason)
  signal?.addEventListener('abort', stop, { once: true })
  try {
    const answer = await Promise.race([turn.ask(question), over.promise])
    if (answer === null)
      return fact(
        'The caller has not answered yet. End your turn now; you get its answer as the next message.',
      )
    turn.delivered()
    const from = `the caller ${turn.task.caller.tenant}/${turn.task.caller.agent}`
    return fact(markUntrusted(from, answerInWords(answer.parts)))
  } catch (error) {
    if (!(error instanceof MeshError) || error.code !== 'MESH_LIMIT_SIZE') throw error
    return refusal(`${error.code}: ${error.message}. Ask the caller for a shorter answer.`)
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', stop)
  }
}

function notUp({ why }: RunOptions): ToolAnswer {
  const code = why instanceof MeshError ? why.code : 'MESH_GATEWAY_STARTING'
  const advice =
    why === null
      ? 'the mesh is being connected: try once more in a few seconds'
      : "this agent's own connection to the mesh is at fault, which you cannot repair: tell your user, who asks the operator"
  return refusal(`${code}: this agent is not in the mesh. What you may do: ${advice}.`)
}

function refusal(text: string): ToolAnswer {
  const [code = ''] = text.split(':')
  return { text, isError: true, details: { code } }
}

function fact(text: string): ToolAnswer {
  return { text, isError: false, details: {} }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
