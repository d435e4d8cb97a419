/**
 * HTTP/2 by hand: frames as bytes, for what no library would send. Either side of a connection.
 * Header blocks are literals without a table, so that what is written is what is sent.
 */
import { once } from 'node:events'
import type { Duplex } from 'node:stream'

export const FRAME = {
  DATA: 0,
  HEADERS: 1,
  PRIORITY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const

export const FLAG = { END_STREAM: 0x1, ACK: 0x1, END_HEADERS: 0x4 } as const

export const SETTING = { MAX_CONCURRENT_STREAMS: 3, INITIAL_WINDOW_SIZE: 4 } as const

export const ERROR = { NO_ERROR: 0, PROTOCOL: 1, REFUSED: 7, CANCEL: 8, CALM: 11 } as const

export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')

export interface Frame {
  readonly type: number
  readonly flags: number
  readonly stream: number
  readonly payload: Buffer
}

export type Header = readonly [name: string | Buffer, value: string | Buffer]

export interface RawSide {
  readonly socket: Duplex
  /** The latest frames that came; older ones are forgotten. */
  readonly frames: readonly Frame[]
  /** Bytes of DATA that came. */
  readonly dataBytes: number
  /** Resolves when the other side has ended or cut the connection. */
  readonly closed: Promise<void>
  /** Waits until the bytes may follow more. False when the connection has gone. */
  send(...frames: readonly Buffer[]): Promise<boolean>
  /** The first frame, come or to come, that fits. Rejects when the connection ends without it. */
  frame(fits: (frame: Frame) => boolean): Promise<Frame>
  onFrame(listener: (frame: Frame) => void): void
}

const KEPT_FRAMES = 1_000

/** @param prefaced true on the server's side, where the client's preface comes first */
export function rawSide(socket: Duplex, { prefaced = false } = {}): RawSide {
  const frames: Frame[] = []
  const listeners = new Set<(frame: Frame) => void>()
  let pending: Buffer = Buffer.alloc(0)
  let skip = prefaced ? PREFACE.length : 0
  let dataBytes = 0
  socket.on('error', () => {})
  const closed = new Promise<void>((resolve) => {
    socket.once('close', () => resolve())
    socket.once('end', () => resolve())
  })
  socket.on('data', (chunk: Buffer) => {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk])
    if (skip > 0) {
      if (pending.length < skip) return
      pending = pending.subarray(skip)
      skip = 0
    }
    while (pending.length >= 9) {
      const end = 9 + pending.readUIntBE(0, 3)
      if (pending.length < end) return
      const got: Frame = {
        type: pending.readUInt8(3),
        flags: pending.readUInt8(4),
        stream: pending.readUInt32BE(5) & 0x7fffffff,
        payload: pending.subarray(9, end),
      }
      pending = pending.subarray(end)
      if (got.type === FRAME.DATA) dataBytes += got.payload.length
      frames.push(got)
      if (frames.length > KEPT_FRAMES) frames.shift()
      for (const listener of listeners) listener(got)
    }
  })

  return {
    socket,
    frames,
    get dataBytes() {
      return dataBytes
    },
    closed,
    async send(...out) {
      if (!socket.writable) return false
      if (!socket.write(Buffer.concat(out)))
        await Promise.race([once(socket, 'drain').catch(() => {}), closed])
      return socket.writable
    },
    async frame(fits) {
      const found = frames.find(fits)
      if (found !== undefined) return found
      return await new Promise((resolve, reject) => {
        const listener = (got: Frame) => {
          if (!fits(got)) return
          listeners.delete(listener)
          resolve(got)
        }
        listeners.add(listener)
        closed.then(() => reject(new Error('the connection ended without the frame')))
      })
    },
    onFrame: (listener) => listeners.add(listener),
  }
}

export function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Buffer = Buffer.alloc(0),
): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head.writeUInt8(type, 3)
  head.writeUInt8(flags, 4)
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

/** Literals without indexing and new names (RFC 7541, section 6.2.2), no Huffman. */
export function headerBlock(headers: readonly Header[]): Buffer {
  return Buffer.concat(
    headers.flatMap(([name, value]) => [Buffer.from([0]), literal(name), literal(value)]),
  )
}

/** A whole header block in one frame. */
export function headersFrame(
  stream: number,
  headers: readonly Header[],
  flags: number = FLAG.END_HEADERS,
): Buffer {
  return frame(FRAME.HEADERS, flags, stream, headerBlock(headers))
}

/** The largest frame that may be sent without asking (RFC 9113, section 4.2). */
const MAX_FRAME_BYTES = 16_384

/** A header block of any size, in as many frames as it takes. */
export function headersFrames(
  stream: number,
  headers: readonly Header[],
  flags: number = FLAG.END_HEADERS,
): Buffer {
  const block = headerBlock(headers)
  const frames: Buffer[] = []
  for (let at = 0; at === 0 || at < block.length; at += MAX_FRAME_BYTES) {
    const last = at + MAX_FRAME_BYTES >= block.length
    const type = at === 0 ? FRAME.HEADERS : FRAME.CONTINUATION
    const kept = at === 0 ? flags & ~FLAG.END_HEADERS : 0
    const piece = block.subarray(at, at + MAX_FRAME_BYTES)
    frames.push(frame(type, kept | (last ? flags & FLAG.END_HEADERS : 0), stream, piece))
  }
  return Buffer.concat(frames)
}

export function settingsFrame(settings: readonly (readonly [number, number])[] = []): Buffer {
  const payload = Buffer.alloc(settings.length * 6)
  settings.forEach(([id, value], i) => {
    payload.writeUInt16BE(id, i * 6)
    payload.writeUInt32BE(value, i * 6 + 2)
  })
  return frame(FRAME.SETTINGS, 0, 0, payload)
}

export const settingsAck = (): Buffer => frame(FRAME.SETTINGS, FLAG.ACK, 0)

export function numberFrame(type: number, stream: number, value: number): Buffer {
  const payload = Buffer.alloc(4)
  payload.writeUInt32BE(value)
  return frame(type, 0, stream, payload)
}

export const rstFrame = (stream: number, code: number = ERROR.CANCEL): Buffer =>
  numberFrame(FRAME.RST_STREAM, stream, code)

export const windowFrame = (stream: number, bytes: number): Buffer =>
  numberFrame(FRAME.WINDOW_UPDATE, stream, bytes)

export function goawayFrame(lastStream: number, code: number = ERROR.NO_ERROR): Buffer {
  const payload = Buffer.alloc(8)
  payload.writeUInt32BE(lastStream, 0)
  payload.writeUInt32BE(code, 4)
  return frame(FRAME.GOAWAY, 0, 0, payload)
}

/** The error code of a GOAWAY or RST_STREAM. */
export function codeOf({ type, payload }: Frame): number {
  return payload.readUInt32BE(type === FRAME.GOAWAY ? 4 : 0)
}

function literal(text: string | Buffer): Buffer {
  const bytes = typeof text === 'string' ? Buffer.from(text, 'latin1') : text
  return Buffer.concat([integer(bytes.length), bytes])
}

/** A prefix of seven bits (RFC 7541, section 5.1). */
function integer(value: number): Buffer {
  if (value < 127) return Buffer.from([value])
  const bytes = [127]
  let rest = value - 127
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128)
  bytes.push(rest)
  return Buffer.from(bytes)
}
