/**
 * The load generator for delegated calls: gRPC by hand on node:http2, cheap, its connections kept for the whole run.
 * usage: grpc-load.ts <identity dir of the caller>; then questions on standard input, see GrpcLoadQuestion.
 */
import http2 from 'node:http2'
import { z } from 'zod'
import { closedLoop, type Operation, openLoop } from '../measure/load-window.ts'
import { answerCommands } from '../process/commands.ts'
import { readTlsFiles } from '../world/tls-files.ts'

export const CALL_KINDS = ['unary', 'stream-1k', 'stream-64k'] as const
export type CallKind = (typeof CALL_KINDS)[number]

/** Messages that one operation of each kind sends, their size, and how many are on the way at once. */
export const CALL_SHAPES = Object.freeze({
  unary: { messages: 1, bytes: 64, ahead: 1 },
  'stream-1k': { messages: 50, bytes: 1024, ahead: 8 },
  'stream-64k': { messages: 8, bytes: 65_536, ahead: 2 },
} satisfies Record<CallKind, { messages: number; bytes: number; ahead: number }>)

const connect = z.strictObject({
  do: z.literal('connect'),
  target: z.string(),
  port: z.int(),
  /** The name that the certificate is checked against. */
  serverName: z.string(),
  authority: z.string(),
  connections: z.int().min(1),
})
const run = z.strictObject({
  do: z.literal('run'),
  target: z.string(),
  kind: z.enum(CALL_KINDS),
  concurrency: z.int().min(1),
  /** Null: closed loop. */
  perSecond: z.number().positive().nullable(),
  warmMs: z.number(),
  windowMs: z.number(),
  pids: z.array(z.int()),
})
export const grpcLoadQuestion = z.discriminatedUnion('do', [connect, run])
export type GrpcLoadQuestion = z.infer<typeof grpcLoadQuestion>

interface Target {
  readonly sessions: readonly http2.ClientHttp2Session[]
  readonly authority: string
}

if (import.meta.main) serve(process.argv[2] ?? '')

function serve(identityDir: string): void {
  const targets = new Map<string, Target>()
  answerCommands(grpcLoadQuestion, async (question) => {
    if (question.do === 'connect') {
      targets.set(question.target, await connectTo(identityDir, question))
      return { connected: true }
    }
    const target = targets.get(question.target)
    if (target === undefined) throw new Error(`not connected to ${question.target}`)
    const operation = callOf(target, question.kind)
    const { concurrency, perSecond } = question
    return perSecond === null
      ? closedLoop(operation, concurrency, question)
      : openLoop(operation, perSecond, concurrency, question)
  })
}

async function connectTo(identityDir: string, question: z.infer<typeof connect>): Promise<Target> {
  const { port, serverName, authority, connections } = question
  const sessions = Array.from({ length: connections }, () =>
    http2.connect(`https://127.0.0.1:${port}`, {
      ...readTlsFiles(identityDir),
      servername: serverName,
      settings: { initialWindowSize: 1 << 20 },
    }),
  )
  await Promise.all(
    sessions.map(
      (session) =>
        new Promise<void>((resolve, reject) => {
          session.once('error', reject)
          session.once('connect', () => resolve())
        }),
    ),
  )
  // from here on what breaks is counted call by call
  for (const session of sessions) session.on('error', () => {})
  return { sessions, authority }
}

function callOf(target: Target, kind: CallKind): Operation {
  const { messages, bytes, ahead } = CALL_SHAPES[kind]
  const frame = Buffer.alloc(5 + bytes, 'x')
  frame.writeUInt8(0, 0)
  frame.writeUInt32BE(bytes, 1)
  const path = kind === 'unary' ? '/bench.Echo/Call' : '/bench.Echo/Stream'
  const { sessions, authority } = target
  return (slot, done) => {
    const session = sessions[slot % sessions.length]
    if (session === undefined || session.closed) return void setTimeout(done, 10, false)
    const stream = session.request(requestHeaders(path, authority))
    let sent = Math.min(ahead, messages)
    let received = 0
    let status: unknown
    stream.on('error', () => {}) // counted on close
    stream.on('response', (headers) => {
      status = headers['grpc-status']
    })
    stream.on('trailers', (trailers) => {
      status = trailers['grpc-status']
    })
    stream.on('data', (chunk: Buffer) => {
      received += chunk.length
      while (sent < messages && received >= (sent - ahead + 1) * frame.length) {
        sent++
        if (sent === messages) stream.end(frame)
        else stream.write(frame)
      }
    })
    stream.on('close', () => done(status === '0' && received === messages * frame.length))
    for (let i = 1; i < sent; i++) stream.write(frame)
    if (sent === messages) stream.end(frame)
    else stream.write(frame)
  }
}

function requestHeaders(path: string, authority: string): string[] {
  return [
    ...[':method', 'POST', ':scheme', 'https', ':path', path, ':authority', authority],
    ...['content-type', 'application/grpc', 'te', 'trailers', 'user-agent', 'clawmesh-bench'],
    ...['grpc-timeout', '20S'],
  ]
}
