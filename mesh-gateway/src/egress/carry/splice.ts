/**
 * Carries bytes both ways between two sockets until both have ended: half-close, back-pressure and resets travel from
 * one to the other. Forwards no bytes of the client before its first bytes have been judged.
 */
import type { ErrorCode } from '@clawmesh/proto'
import type { BufferedSocket } from './buffered-socket.ts'
import type { ClearText } from './clear-text.ts'
import type { FirstBytesVerdict } from './judge-first-bytes.ts'
import { type SilenceLimits, SilenceTimer } from './silence.ts'

export interface SpliceOptions {
  readonly client: BufferedSocket
  readonly upstream: BufferedSocket
  /** Ends it after silence on both sides. An answer is awaited when the client has sent last. */
  readonly silence: SilenceLimits
  /** Null when nothing is judged. */
  readonly inspect: {
    judge(bytes: Buffer): FirstBytesVerdict
    /** The judge of a tunnel without TLS, from its first byte on. */
    clearText(): ClearText
    /** The answer for a refused client without TLS. */
    explain(code: ErrorCode): string
    /** Nothing flows to the client before the verdict, and the verdict must come in time. */
    readonly first: boolean
    /** From the start if `first`, else from the first byte; in milliseconds. */
    readonly timeoutMs: number
  } | null
}

export interface SpliceEnd {
  /** Why it was ended; null when both sides had ended. */
  readonly code: ErrorCode | null
  readonly bytesUp: number
  readonly bytesDown: number
}

export interface Splice {
  readonly done: Promise<SpliceEnd>
  /** Ends it now. */
  end(code: ErrorCode): void
}

/** Fatal access_denied (RFC 8446, section 6): a TLS client then reports more than a reset. */
const TLS_ALERT = Buffer.from([0x15, 3, 3, 0, 2, 2, 49])

export function splice(options: SpliceOptions): Splice {
  const { client, upstream, inspect } = options
  const { promise, resolve } = Promise.withResolvers<SpliceEnd>()
  let bytesUp = 0
  let bytesDown = 0
  let over = false
  let open = 2
  let judging: NodeJS.Timeout | null = null
  let clear: ClearText | null = null

  const finish = (code: ErrorCode | null) => {
    if (over) return
    over = true
    silence.stop()
    if (judging !== null) clearTimeout(judging)
    for (const wire of [client, upstream]) {
      wire.onDrain(null)
      wire.onClosed(null)
      wire.release()
    }
    resolve({ code, bytesUp, bytesDown })
  }
  const end = (code: ErrorCode) => {
    if (over) return
    const beforeVerdict = judging !== null
    finish(code)
    upstream.destroy()
    if (clear === null && beforeVerdict) refuseTls(client)
    else client.reset()
  }
  /** An answer that has begun cannot be replaced. */
  const refuseClear = (code: ErrorCode) => {
    if (over) return
    if (bytesDown > 0 || inspect === null) return end(code)
    finish(code)
    upstream.destroy()
    client.writeText(inspect.explain(code))
    client.closeGently()
  }
  let clientWasLast = false
  const silence = new SilenceTimer(
    options.silence,
    () => clientWasLast,
    () => end('MESH_EGRESS_IDLE'),
  )

  const halfClosed = (to: BufferedSocket) => {
    open -= 1
    to.socket.end()
    if (open > 0) return
    finish(null)
    // both FINs have arrived: the final flush may take as long as the idle timeout
    for (const wire of [client, upstream])
      wire.socket.setTimeout(options.silence.idleMs, () => wire.destroy())
  }
  const closed = (wire: BufferedSocket, other: BufferedSocket, code: ErrorCode) => {
    if (over) return
    const broken = wire.error !== null || !wire.ended
    finish(broken ? code : null)
    // a reset must not look like an orderly end to the other side
    if (broken) other.reset()
    else other.destroy()
  }
  client.onClosed(() => closed(client, upstream, 'MESH_CALL_CANCELED'))
  upstream.onClosed(() => closed(upstream, client, 'MESH_EGRESS_LOST'))
  client.onDrain(() => upstream.resume())
  upstream.onDrain(() => client.resume())

  const forwardUp = (chunk: Buffer) => {
    bytesUp += chunk.length
    clientWasLast = true
    silence.refresh()
    if (!upstream.write(chunk)) client.pause()
    if (upstream.unsent) client.keep()
  }
  const stopJudging = () => {
    if (judging !== null) clearTimeout(judging)
    judging = null
  }
  const judgeClear = (chunk: Buffer) => {
    if (clear === null) return forwardUp(chunk)
    const code = clear.push(chunk, forwardUp)
    if (code !== null) return refuseClear(code)
    if (!clear.holding) stopJudging()
    else judging ??= setTimeout(() => refuseClear('MESH_EGRESS_SLOW'), inspect?.timeoutMs)
    if (clear.opaque) {
      clear = null
      pumpUp(forwardUp)
    }
  }
  const pumpUp = (data: (chunk: Buffer) => void) =>
    client.read({
      data,
      end() {
        if (clear?.holding === true) refuseClear('MESH_EGRESS_MALFORMED')
        else halfClosed(upstream)
      },
    })
  const pumpDown = () =>
    upstream.read({
      data(chunk) {
        bytesDown += chunk.length
        clientWasLast = false
        silence.refresh()
        if (!client.write(chunk)) upstream.pause()
        if (client.unsent) upstream.keep()
      },
      end: () => halfClosed(client),
    })

  const begin = (gathered: Buffer, holdDown: boolean) => {
    stopJudging()
    if (holdDown) pumpDown()
    if (clear === null) {
      if (gathered.length > 0) forwardUp(gathered)
      pumpUp(forwardUp)
      return
    }
    judgeClear(gathered)
    if (!over && clear !== null) pumpUp(judgeClear)
  }
  if (client.closed || upstream.closed) {
    const gone = client.closed ? client : upstream
    closed(
      gone,
      gone === client ? upstream : client,
      gone === client ? 'MESH_CALL_CANCELED' : 'MESH_EGRESS_LOST',
    )
  } else if (inspect === null) {
    begin(Buffer.alloc(0), true)
  } else {
    let gathered: Buffer = Buffer.alloc(0)
    const armed = () => {
      judging ??= setTimeout(() => end('MESH_EGRESS_NOT_TLS'), inspect.timeoutMs)
    }
    if (inspect.first) armed()
    else pumpDown()
    client.read({
      data(chunk) {
        gathered = gathered.length === 0 ? chunk : Buffer.concat([gathered, chunk])
        const verdict = inspect.judge(gathered)
        if (verdict === 'clear') clear = inspect.clearText()
        if (verdict === 'pass' || verdict === 'clear') return begin(gathered, inspect.first)
        armed()
        if (verdict === 'more') client.keep()
        else end(verdict)
      },
      end() {
        if (gathered.length > 0) end('MESH_EGRESS_NOT_TLS')
        else if (inspect.first) {
          // the client has opened a tunnel and closed it unused
          finish(null)
          upstream.destroy()
          client.socket.end()
        } else halfClosed(upstream)
      },
    })
  }
  return { done: promise, end }
}

function refuseTls(client: BufferedSocket): void {
  client.write(TLS_ALERT)
  client.closeGently()
}
