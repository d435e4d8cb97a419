/** A delegation of a peer becomes a turn of an agent of this OpenClaw: once, with the tools of that caller and no others. */
import { randomUUID } from 'node:crypto'
import { plainLineOf } from '@clawmesh/agent/tools'
import { MeshError, type Part, type Skill, type Task, type TaskContext } from '@clawmesh/agent-sdk'
import type { ServedSkill } from '../config/plugin-config.ts'
import type { Host } from '../host/host.ts'
import type { EmbeddedRunResult } from '../host/openclaw-types.ts'
import { toolsFor } from './caller.ts'
import { imagesOf } from './files-of-caller.ts'
import type { Lanes } from './lanes.ts'
import { sessionOf } from './session-key.ts'
import { tellEvent, tellUsage } from './tell-caller.ts'
import { promptAfter, promptFor, systemPromptFor } from './turn-prompt.ts'
import { createTurn, type Turns } from './turns.ts'

export interface TurnSkillOptions {
  readonly name: string
  /** As configured now; null when it no longer is. */
  settings(): ServedSkill | null
  readonly ownTenant: string
  readonly turns: Turns
  readonly lanes: Lanes
  /** OpenClaw, also when the plugin is being reloaded: then it comes within seconds. @throws MeshError when it does not */
  host(signal: AbortSignal): Promise<Host>
}

/** What a turn may always use. */
export const ASK_TOOL = 'mesh_ask'
const MOST_RUNS = 20

export function createTurnSkill(options: TurnSkillOptions): Skill {
  return async (task, context) => {
    judge(options, task, context)
    const { lanes, name, settings } = options
    const leave = await lanes.enter(name, () => settings()?.concurrent ?? 1, context.signal)
    try {
      // what was true when it began to wait may no longer be
      const judged = judge(options, task, context)
      const session = sessionOf(judged.settings.agent, task.caller, task.id)
      return await serve({ options, task, context, session, ...judged })
    } finally {
      leave()
    }
  }
}

/** By the configuration of now. @throws to reject the task */
function judge(
  { settings: current, ownTenant }: TurnSkillOptions,
  task: Task,
  context: TaskContext,
): Pick<Served, 'settings' | 'allowed'> {
  const settings = current()
  if (settings === null) return context.reject(`the skill ${task.skill} is no longer served`)
  const allowed = toolsFor(task.caller, settings, ownTenant)
  if (allowed === null) return context.reject('this agent does not serve that caller')
  return { settings, allowed }
}

interface Served {
  readonly options: TurnSkillOptions
  readonly task: Task
  readonly context: TaskContext
  readonly settings: ServedSkill
  readonly session: ReturnType<typeof sessionOf>
  readonly allowed: readonly string[]
}

/** A question that the caller answers after the run has ended begins a further run, which is told all that was said. */
async function serve(served: Served): Promise<string> {
  const { options, task, context, settings, session, allowed } = served
  const tools = [...new Set([...allowed, ASK_TOOL])]
  const turn = createTurn(task, context, tools)
  const untilMs = performance.now() + settings.timeoutMs
  let prompt = promptFor(task)
  const given = [...task.input]
  const end = options.turns.begin(session.sessionKey, turn)
  try {
    for (let run = 1; ; run += 1) {
      const leftMs = Math.floor(untilMs - performance.now())
      if (leftMs <= 0 || run > MOST_RUNS) throw tookTooLong(settings.timeoutMs)
      const text = await runOnce(served, tools, { prompt, given }, leftMs)
      const due = turn.dueAnswer()
      if (due === null) return text
      const { parts } = await due
      given.push(...parts)
      prompt = promptAfter(prompt, text, parts)
      turn.delivered()
    }
  } finally {
    end()
  }
}

async function runOnce(
  { options, task, context, settings, session }: Served,
  tools: readonly string[],
  { prompt, given }: { readonly prompt: string; readonly given: readonly Part[] },
  leftMs: number,
): Promise<string> {
  const host = await options.host(context.signal)
  const { signal } = context
  const over = new AbortController()
  // the runner has a limit of its own, which it may take its time for
  const timer = setTimeout(() => over.abort(tookTooLong(settings.timeoutMs)), leftMs)
  const result = await host
    .runTurn({
      ...session,
      ...{ agentId: settings.agent, runId: randomUUID(), prompt, tools, timeoutMs: leftMs },
      images: imagesOf(given),
      systemPrompt: systemPromptFor(task, settings.description, tools),
      signal: AbortSignal.any([signal, over.signal]),
      onEvent: (event) => {
        if (!signal.aborted) tellEvent(context, event)
      },
    })
    .catch((cause: unknown) => {
      signal.throwIfAborted()
      over.signal.throwIfAborted()
      throw new MeshError('TURN_FAILED', 'the agent could not take the turn', { cause })
    })
    .finally(() => clearTimeout(timer))
  signal.throwIfAborted()
  over.signal.throwIfAborted()
  const { diagnosticTrace } = result
  context.log.info({ turn_trace_id: diagnosticTrace?.traceId }, 'a turn for a peer has ended')
  tellUsage(context, result)
  return textOf(result)
}

function textOf({ payloads = [], meta }: EmbeddedRunResult): string {
  const said = payloads.filter(
    ({ text, isError, isReasoning, isCommentary }) =>
      text !== undefined && text !== '' && !(isError || isReasoning || isCommentary),
  )
  if (meta.aborted === true || meta.error !== undefined || said.length === 0) {
    const kind = meta.error === undefined ? '' : `: ${plainLineOf(meta.error.kind, 60)}`
    throw new MeshError('TURN_FAILED', `the agent did not finish its turn${kind}`)
  }
  return said.map(({ text }) => text).join('\n\n')
}

function tookTooLong(timeoutMs: number): MeshError {
  return new MeshError('MESH_TASK_EXPIRED', `the turn took longer than ${timeoutMs / 1_000} s`)
}
