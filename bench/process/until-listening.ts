/** Waits until a program that says nothing of itself takes connections. */
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Started } from './processes.ts'

/** @throws Error when the process ends first, or after 15 seconds. */
export async function untilListening(port: number, started: Started): Promise<void> {
  const patience = AbortSignal.timeout(15_000)
  const tooEarly = started.ended.then(() => started.line()).then(() => false)
  while (!patience.aborted) {
    if (await Promise.race([answers(port), tooEarly])) return
    await sleep(20)
  }
  throw new Error(`nothing listens on port ${port} in time`)
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
