/** Server-streaming calls that are answered once and then stay open, and when each of them ended. */
import type { ClientHttp2Session } from 'node:http2'

export interface HeldStreams {
  /** Resolves when all have ended. */
  ended(): Promise<readonly Ending[]>
}

export interface Ending {
  /** Milliseconds since the epoch. */
  readonly atMs: number
  /** Of gRPC; null when it was broken off without one. */
  readonly status: number | null
}

export interface HoldOptions {
  readonly sessions: readonly ClientHttp2Session[]
  readonly headers: readonly string[]
  /** A gRPC message, framed. */
  readonly message: Buffer
  readonly count: number
}

/** Of all, so many wait for their first message at a time. */
const OPENING = 200

/** Resolves when each has had its first message. @throws Error when one ends before */
export async function holdStreams(options: HoldOptions): Promise<HeldStreams> {
  const endings: Promise<Ending>[] = []
  let next = 0
  const openInTurn = async () => {
    while (next < options.count) {
      const { first, ending } = openOne(options, next++)
      endings.push(ending)
      await first
    }
  }
  await Promise.all(Array.from({ length: OPENING }, openInTurn))
  return { ended: () => Promise.all(endings) }
}

function openOne({ sessions, headers, message }: HoldOptions, index: number) {
  const session = sessions[index % sessions.length]
  if (session === undefined || session.closed) throw new Error('the connection has ended')
  const stream = session.request([...headers])
  let status: number | null = null
  let why = ''
  const note = (head: { readonly 'grpc-status'?: unknown; readonly 'grpc-message'?: unknown }) => {
    if (head['grpc-status'] === undefined) return
    status = Number(head['grpc-status'])
    why = String(head['grpc-message'] ?? '')
  }
  stream.on('error', () => {}) // `close` tells
  stream.on('response', note)
  stream.on('trailers', note)
  const first = new Promise<void>((resolve, reject) => {
    stream.once('data', () => resolve())
    stream.once('close', () => reject(new Error(`a stream ended at once: ${status} ${why}`)))
  })
  const ending = new Promise<Ending>((resolve) => {
    stream.once('close', () => resolve({ atMs: Date.now(), status }))
  })
  stream.end(message)
  return { first, ending }
}
