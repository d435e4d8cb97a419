/**
 * An address that takes no connections and refuses none, as behind a firewall that drops packets: a listening socket whose queue is full,
 * in a thread that accepts nothing.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { Worker } from 'node:worker_threads'

export interface DeadAddress {
  readonly host: string
  readonly port: number
  close(): Promise<void>
}

const LISTENER = `
const { createServer } = require('node:net')
const { parentPort, workerData } = require('node:worker_threads')
const server = createServer()
server.on('error', (error) => { throw error })
server.listen({ ...workerData.address, backlog: 1 }, () => {
  parentPort.postMessage(server.address().port)
  Atomics.wait(new Int32Array(workerData.until), 0, 0)
  process.exit()
})
`
/** More than any system queues for a backlog of 1. */
const MOST = 32
/** A connection that is queued is there within a moment on loopback. */
const QUEUED_WITHIN_MS = 250

/** @param port Default any that is free. */
export async function startDeadAddress(host = '127.0.0.2', port = 0): Promise<DeadAddress> {
  const until = new SharedArrayBuffer(4)
  const worker = new Worker(LISTENER, {
    eval: true,
    workerData: { address: { host, port }, until },
  })
  const [listening]: unknown[] = await once(worker, 'message')
  const number = Number(listening)
  const queued: Socket[] = []
  let dead = false
  while (!dead) {
    assert.ok(queued.length < MOST, 'the queue of the system is never full')
    const socket = connect({ host, port: number })
    socket.on('error', () => {})
    queued.push(socket)
    dead = await Promise.race([once(socket, 'connect').then(() => false), silence()])
  }
  return {
    host,
    port: number,
    async close() {
      for (const socket of queued) socket.destroy()
      const ended = once(worker, 'exit')
      Atomics.store(new Int32Array(until), 0, 1)
      Atomics.notify(new Int32Array(until), 0)
      await ended
    },
  }
}

function silence(): Promise<true> {
  return new Promise((resolve) => setTimeout(() => resolve(true), QUEUED_WITHIN_MS))
}
