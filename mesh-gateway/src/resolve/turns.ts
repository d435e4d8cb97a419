/**
 * Lets so many questions run at once, and no more than a share of them for one asker. The others wait, a bounded number, and askers
 * take turns: who asks for thousands of names waits for its own, not in front of everybody.
 */
import { ResolveFailure } from './resolver.ts'

export interface TurnsOptions {
  /** All askers together. */
  readonly atOnce: number
  readonly atOncePerAsker: number
  /** How many may wait, all askers together. */
  readonly waiting: number
  waitingPerAsker(asker: string): number
}

export interface Turns {
  /**
   * Runs `work` when its turn comes. Who has given up waiting is out of the queue, and its work never runs.
   * @throws ResolveFailure `timeout`, or at once `too-many` of the asker's own or `busy`
   */
  take<T>(asker: string, work: () => Promise<T>, timeoutMs: number): Promise<T>
  /** What waits is refused. */
  close(): void
}

interface Waiter {
  begin(): void
  refuse(): void
}

interface Line {
  running: number
  readonly waiting: Waiter[]
}

export function createTurns(options: TurnsOptions): Turns {
  const lines = new Map<string, Line>()
  let running = 0
  let waiting = 0

  const lineOf = (asker: string): Line => {
    const known = lines.get(asker)
    if (known !== undefined) return known
    const made: Line = { running: 0, waiting: [] }
    lines.set(asker, made)
    return made
  }
  const leave = (asker: string, line: Line) => {
    if (line.running === 0 && line.waiting.length === 0) lines.delete(asker)
  }
  const hasRoom = (line: Line) => running < options.atOnce && line.running < options.atOncePerAsker

  const run = async <T>(asker: string, line: Line, work: () => Promise<T>): Promise<T> => {
    running += 1
    line.running += 1
    try {
      return await work()
    } finally {
      running -= 1
      line.running -= 1
      leave(asker, line)
      next()
    }
  }
  /** Who was let in last is asked last again. */
  const next = () => {
    for (const [asker, line] of lines) {
      if (running >= options.atOnce) return
      if (line.waiting.length === 0 || !hasRoom(line)) continue
      waiting -= 1
      line.waiting.shift()?.begin()
      lines.delete(asker)
      lines.set(asker, line)
    }
  }
  return {
    take<T>(asker: string, work: () => Promise<T>, timeoutMs: number): Promise<T> {
      const line = lineOf(asker)
      if (line.waiting.length === 0 && hasRoom(line))
        return within(run(asker, line, work), timeoutMs, () => {})
      if (line.waiting.length >= options.waitingPerAsker(asker))
        return Promise.reject(new ResolveFailure('too-many'))
      if (waiting >= options.waiting) {
        leave(asker, line)
        return Promise.reject(new ResolveFailure('busy'))
      }
      const { promise, resolve, reject } = Promise.withResolvers<T>()
      const waiter: Waiter = {
        begin: () => resolve(run(asker, line, work)),
        refuse: () => reject(new ResolveFailure('failed')),
      }
      line.waiting.push(waiter)
      waiting += 1
      return within(promise, timeoutMs, () => {
        const at = line.waiting.indexOf(waiter)
        if (at === -1) return
        line.waiting.splice(at, 1)
        waiting -= 1
        leave(asker, line)
      })
    },
    close() {
      for (const line of [...lines.values()])
        for (const waiter of line.waiting.splice(0)) {
          waiting -= 1
          waiter.refuse()
        }
    },
  }
}

/** @param onLate called when the time is over before there was an answer. */
async function within<T>(answer: Promise<T>, timeoutMs: number, onLate: () => void): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      onLate()
      reject(new ResolveFailure('timeout'))
    }, timeoutMs)
  })
  try {
    return await Promise.race([answer, late])
  } finally {
    clearTimeout(timer)
  }
}
