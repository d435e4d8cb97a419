/**
 * Keeps a lazy agent connected without a call of its own: asks the gateway who this agent is, so that both have accepted
 * each other, and asks again when the connection was lost or a renewed certificate got another one.
 */
import { MeshError } from '@clawmesh/proto'
import { createBackoff } from '../client/backoff.ts'
import type { Connection } from '../client/connection.ts'
import { judgeStreamError } from '../client/lost-stream.ts'
import { methods } from '../client/methods.ts'
import type { StateHolder } from './agent-state.ts'
import type { GatewayLink } from './gateway-link.ts'

export interface KeepConnectedOptions extends Pick<GatewayLink, 'trouble'> {
  readonly connection: Pick<Connection, 'unary' | 'status' | 'onStatus'>
  readonly contact: Pick<GatewayLink['contact'], 'beginEndless'>
  /** The gateway's own name. */
  readonly gatewayName: string
  readonly state: StateHolder
  /** Aborts when the agent is closed. */
  readonly signal: AbortSignal
}

/** Of one question, in milliseconds. */
const ASK_MS = 10_000
/** An answer that takes longer, in milliseconds, is told as `connecting`: drains and renewals take less. */
const SOON_MS = 1_000
/** Between tries when one of the two refuses the other, in milliseconds. */
const REFUSED_MS = 5_000

/** Returns at once. Neither a connection nor the waiting for one keeps the process. */
export function keepConnected(options: KeepConnectedOptions): void {
  options.contact.beginEndless()
  void run(options).catch(() => {
    // the agent was closed
  })
}

async function run(options: KeepConnectedOptions): Promise<void> {
  const { connection, state, signal, trouble } = options
  const backoff = createBackoff({ maxMs: 2_000, ref: false })
  for (;;) {
    signal.throwIfAborted()
    const error = await ask(options)
    signal.throwIfAborted()
    if (error === null) {
      backoff.reset()
      state.set('connected')
      await changed(connection, signal)
      continue
    }
    const waiting = judgeStreamError(error, false).lost || error.code === 'MESH_CALL_DEADLINE'
    const seen = waiting ? trouble() : error
    const refused = seen !== null && (!waiting || seen.code !== 'MESH_GATEWAY_UNREACHABLE')
    state.set(refused ? 'refused' : 'connecting', seen ?? error)
    await backoff.wait(signal, refused ? REFUSED_MS : 0)
  }
}

/** Null when the gateway knows this agent. */
async function ask(options: KeepConnectedOptions): Promise<MeshError | null> {
  const { connection, gatewayName, state, signal, trouble } = options
  const late = setTimeout(() => state.set('connecting', trouble()), SOON_MS).unref()
  try {
    const choices = { authority: gatewayName, deadline: Date.now() + ASK_MS, signal }
    await connection.unary(methods.whoAmI, {}, choices)
    return null
  } catch (error) {
    if (error instanceof MeshError) return error
    throw error
  } finally {
    clearTimeout(late)
  }
}

/** Resolves when there is no connection any more, or another one. @throws when the signal aborts */
async function changed(
  { status, onStatus }: KeepConnectedOptions['connection'],
  signal: AbortSignal,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const over = () => reject(signal.reason)
  const end = onStatus(() => {
    if (status() !== 'connected') resolve()
  })
  signal.addEventListener('abort', over, { once: true })
  try {
    if (status() === 'connected') await promise
  } finally {
    end()
    signal.removeEventListener('abort', over)
  }
}
