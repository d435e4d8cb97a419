/**
 * Bounds the messages of callees that this process reads itself in one turn of the event loop, over all requests. A callee
 * can send them as fast as its line; what is forwarded costs little, but each of these is decoded and handled here, and
 * other calls would wait meanwhile.
 */

export interface MessagePace {
  /** True when one more message may be handled in this turn. */
  take(bytes: number): boolean
  /** Calls the listener in the next turn, once, in the order of asking. */
  wait(listener: () => void): void
}

/** About a millisecond of work. */
const MESSAGES_PER_TURN = 64
const BYTES_PER_TURN = 65_536

export function createMessagePace(): MessagePace {
  let messages = 0
  let bytes = 0
  let waiting: (() => void)[] = []
  let armed = false

  function nextTurn(): void {
    armed = false
    messages = 0
    bytes = 0
    const turn = waiting
    waiting = []
    for (const listener of turn) listener()
  }

  function arm(): void {
    if (armed) return
    armed = true
    setImmediate(nextTurn)
  }

  return {
    take(length) {
      if (messages >= MESSAGES_PER_TURN || bytes >= BYTES_PER_TURN) return false
      messages += 1
      bytes += length
      arm()
      return true
    },
    wait(listener) {
      waiting.push(listener)
      arm()
    },
  }
}
