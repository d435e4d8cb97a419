/**
 * Warns once when the gateway has not been reached for a moment since the first call. Calls are tried again for longer
 * than a person waits, and an address that drops packets gives no error for as long as TCP tries.
 */
import { MeshError } from '@clawmesh/proto'
import type { Log } from '../log.ts'
import { statusToError } from '../wire/status-codec.ts'

export interface FirstContact {
  /** A call begins. */
  begun(): void
  /** It failed, as grpc-js says it. */
  failed(cause: unknown): void
  /** The gateway has shown a good certificate. */
  made(): void
  close(): void
}

export interface FirstContactOptions {
  /** host:port of the gateway. */
  readonly target: string
  readonly log: Pick<Log, 'warn'>
  /** In milliseconds. Default 2,500. */
  readonly withinMs?: number
}

export function createFirstContact(options: FirstContactOptions): FirstContact {
  const { target, log, withinMs = 2_500 } = options
  let over = false
  let clock: NodeJS.Timeout | null = null
  let cause: unknown = null
  const end = () => {
    over = true
    if (clock !== null) clearTimeout(clock)
  }
  const warn = () => {
    over = true
    const { code, hint } = new MeshError('MESH_GATEWAY_UNREACHABLE')
    const reason = cause === null ? 'it does not answer' : statusToError(cause).message
    log.warn({ code, hint }, `the gateway ${target} has not been reached so far: ${reason}`)
  }
  return {
    begun() {
      if (!over) clock ??= setTimeout(warn, withinMs).unref()
    },
    failed(error) {
      cause = error
    },
    made: end,
    close: end,
  }
}
