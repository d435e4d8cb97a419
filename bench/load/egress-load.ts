/**
 * The load generator for the egress port: bare sockets that are kept, one request or exchange at a time on each.
 * usage: egress-load.ts; then questions on standard input, see EgressLoadQuestion.
 */
import type { Socket } from 'node:net'
import { z } from 'zod'
import { closedLoop, type Operation, openLoop } from '../measure/load-window.ts'
import { answerCommands } from '../process/commands.ts'
import { captureClientHello } from './client-hello.ts'
import { exchangeOnTunnel, openSocket, openTunnel, requestOn } from './egress-wire.ts'
import { type HeldTunnels, holdTunnels } from './held-tunnels.ts'

export const EGRESS_KINDS = ['request', 'tunnel'] as const
export type EgressKind = (typeof EGRESS_KINDS)[number]

const connect = z.strictObject({
  do: z.literal('connect'),
  target: z.string(),
  kind: z.enum(EGRESS_KINDS),
  proxyPort: z.int(),
  host: z.string(),
  originPort: z.int(),
  /** Null: none is sent. */
  proxyAuthorization: z.string().nullable(),
  connections: z.int().min(0),
})
const run = z.strictObject({
  do: z.literal('run'),
  target: z.string(),
  /** Null: closed loop. */
  perSecond: z.number().positive().nullable(),
  warmMs: z.number(),
  windowMs: z.number(),
  pids: z.array(z.int()),
})
const hold = z.strictObject({
  do: z.literal('hold'),
  target: z.string(),
  count: z.int().min(1),
})
const release = z.strictObject({ do: z.literal('release'), target: z.string() })
export const egressLoadQuestion = z.discriminatedUnion('do', [connect, run, hold, release])
export type EgressLoadQuestion = z.infer<typeof egressLoadQuestion>
type EgressConnect = z.infer<typeof connect>

interface Target {
  readonly operation: Operation
  readonly connections: number
  readonly open: () => Promise<Socket>
  held: HeldTunnels | null
}

if (import.meta.main) serve()

function serve(): void {
  const targets = new Map<string, Target>()
  answerCommands(egressLoadQuestion, async (question) => {
    if (question.do === 'connect') {
      targets.set(question.target, await createTarget(question))
      return { connected: true }
    }
    const target = targets.get(question.target)
    if (target === undefined) throw new Error(`not connected to ${question.target}`)
    switch (question.do) {
      case 'run': {
        const { operation, connections } = target
        return question.perSecond === null
          ? closedLoop(operation, connections, question)
          : openLoop(operation, question.perSecond, connections, question)
      }
      case 'hold':
        target.held = await holdTunnels(target.open, question.count)
        return { held: target.held.open() }
      case 'release': {
        const held = target.held?.open() ?? 0
        target.held?.close()
        target.held = null
        return { held }
      }
    }
  })
}

async function createTarget(question: EgressConnect): Promise<Target> {
  const hello = question.kind === 'tunnel' ? await captureClientHello(question.host) : null
  const open = () => (hello === null ? openSocket(question.proxyPort) : openTunnel(question, hello))
  const use = hello === null ? requestOn(question) : exchangeOnTunnel
  const { connections } = question
  const sockets = await Promise.all(Array.from({ length: connections }, open))
  return { operation: onPool(sockets, open, use), connections, open, held: null }
}

/** Each socket does one thing at a time; what finds none free waits. A broken one is replaced. */
function onPool(
  sockets: Socket[],
  open: () => Promise<Socket>,
  use: (socket: Socket) => Promise<boolean>,
): Operation {
  const free = [...sockets]
  const waiting: (() => void)[] = []
  const work = async (socket: Socket, done: (ok: boolean) => void) => {
    const ok = await use(socket)
    free.push(ok ? socket : await open().catch(() => socket))
    done(ok)
    waiting.shift()?.()
  }
  const start = (done: (ok: boolean) => void) => {
    const socket = free.pop()
    if (socket === undefined) waiting.push(() => start(done))
    else void work(socket, done)
  }
  return (_slot, done) => start(done)
}
