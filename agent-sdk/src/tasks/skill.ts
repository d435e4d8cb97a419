/** What a skill author writes against. */
import type { AgentIdentity } from '@clawmesh/proto'
import { optionNames } from '../check-options.ts'
import type { DelegateOptions, Delegation } from '../client/delegation.ts'
import type { AgentFetch } from '../egress/agent-fetch.ts'
import type { Log } from '../log.ts'
import type { Content, Part } from '../model/part.ts'
import type { SkillSchema } from '../schema/value-schema.ts'
import type { TaskChain } from './task-chain.ts'

/**
 * Does one kind of work. What it returns is the result: a string, a Uint8Array, parts, or any JSON value.
 * An error that it throws ends the task as failed, and its words stay in the log of this agent; throw a `MeshError` to
 * choose the code and the message that the caller sees. A code of your own (`new MeshError('QUOTA_EXHAUSTED', 'no more today')`) reaches
 * it as `facts.code` of MESH_TASK_FAILED.
 *
 * @example
 * import type { Skill } from '@clawmesh/agent-sdk'
 *
 * const summarize: Skill = async (task, ctx) => {
 *   ctx.progress(0.5, 'reading')
 *   const page = await ctx.fetch(task.text())
 *   return { words: (await page.text()).split(/\s+/).length }
 * }
 */
export type Skill = (
  task: Task,
  ctx: TaskContext,
) => Content | undefined | Promise<Content | undefined>

/**
 * A skill, what goes into it and comes out, who may call it, and how it takes the end of its process.
 *
 * @example
 * import type { SkillWithOptions } from '@clawmesh/agent-sdk'
 *
 * const summarize: SkillWithOptions = {
 *   description: 'Summarizes a web page',
 *   input: { type: 'object', properties: { url: { type: 'string' } }, required: ['url'] },
 *   output: { type: 'string' },
 *   run: async (task, ctx) => (await ctx.fetch(Object(task.json()).url)).text(),
 * }
 */
export interface SkillWithOptions {
  readonly run: Skill
  /** What it does, for people and models; `agent.describe` shows it. At most 4,096 characters. */
  readonly description?: string
  /** Checked before the skill runs: other input ends the task as rejected, with MESH_TASK_INPUT_INVALID. Default: any. */
  readonly input?: SkillSchema
  /** Checked before the result leaves: another one ends the task with MESH_TASK_OUTPUT_INVALID. Default: any. */
  readonly output?: SkillSchema
  /** Who may call it, of the callers that policy lets through. For others it is not there. Default: all of them. */
  readonly allows?: (caller: AgentIdentity) => boolean
  /**
   * True: when the agent dies while a task runs, the task is run again by the next one, from where `ctx.checkpoint` was called
   * last. The skill must bear that. Default false: the task ends as orphaned, with MESH_TASK_INTERRUPTED, and is never run twice.
   */
  readonly resume?: boolean
}

export const SKILL_OPTIONS = optionNames<SkillWithOptions>({
  run: true,
  description: true,
  input: true,
  output: true,
  allows: true,
  resume: true,
})

/** What a caller sent. */
export interface Answer {
  readonly parts: readonly Part[]
  /** All text parts joined; empty when there is none. */
  text(): string
  /** The first JSON part, or undefined. Whatever it is: the caller chose it, so check it. */
  json(): unknown
}

/** The task that a skill works on: what the caller sent, and the identity of the caller. */
export interface Task {
  /** Id of the delegation: a UUIDv7. */
  readonly id: string
  readonly skill: string
  readonly input: readonly Part[]
  /** Who asked, as the gateway knows it from its certificate. */
  readonly caller: AgentIdentity
  readonly labels: Readonly<Record<string, string>>
  /** The chain of delegation that it is part of; null for a task that came past the gateway. */
  readonly chain: TaskChain | null
  /** When the task must have ended; null means never. */
  readonly deadline: Date | null
  /** All text parts of the input joined; empty when there is none. */
  text(): string
  /** The first JSON part of the input, or undefined. Whatever it is: the caller chose it, so check it. */
  json(): unknown
}

/**
 * What a skill does for its task: tells of progress, sends files, asks the caller, delegates, fetches.
 *
 * @example
 * import type { Skill } from '@clawmesh/agent-sdk'
 *
 * const report: Skill = async (task, ctx) => {
 *   const answer = await ctx.ask('which year?')
 *   const data = await ctx.delegate('researcher', { skill: 'collect', input: answer.text() }).result()
 *   await ctx.artifact('data.json', JSON.stringify(data.json()), { mediaType: 'application/json' })
 *   return `the report of ${answer.text()} is done`
 * }
 */
export interface TaskContext {
  /** Aborts when the task is cancelled, expired or orphaned; its reason is a MeshError. The task has ended then, whatever the skill does. */
  readonly signal: AbortSignal
  /** Tells how far it is, between 0 and 1. */
  progress(fraction: number, note?: string): void
  /** A piece of running text: tokens of a model, lines of a log. */
  message(text: string): void
  /** Tells what it is doing. */
  status(note: string): void
  /** Amounts used since the last call, e.g. `{ input_tokens: 12 }`. */
  usage(amounts: Readonly<Record<string, number>>): void
  /**
   * Sends a file in chunks. Names are used once in a task. Resolves with its SHA-256 when all of it is kept.
   * In a task that is run again, what was sent before is not sent twice: the data must be the same, and goes on where it broke off.
   * @throws TypeError when the name was used before, MeshError MESH_TASK_ARTIFACT_CHANGED when the data is not the same
   */
  artifact(
    name: string,
    data: Uint8Array | string | AsyncIterable<Uint8Array>,
    options?: { readonly mediaType?: string },
  ): Promise<{ readonly name: string; readonly sha256: string; readonly bytes: number }>
  /**
   * Asks the caller, and waits until it has answered with `delegation.sendInput(…)`; the task is input-required so long.
   * @throws the reason of the end when the task ends first
   */
  ask(question: Content): Promise<Answer>
  /**
   * Saves where the skill stands, at most 1 MiB of JSON, together with all that it told before in the same turn of the event
   * loop; resolves when both are on disk. Only of use to a skill that is resumed.
   */
  checkpoint(state: unknown): Promise<void>
  /** True when the task is run again, after its agent died or was closed. */
  readonly resumed: boolean
  /** What an earlier run passed to `checkpoint` last; undefined when there is none. */
  readonly saved: unknown
  /** Ends the task as rejected: the skill will not do it. */
  reject(message: string): never
  /** As `agent.fetch`; ends with the task. */
  readonly fetch: AgentFetch
  /** As `agent.delegate`; the task given away is cancelled when this one ends. */
  delegate(peer: string, options: DelegateOptions): Delegation
  /**
   * Runs work that came by another way than this skill's own code (a queue, a socket, a hook of the host) as part of this task:
   * what `agent.delegate`, `agent.fetch` and their like do within it, now and after any `await`, they do for this task.
   * @returns what the work returns
   * @throws the reason of the end when the task has ended: the work is not run then
   */
  enter<T>(work: () => T): T
  /**
   * Where the task stands in its trace (W3C Trace Context): for what the skill calls by other ways, and for other logs. What it does
   * by `ctx` and by its agent continues the trace by itself.
   */
  readonly traceparent: string
  /** The log of the agent; each line carries the delegation id, and the ids of the trace and of the tree (`root_id`). */
  readonly log: Log
}
