/**
 * Writes the events of a task to one stream. Events stay in the store until the stream has room:
 * a slow reader holds a bounded number of bytes here, however long the task.
 */

import { MeshError } from '@clawmesh/proto'
import type { ServerWritableStream } from '@grpc/grpc-js'
import type { TaskReader } from '../tasks/task-reader.ts'
import { encodeHeartbeat } from '../wire/event-codec.ts'
import { errorToStatus } from '../wire/status-codec.ts'

/** Bytes on their way in one stream, beyond which it waits. One event may go over it. */
const IN_FLIGHT_BYTES = 256 * 1024

export interface StreamOptions {
  /** A sign of life after so many milliseconds without an event. */
  readonly heartbeatMs: number
  readonly now: () => number
}

export function streamEvents<Request>(
  call: ServerWritableStream<Request, Buffer>,
  reader: TaskReader,
  { heartbeatMs, now }: StreamOptions,
): void {
  let inFlight = 0
  let closed = false
  let quiet = true

  const close = () => {
    if (closed) return
    closed = true
    clearInterval(heart)
    reader.close()
  }
  const write = (bytes: Buffer) => {
    inFlight += bytes.length
    // called when the transport has taken it, which flow control decides
    call.write(bytes, () => {
      inFlight -= bytes.length
      pump()
    })
  }
  const pump = () => {
    if (closed) return
    try {
      while (inFlight < IN_FLIGHT_BYTES) {
        const event = reader.next()
        if (event === null) break
        quiet = false
        write(event.bytes)
      }
      if (reader.done()) {
        close()
        call.end()
      }
    } catch (error) {
      close()
      call.emit('error', errorToStatus(error instanceof MeshError ? error : undefined))
    }
  }
  const heart = setInterval(() => {
    if (quiet && inFlight === 0) write(encodeHeartbeat(reader.id, new Date(now())))
    quiet = true
  }, heartbeatMs).unref()

  call.on('cancelled', close)
  call.on('close', close)
  call.on('error', close)
  reader.onChange(pump)
  pump()
}
