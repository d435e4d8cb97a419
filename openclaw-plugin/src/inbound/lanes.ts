/** How many turns of one skill run at once. The others wait in order. */

export interface Lanes {
  /**
   * Resolves when there is room.
   * @param atOnce read anew each time somebody leaves
   * @returns gives the room back
   * @throws the reason of the signal
   */
  enter(name: string, atOnce: () => number, signal: AbortSignal): Promise<() => void>
}

interface Lane {
  running: number
  readonly waiting: (() => void)[]
}

export function createLanes(): Lanes {
  const lanes = new Map<string, Lane>()
  const laneOf = (name: string): Lane => {
    const found = lanes.get(name)
    if (found !== undefined) return found
    const made: Lane = { running: 0, waiting: [] }
    lanes.set(name, made)
    return made
  }
  const leave = (name: string, lane: Lane, atOnce: () => number) => {
    lane.running -= 1
    while (lane.running < atOnce() && lane.waiting.length > 0) {
      lane.running += 1
      lane.waiting.shift()?.()
    }
    if (lane.running === 0 && lane.waiting.length === 0) lanes.delete(name)
  }
  return {
    async enter(name, atOnce, signal) {
      signal.throwIfAborted()
      const lane = laneOf(name)
      if (lane.running < atOnce()) lane.running += 1
      else await turnComes(lane, signal)
      let left = false
      return () => {
        if (!left) leave(name, lane, atOnce)
        left = true
      }
    },
  }
}

function turnComes({ waiting }: Lane, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const go = () => {
      signal.removeEventListener('abort', stop)
      resolve()
    }
    const stop = () => {
      waiting.splice(waiting.indexOf(go), 1)
      reject(signal.reason)
    }
    waiting.push(go)
    signal.addEventListener('abort', stop, { once: true })
  })
}
