/**
 * What a task asks its caller. Questions are numbered in the order in which they are asked, so that a skill that is run
 * again finds the answers that it had already, and does not ask twice.
 */
import { MeshError } from '@clawmesh/proto'
import { startTimer } from '../model/long-timer.ts'
import type { Part } from '../model/part.ts'
import type { TaskInput, TaskRecord } from '../model/task-store.ts'
import type { LiveTask } from './live-task.ts'
import { failureOf } from './task-info.ts'

export interface Questions {
  /** Resolves with the answer. @throws the reason of the end when the task ends without one */
  ask(question: readonly Part[]): Promise<readonly Part[]>
  /** @throws MeshError MESH_TASK_INPUT_UNEXPECTED, MESH_TASK_CONFLICT */
  answer(inputId: string, answer: readonly Part[], hash: string): void
  /** From an earlier run: how many were asked when it saved, and what was answered. Before the skill runs. */
  recall(asked: number, answers: ReadonlyMap<string, readonly Part[]>): void
  /** Stops the clock, when the task runs here no more. */
  close(): void
}

export interface QuestionsOptions {
  readonly live: LiveTask
  /** How long the task waits for an answer before it fails, in milliseconds; counted from the question, over restarts too. */
  readonly timeoutMs: number
  readonly now: () => number
  /** Called before the skill gets an answer. */
  flush(): void
}

const MAX_QUESTIONS = 1_000

export function createQuestions(options: QuestionsOptions): Questions {
  const { live, timeoutMs, now, flush } = options
  const waiting = new Map<string, (answer: readonly Part[]) => void>()
  const answered = new Map<string, readonly Part[]>()
  let asked = 0
  let stopClock = () => {}

  /** Of the question that has been open for longest. */
  const setClock = () => {
    stopClock()
    const open = live.record().inputs.find(({ answerHash }) => answerHash === null)
    if (open === undefined || live.ended()) return
    stopClock = startTimer((open.askedMs ?? live.record().updatedMs) + timeoutMs - now(), () =>
      live.fail(failureOf(new MeshError('MESH_TASK_INPUT_EXPIRED'), 'expired')),
    )
  }
  // an earlier process may have asked
  setClock()

  return {
    async ask(question) {
      live.signal.throwIfAborted()
      asked += 1
      const id = String(asked)
      const { inputs, state } = live.record()
      const known = answered.get(id)
      if (known !== undefined) return known
      if (asked > MAX_QUESTIONS)
        throw new MeshError('MESH_LIMIT_SIZE', `a task asks ${MAX_QUESTIONS} questions at most`)
      const required = { state: 'input-required' } as const
      if (!inputs.some((input) => input.id === id)) {
        const next = Object.freeze([...inputs, { id, answerHash: null, askedMs: now() }])
        live.emit({ kind: 'input-required', inputId: id, question }, { ...required, inputs: next })
        setClock()
      } else if (state !== 'input-required')
        live.emit({ kind: 'status', ...required, note: '' }, required)
      return untilAborted(live.signal, (resolve) => waiting.set(id, resolve))
    },
    answer(inputId, answer, hash) {
      const record = live.record()
      const input = checkAnswer(record, inputId, hash)
      if (input === null) return
      const inputs = Object.freeze(
        record.inputs.map((each) => (each.id === input.id ? { ...each, answerHash: hash } : each)),
      )
      const state = inputs.some((each) => each.answerHash === null) ? 'input-required' : 'working'
      live.emit({ kind: 'input-received', inputId: input.id, answer }, { state, inputs })
      flush()
      answered.set(input.id, answer)
      waiting.get(input.id)?.(answer)
      waiting.delete(input.id)
      setClock()
    },
    recall(before, answers) {
      asked = before
      for (const [id, answer] of answers) answered.set(id, answer)
    },
    close: () => stopClock(),
  }
}

/** The question that is answered, or null when it was answered before in the same way. @throws MeshError */
export function checkAnswer(record: TaskRecord, inputId: string, hash: string): TaskInput | null {
  const open = record.inputs.filter((input) => input.answerHash === null)
  const [only] = open
  const input =
    inputId === '' && open.length === 1 ? only : record.inputs.find(({ id }) => id === inputId)
  if (input === undefined) throw new MeshError('MESH_TASK_INPUT_UNEXPECTED')
  if (input.answerHash === hash) return null
  if (input.answerHash !== null)
    throw new MeshError('MESH_TASK_CONFLICT', 'the question was answered in another way')
  if (record.endedMs !== null)
    throw new MeshError('MESH_TASK_INPUT_UNEXPECTED', 'the task has ended')
  return input
}

function untilAborted<T>(
  signal: AbortSignal,
  start: (resolve: (value: T) => void) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason)
    if (signal.aborted) return abort()
    signal.addEventListener('abort', abort, { once: true })
    start((value) => {
      signal.removeEventListener('abort', abort)
      resolve(value)
    })
  })
}
