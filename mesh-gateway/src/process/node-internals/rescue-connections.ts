/**
 * Rescues a connection that a worker was given and did not take before it died: another worker gets it. node:cluster
 * accepts in the supervisor, sends each connection to a worker in a message, and keeps its own handle until the worker
 * confirms. When the worker dies first, Node waits for the confirmation for ever: the client hangs, the handle is never
 * closed, and 'disconnect' never comes. This file sends both in place of the dead worker
 * (docs/discoveries/a-connection-that-a-dead-worker-was-given.md).
 */
import type { Worker } from 'node:cluster'
import { propertyOf } from '@clawmesh/agent-sdk/mesh'
import { patchesNode } from './switch.ts'

/**
 * To be called for a worker that was just forked. False when the worker was left alone: it does not look as in Node 24,
 * or the switch is off.
 * @param others true when another worker can take its connections; otherwise they are closed
 */
export function rescueConnections(worker: Worker, others: () => boolean): boolean {
  if (!patchesNode() || !looksAsExpected(worker)) return false
  /** At most one per port: a worker gets the next one after it has confirmed the last. */
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
    const taken = propertyOf(message, 'ack')
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
  // first node:cluster removes the worker from the round robin, then its connections are handed out again
  worker.once('disconnect', () => {
    // an accepted connection is closed here
    const accepted = !others()
    for (const ack of given.splice(0))
      child.emit('internalMessage', { cmd: 'NODE_CLUSTER', ack, accepted })
  })
  return true
}

/** node:cluster listens to the internal messages of the worker, and sends and disconnects by methods of its process. */
function looksAsExpected({ process: child }: Worker): boolean {
  return (
    typeof child.send === 'function' &&
    typeof child.disconnect === 'function' &&
    child.listenerCount('internalMessage') > 0
  )
}

/** The sequence number of a message that awaits an answer. */
function numberOf(message: unknown, key: string, value: string): number | null {
  const seq = propertyOf(message, 'seq')
  return propertyOf(message, key) === value && typeof seq === 'number' ? seq : null
}
