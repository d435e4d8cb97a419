/** Reads a request body whole, within its own bound, the bound of all bodies together, and a time. */
import { MeshError } from '@clawmesh/proto'
import { AROUND_DATA_BYTES, type Meter } from '../client/meter.ts'
import type { HttpRequest } from './http.ts'

export interface BodyLimits {
  readonly maxBytes: number
  /** Of all bodies that are being read. */
  readonly maxTotalBytes: number
  readonly timeoutMs: number
}

export interface Bodies {
  /**
   * @param meter of the client's connection
   * @throws MeshError MESH_LIMIT_SIZE, MESH_LIMIT_CONCURRENCY, MESH_CALL_DEADLINE, MESH_CALL_CANCELED
   */
  read(request: HttpRequest, meter: Meter): Promise<Buffer>
}

export function createBodies({ maxBytes, maxTotalBytes, timeoutMs }: BodyLimits): Bodies {
  /** Of all bodies that are being read. */
  let heldBytes = 0

  return {
    async read(request, meter) {
      const chunks: Buffer[] = []
      let size = 0
      const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
      const late = () =>
        reject(new MeshError('MESH_CALL_DEADLINE', `the body takes longer than ${timeoutMs} ms`))
      const timer = setTimeout(late, timeoutMs)
      const take = (chunk: Buffer) => {
        meter.bytes += chunk.length + AROUND_DATA_BYTES
        size += chunk.length
        heldBytes += chunk.length
        if (size > maxBytes)
          reject(new MeshError('MESH_LIMIT_SIZE', `a request has ${maxBytes} bytes at most`))
        else if (heldBytes > maxTotalBytes)
          reject(
            new MeshError('MESH_LIMIT_CONCURRENCY', 'the gateway reads as many bodies as it may', {
              retryAfterMs: 1_000,
            }),
          )
        else chunks.push(chunk)
      }
      const end = () => resolve(Buffer.concat(chunks))
      const gone = () => reject(new MeshError('MESH_CALL_CANCELED', 'the body is cut short'))
      request.on('data', take).once('end', end).once('error', gone).once('close', gone)
      try {
        return await promise
      } finally {
        clearTimeout(timer)
        heldBytes -= size
        request.off('data', take).off('end', end).off('close', gone)
        // what is left of it is not read into memory; `error` keeps its listener
        request.resume()
      }
    },
  }
}
