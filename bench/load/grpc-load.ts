/**
 * The load generator for delegated calls: gRPC by hand on node:http2, cheap, its connections kept for the whole run.
 * usage: grpc-load.ts <identity dir of the caller>; then questions on standard input, see GrpcLoadQuestion.
 */
import http2 from 'node:http2'
import { METADATA_DELEGATION } from '@clawmesh/proto'
import { z } from 'zod'
import { closedLoop, type Operation, openLoop } from '../measure/load-window.ts'
import { answerCommands } from '../process/commands.ts'
import { readTlsFiles } from '../world/tls-files.ts'
import { type HeldStreams, holdStreams } from './held-streams.ts'
import { createParentTokens } from './parent-tokens.ts'

const UNARY = { path: '/bench.Echo/Call', messages: 1, bytes: 64, ahead: 1, token: null }
const TASK = { ...UNARY, path: '/clawmesh.delegation.v1.DelegationService/Delegate' }

interface CallShape {
  readonly path: string
  /** Messages that one operation sends, their size, and how many are on the way at once. */
  readonly messages: number
  readonly bytes: number
  readonly ahead: number
  /** What the caller presents: the same token with every call, or one with each. */
  readonly token: 'same' | 'new' | null
}

export const CALL_KINDS = [
  ...(['unary', 'stream-1k', 'stream-64k'] as const),
  ...(['task', 'subtask-same-token', 'subtask-new-token'] as const),
] as const
export type CallKind = (typeof CALL_KINDS)[number]

export const CALL_SHAPES = Object.freeze({
  unary: UNARY,
  'stream-1k': { ...UNARY, path: '/bench.Echo/Stream', messages: 50, bytes: 1024, ahead: 8 },
  'stream-64k': { ...UNARY, path: '/bench.Echo/Stream', messages: 8, bytes: 65_536, ahead: 2 },
  task: TASK,
  'subtask-same-token': { ...TASK, token: 'same' },
  'subtask-new-token': { ...TASK, token: 'new' },
} satisfies Record<CallKind, CallShape>)

const connect = z.strictObject({
  do: z.literal('connect'),
  target: z.string(),
  port: z.int(),
  /** The name that the certificate is checked against. */
  serverName: z.string(),
  authority: z.string(),
  connections: z.int().min(1),
  /** Directory of the certificate to show. Null: the caller's. */
  identity: z.string().nullable(),
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
/** Makes tokens for calls to come, so that making them is not part of what is measured. */
const mint = z.strictObject({
  do: z.literal('mint'),
  count: z.int().min(1),
  keysDir: z.string(),
  issuer: z.string(),
  root: z.string(),
  holder: z.string(),
})
const hold = z.strictObject({ do: z.literal('hold'), target: z.string(), count: z.int().min(1) })
/** Answers when all that are held have ended. */
const endings = z.strictObject({ do: z.literal('endings'), target: z.string() })
const disconnect = z.strictObject({ do: z.literal('disconnect'), target: z.string() })
export const grpcLoadQuestion = z.discriminatedUnion('do', [
  ...([connect, run, mint] as const),
  ...([hold, endings, disconnect] as const),
])
export type GrpcLoadQuestion = z.infer<typeof grpcLoadQuestion>

interface Target {
  readonly sessions: readonly http2.ClientHttp2Session[]
  readonly authority: string
  held: HeldStreams | null
}

interface Tokens {
  readonly same: string
  next(): string
}

if (import.meta.main) serve(process.argv[2] ?? '')

function serve(identityDir: string): void {
  const targets = new Map<string, Target>()
  let tokens: Tokens | null = null
  answerCommands(grpcLoadQuestion, async (question) => {
    if (question.do === 'connect') {
      targets.set(question.target, await connectTo(question.identity ?? identityDir, question))
      return { connected: true }
    }
    if (question.do === 'mint') {
      tokens = stockOf(question)
      return { minted: question.count }
    }
    const target = targets.get(question.target)
    if (target === undefined) throw new Error(`not connected to ${question.target}`)
    switch (question.do) {
      case 'run': {
        const operation = callOf(target, question.kind, tokens)
        const { concurrency, perSecond } = question
        return perSecond === null
          ? closedLoop(operation, concurrency, question)
          : openLoop(operation, perSecond, concurrency, question)
      }
      case 'hold': {
        const headers = requestHeaders('/bench.Echo/Hold', target.authority, '1H')
        const { sessions } = target
        const message = frameOf(UNARY.bytes)
        target.held = await holdStreams({ sessions, headers, message, count: question.count })
        return { held: question.count }
      }
      case 'endings':
        return { endings: (await target.held?.ended()) ?? [] }
      case 'disconnect':
        for (const session of target.sessions) session.destroy()
        targets.delete(question.target)
        return { connected: false }
    }
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
  return { sessions, authority, held: null }
}

function stockOf(question: z.infer<typeof mint>): Tokens {
  const make = createParentTokens(question)
  const stock = Array.from({ length: question.count }, make)
  return { same: make(), next: () => stock.pop() ?? make() }
}

function callOf(target: Target, kind: CallKind, tokens: Tokens | null): Operation {
  const shape: CallShape = CALL_SHAPES[kind]
  const { path, messages, bytes, ahead } = shape
  const frame = frameOf(bytes)
  const { sessions, authority } = target
  if (shape.token !== null && tokens === null) throw new Error(`${kind}: no tokens were made`)
  const tokenOf = { same: () => tokens?.same ?? '', new: () => tokens?.next() ?? '' }
  return (slot, done) => {
    const session = sessions[slot % sessions.length]
    if (session === undefined || session.closed) return void setTimeout(done, 10, false)
    const headers = requestHeaders(path, authority, '20S')
    if (shape.token !== null) headers.push(METADATA_DELEGATION, tokenOf[shape.token]())
    const stream = session.request(headers)
    let sent = Math.min(ahead, messages)
    let received = 0
    let status: unknown
    stream.on('error', () => {}) // counted on close
    stream.on('response', (head) => {
      status = head['grpc-status']
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

function frameOf(bytes: number): Buffer {
  const frame = Buffer.alloc(5 + bytes, 'x')
  frame.writeUInt8(0, 0)
  frame.writeUInt32BE(bytes, 1)
  return frame
}

function requestHeaders(path: string, authority: string, timeout: string): string[] {
  return [
    ...[':method', 'POST', ':scheme', 'https', ':path', path, ':authority', authority],
    ...['content-type', 'application/grpc', 'te', 'trailers', 'user-agent', 'clawmesh-bench'],
    ...['grpc-timeout', timeout],
  ]
}
