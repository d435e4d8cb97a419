/** Lets a few pieces of work run at once; the others wait in line. */

/** @returns null for work that nobody wants any more when its turn comes */
export type Turns = <T>(work: () => Promise<T>, wanted: () => boolean) => Promise<T | null>

export function createTurns(most: number): Turns {
  const waiting: (() => void)[] = []
  let running = 0
  return async (work, wanted) => {
    if (running >= most) await new Promise<void>((begin) => waiting.push(begin))
    else running += 1
    try {
      // other work of the event loop comes between two answers, however many wait
      await new Promise<void>((begin) => setImmediate(begin))
      return wanted() ? await work() : null
    } finally {
      const next = waiting.shift()
      if (next === undefined) running -= 1
      else next()
    }
  }
}
