/** Answers that another process is to give, by the number of their question. */

export interface AwaitedAnswers<T> {
  /** Null without an answer in time. */
  ask(send: (id: number) => void, withinMs: number): Promise<T | null>
  answered(id: number, answer: T | null): void
  /** The other process has ended: nothing is answered any more. */
  end(): void
}

export function createAwaitedAnswers<T>(): AwaitedAnswers<T> {
  const waiting = new Map<number, (answer: T | null) => void>()
  let asked = 0
  return {
    ask(send, withinMs) {
      const { promise, resolve } = Promise.withResolvers<T | null>()
      asked += 1
      const id = asked
      const clock = setTimeout(() => resolve(null), withinMs)
      waiting.set(id, resolve)
      send(id)
      return promise.finally(() => {
        clearTimeout(clock)
        waiting.delete(id)
      })
    },
    answered: (id, answer) => waiting.get(id)?.(answer),
    end() {
      for (const answer of waiting.values()) answer(null)
    },
  }
}
