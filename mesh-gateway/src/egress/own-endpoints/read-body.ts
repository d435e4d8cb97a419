/** Reads a small body whole, within a size limit and a timeout. */

import type { BufferedSocket } from '../carry/buffered-socket.ts'
import { createBodyDecoder } from '../http1/body-decoder.ts'
import { MalformedMessage } from '../http1/head.ts'
import { type Refused, refuse } from '../refused.ts'

export interface ReadBodyOptions {
  readonly length: number | 'chunked'
  readonly maxBytes: number
  readonly timeoutMs: number
  /** The client sends the body only after 100 Continue. */
  readonly expectContinue: boolean
}

const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n'

export function readBody(
  socket: BufferedSocket,
  options: ReadBodyOptions,
): Promise<Buffer | Refused> {
  const { length, maxBytes, timeoutMs } = options
  const tooLarge = () =>
    refuse('limits', 'MESH_LIMIT_SIZE', { message: `the body is larger than ${maxBytes} bytes` })
  if (typeof length === 'number' && length > maxBytes) return Promise.resolve(tooLarge())
  if (length === 0) return Promise.resolve(Buffer.alloc(0))
  if (options.expectContinue && socket.heldBytes === 0) socket.writeText(CONTINUE)
  return new Promise((resolve) => {
    const pieces: Buffer[] = []
    let size = 0
    const end = (result: Buffer | Refused) => {
      clearTimeout(timer)
      socket.release()
      socket.onClosed(null)
      resolve(result)
    }
    const timer = setTimeout(() => end(refuse('client', 'MESH_EGRESS_SLOW')), timeoutMs)
    const decoder = createBodyDecoder(length, (data) => {
      size += data.length
      if (size <= maxBytes) pieces.push(data)
    })
    socket.onClosed(() => end(refuse('client', 'MESH_CALL_CANCELED')))
    socket.read({
      data(chunk) {
        socket.keep()
        try {
          const taken = decoder.push(chunk)
          if (size + decoder.extraBytes > maxBytes) end(tooLarge())
          else if (decoder.done) {
            end(Buffer.concat(pieces))
            socket.unread(chunk.subarray(taken))
          }
        } catch (error) {
          if (!(error instanceof MalformedMessage)) throw error
          end(refuse('syntax', 'MESH_EGRESS_MALFORMED', { message: error.message }))
        }
      },
      end: () =>
        end(refuse('client', 'MESH_EGRESS_MALFORMED', { message: 'the body is cut short' })),
    })
  })
}
