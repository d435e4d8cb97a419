/** The turns that serve peers now, by their conversation: whose task a tool call belongs to. */
import type { Answer, Task, TaskContext } from '@clawmesh/agent-sdk'
import { isServedSession } from './session-key.ts'

export interface Turn {
  readonly task: Task
  readonly context: TaskContext
  /** Names of the tools that it may use. */
  readonly tools: ReadonlySet<string>
  /** Asks the caller. While an answer is due, the same one is waited for. */
  ask(question: string): Promise<Answer>
  /** The model has been told the answer. */
  delivered(): void
  /** The answer that the model has not been told yet; null when there is none. */
  dueAnswer(): Promise<Answer> | null
}

export interface Turns {
  /** @returns ends it */
  begin(sessionKey: string, turn: Turn): () => void
  /** A run that a turn starts itself, such as a sub-agent, is part of it. */
  adopt(sessionKey: string, childKey: string): void
  find(sessionKey: string | undefined): Turn | null
  /** True for a conversation of a turn that has ended, and for those of its runs: nothing may be done in it any more. */
  isOver(sessionKey: string | undefined): boolean
}

/** Runs that a turn has left behind. OpenClaw ends each of them in time. */
const MOST_LEFT = 10_000

export function createTurns(): Turns {
  const running = new Map<string, Turn>()
  const left = new Set<string>()
  const leave = (key: string) => {
    left.add(key)
    const [oldest] = left
    if (left.size > MOST_LEFT && oldest !== undefined) left.delete(oldest)
  }
  const isOver = (key: string) => !running.has(key) && (isServedSession(key) || left.has(key))
  return {
    begin(sessionKey, turn) {
      running.set(sessionKey.toLowerCase(), turn)
      return () => {
        for (const [key, each] of running)
          if (each === turn) {
            running.delete(key)
            if (!isServedSession(key)) leave(key)
          }
      }
    },
    adopt(sessionKey, childKey) {
      const [parent, child] = [sessionKey.toLowerCase(), childKey.toLowerCase()]
      const turn = running.get(parent)
      if (turn !== undefined) running.set(child, turn)
      else if (isOver(parent)) leave(child)
    },
    find: (sessionKey) =>
      sessionKey === undefined ? null : (running.get(sessionKey.toLowerCase()) ?? null),
    isOver: (sessionKey) => sessionKey !== undefined && isOver(sessionKey.toLowerCase()),
  }
}

export function createTurn(task: Task, context: TaskContext, tools: readonly string[]): Turn {
  let due: Promise<Answer> | null = null
  return {
    task,
    context,
    tools: new Set(tools),
    ask(question) {
      if (due !== null) return due
      const asked = context.ask(question)
      // the end of the task is told by whoever waits for it, if anybody does
      asked.catch(() => {})
      due = asked
      return asked
    },
    delivered() {
      due = null
    },
    dueAnswer: () => due,
  }
}
