/**
 * A path with a delay and no limit of its own: what comes in on one side goes out on the other after half the round trip. In a thread of
 * its own, so that it does not wait for what it connects. Stands for `tc netem delay`, which not every kernel has.
 */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'

export interface DelayedPath {
  readonly port: number
  close(): Promise<void>
}

export interface DelayedPathOptions {
  /** On 127.0.0.1. */
  readonly to: number
  readonly roundTripMs: number
}

export async function startDelayedPath(options: DelayedPathOptions): Promise<DelayedPath> {
  const worker = new Worker(new URL(import.meta.url), { workerData: options })
  const [port]: unknown[] = await once(worker, 'message')
  return {
    port: Number(port),
    async close() {
      await worker.terminate()
    },
  }
}

function pass(from: Socket, to: Socket, delayMs: number): void {
  const later = (act: () => void) => void setTimeout(act, delayMs)
  from.on('data', (chunk) => later(() => to.write(chunk)))
  from.on('end', () => later(() => to.end()))
  from.on('error', () => {})
  from.on('close', () => later(() => to.destroySoon()))
}

async function serve({ to, roundTripMs }: DelayedPathOptions): Promise<void> {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    const far = connect({ host: '127.0.0.1', port: to, allowHalfOpen: true, noDelay: true })
    pass(near, far, roundTripMs / 2)
    pass(far, near, roundTripMs / 2)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  parentPort?.postMessage(typeof address === 'object' ? address?.port : null)
}

if (!isMainThread) await serve(workerData)
