/**
 * Limits how long a caller waits for work. Node cannot stop work that is late, so no further work begins until the late
 * work ends: a disk that hangs then holds one piece of work, and not one more with each try.
 */
import { FileFault } from './file-fault.ts'

export interface Patience {
  /** @throws FileFault NO_ANSWER when the time is over, or at once while earlier work is late; or what the work throws */
  waitFor<T>(work: () => Promise<T>): Promise<T>
  /** @throws Error once it has ended */
  pause(ms: number): Promise<void>
  /** Lets go of everything that is waited for. */
  end(): void
}

export function createPatience(what: string, timeoutMs: number): Patience {
  /** Not one promise for all to race with: it would keep what every race left there. */
  const waiting = new Set<() => void>()
  let late = false
  let ended = false
  const fault = () =>
    new FileFault('NO_ANSWER', `${what}: there was no answer within ${timeoutMs / 1000} s`)
  const noMore = () => new Error(`${what} is followed no more`)

  return {
    waitFor(work) {
      if (ended) return Promise.reject(noMore())
      if (late) return Promise.reject(fault())
      return new Promise((resolve, reject) => {
        const end = () => reject(noMore())
        waiting.add(end)
        const timer = setTimeout(() => {
          late = true
          waiting.delete(end)
          reject(fault())
        }, timeoutMs).unref()
        const over = () => {
          clearTimeout(timer)
          waiting.delete(end)
          late = false
        }
        Promise.try(work).finally(over).then(resolve, reject)
      })
    },
    pause(ms) {
      if (ended) return Promise.reject(noMore())
      return new Promise((resolve, reject) => {
        const end = () => {
          clearTimeout(timer)
          reject(noMore())
        }
        const timer = setTimeout(() => {
          waiting.delete(end)
          resolve()
        }, ms).unref()
        waiting.add(end)
      })
    },
    end() {
      ended = true
      for (const end of [...waiting]) end()
      waiting.clear()
    },
  }
}
