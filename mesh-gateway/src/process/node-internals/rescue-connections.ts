/**
 * A connection that a worker was given and did not take before it died goes to another worker.
 * node:cluster accepts in the supervisor, hands each connection over in a message, and keeps its own handle until the
 * worker says that it has it. When the worker dies first, Node waits for that word for ever: the client hangs, the handle is
 * never closed, and 'disconnect' never comes. Here both are said in the name of the dead
 * (docs/discoveries/a-connection-that-a-dead-worker-was-given.md).
 */
import type { Worker } from 'node:cluster'

/**
 * For a worker that was forked just now.
 * @param others whether another one is there to take what it had; otherwise the client is told by the end of its connection
 */
export function rescueConnections(worker: Worker, others: () => boolean): void {
  /** One for each port at most: a worker is given the next one when it has the last. */
  const given: number[] = []
  const { process: child } = worker
  const send = child.send.bind(child)
  const watchedSend = (...args: Parameters<typeof send>) => {
    const number = numberOf(args[0], 'act', 'newconn')
    if (number !== null) given.push(number)
    return send(...args)
  }
  Reflect.set(child, 'send', watchedSend)
  child.on('internalMessage', (message: unknown) => {
    const taken = property(message, 'ack')
    const at = typeof taken === 'number' ? given.indexOf(taken) : -1
    if (at !== -1) given.splice(at, 1)
  })

  let said = false
  child.once('disconnect', () => {
    said = true
  })
  // called when the channel has been read to its end
  const disconnect = child.disconnect.bind(child)
  Reflect.set(child, 'disconnect', () => {
    disconnect()
    process.nextTick(() => {
      if (!said) child.emit('disconnect')
    })
  })
  // first node:cluster takes the worker out of the round, then what it had goes round again
  worker.once('disconnect', () => {
    // what is accepted is closed here
    const accepted = !others()
    for (const ack of given.splice(0))
      child.emit('internalMessage', { cmd: 'NODE_CLUSTER', ack, accepted })
  })
}

/** The number under which an answer to this message is awaited. */
function numberOf(message: unknown, key: string, value: string): number | null {
  const seq = property(message, 'seq')
  return property(message, key) === value && typeof seq === 'number' ? seq : null
}

function property(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined
}
