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
  readonly inspect: Inspection | null
}

/** How the first bytes of the client are judged. */
export interface Inspection {
  judge(bytes: Buffer): FirstBytesVerdict
  /** The judge of a tunnel without TLS, from its first byte on. */
  clearText(): ClearText
  /** The answer for a refused client without TLS. */
  explain(code: ErrorCode): string
  /** Nothing flows to the client before the verdict, and the verdict must come in time. */
  readonly first: boolean
  /** From the start if `first`, else from the first byte; in milliseconds. */
  readonly timeoutMs: number
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

const NOTHING = Buffer.alloc(0)

export function splice(options: SpliceOptions): Splice {
  const tunnel = new Tunnel(options)
  tunnel.start()
  return tunnel
}

class Tunnel implements Splice {
  readonly done: Promise<SpliceEnd>
  readonly #resolve: (end: SpliceEnd) => void
  readonly #client: BufferedSocket
  readonly #upstream: BufferedSocket
  readonly #inspect: Inspection | null
  readonly #idleMs: number
  readonly #silence: SilenceTimer
  readonly #forwardUp = (chunk: Buffer) => this.#onRequest(chunk)
  #bytesUp = 0
  #bytesDown = 0
  /** The client has sent last, not the destination. */
  #clientWasLast = false
  /** The directions that have not ended. */
  #open = 2
  #over = false
  /** The first bytes of the client, until they are judged. */
  #gathered: Buffer = NOTHING
  /** Runs while a verdict is awaited. */
  #judging: NodeJS.Timeout | null = null
  /** Judges the requests of a tunnel without TLS. */
  #clear: ClearText | null = null

  constructor({ client, upstream, inspect, silence }: SpliceOptions) {
    const { promise, resolve } = Promise.withResolvers<SpliceEnd>()
    this.done = promise
    this.#resolve = resolve
    this.#client = client
    this.#upstream = upstream
    this.#inspect = inspect
    this.#idleMs = silence.idleMs
    this.#silence = new SilenceTimer(
      silence,
      () => this.#clientWasLast,
      () => this.end('MESH_EGRESS_IDLE'),
    )
  }

  start(): void {
    const client = this.#client
    const upstream = this.#upstream
    const clientClosed = () => this.#onClosed(client, upstream, 'MESH_CALL_CANCELED')
    const upstreamClosed = () => this.#onClosed(upstream, client, 'MESH_EGRESS_LOST')
    client.onClosed(clientClosed)
    upstream.onClosed(upstreamClosed)
    client.onDrain(() => upstream.resume())
    upstream.onDrain(() => client.resume())
    if (client.closed) clientClosed()
    else if (upstream.closed) upstreamClosed()
    else if (this.#inspect === null) this.#begin(NOTHING, true)
    else this.#judgeFirstBytes(this.#inspect)
  }

  end(code: ErrorCode): void {
    if (this.#over) return
    const beforeVerdict = this.#judging !== null
    this.#finish(code)
    this.#upstream.destroy()
    if (this.#clear === null && beforeVerdict) refuseTls(this.#client)
    else this.#client.reset()
  }

  #finish(code: ErrorCode | null): void {
    if (this.#over) return
    this.#over = true
    this.#silence.stop()
    this.#stopJudging()
    for (const side of [this.#client, this.#upstream]) {
      side.onDrain(null)
      side.onClosed(null)
      side.release()
    }
    this.#resolve({ code, bytesUp: this.#bytesUp, bytesDown: this.#bytesDown })
  }

  #onClosed(side: BufferedSocket, other: BufferedSocket, code: ErrorCode): void {
    if (this.#over) return
    const broken = side.error !== null || !side.ended
    this.#finish(broken ? code : null)
    // a reset must not look like an orderly end to the other side
    if (broken) other.reset()
    else other.destroy()
  }

  #halfClose(to: BufferedSocket): void {
    this.#open -= 1
    to.raw.end()
    if (this.#open > 0) return
    this.#finish(null)
    // both FINs have arrived: the final flush may take as long as the idle timeout
    for (const side of [this.#client, this.#upstream])
      side.raw.setTimeout(this.#idleMs, () => side.destroy())
  }

  #judgeFirstBytes(inspect: Inspection): void {
    if (inspect.first) this.#awaitTls(inspect)
    else this.#readDown()
    this.#client.read({
      data: (chunk) => this.#onFirstBytes(chunk, inspect),
      end: () => this.#onEndBeforeVerdict(inspect),
    })
  }

  #awaitTls({ timeoutMs }: Inspection): void {
    this.#judging ??= setTimeout(() => this.end('MESH_EGRESS_NOT_TLS'), timeoutMs)
  }

  #stopJudging(): void {
    if (this.#judging !== null) clearTimeout(this.#judging)
    this.#judging = null
  }

  #onFirstBytes(chunk: Buffer, inspect: Inspection): void {
    const gathered = this.#gathered.length === 0 ? chunk : Buffer.concat([this.#gathered, chunk])
    this.#gathered = gathered
    const verdict = inspect.judge(gathered)
    if (verdict === 'clear') this.#clear = inspect.clearText()
    if (verdict === 'pass' || verdict === 'clear') {
      this.#gathered = NOTHING
      this.#begin(gathered, inspect.first)
      return
    }
    this.#awaitTls(inspect)
    if (verdict === 'more') this.#client.keep()
    else this.end(verdict)
  }

  #onEndBeforeVerdict(inspect: Inspection): void {
    if (this.#gathered.length > 0) this.end('MESH_EGRESS_NOT_TLS')
    else if (inspect.first) {
      // the client has opened a tunnel and closed it unused
      this.#finish(null)
      this.#upstream.destroy()
      this.#client.raw.end()
    } else this.#halfClose(this.#upstream)
  }

  /** @param startDown nothing has been read from the destination yet */
  #begin(gathered: Buffer, startDown: boolean): void {
    this.#stopJudging()
    if (startDown) this.#readDown()
    if (this.#clear === null) {
      if (gathered.length > 0) this.#onRequest(gathered)
      this.#readUp(this.#forwardUp)
      return
    }
    this.#judgeClear(gathered)
    if (!this.#over && this.#clear !== null) this.#readUp((chunk) => this.#judgeClear(chunk))
  }

  #readUp(data: (chunk: Buffer) => void): void {
    this.#client.read({
      data,
      end: () => {
        if (this.#clear?.holding === true) this.#refuseClear('MESH_EGRESS_MALFORMED')
        else this.#halfClose(this.#upstream)
      },
    })
  }

  #readDown(): void {
    this.#upstream.read({
      data: (chunk) => this.#onAnswer(chunk),
      end: () => this.#halfClose(this.#client),
    })
  }

  #onRequest(chunk: Buffer): void {
    this.#bytesUp += chunk.length
    this.#clientWasLast = true
    this.#silence.refresh()
    if (!this.#upstream.write(chunk)) this.#client.pause()
    if (this.#upstream.unsent) this.#client.keep()
  }

  #onAnswer(chunk: Buffer): void {
    this.#bytesDown += chunk.length
    this.#clientWasLast = false
    this.#silence.refresh()
    if (!this.#client.write(chunk)) this.#upstream.pause()
    if (this.#client.unsent) this.#upstream.keep()
  }

  #judgeClear(chunk: Buffer): void {
    const clear = this.#clear
    if (clear === null) {
      this.#onRequest(chunk)
      return
    }
    const code = clear.push(chunk, this.#forwardUp)
    if (code !== null) {
      this.#refuseClear(code)
      return
    }
    if (clear.holding) this.#awaitClear()
    else this.#stopJudging()
    if (clear.opaque) {
      this.#clear = null
      this.#readUp(this.#forwardUp)
    }
  }

  #awaitClear(): void {
    const refuse = () => this.#refuseClear('MESH_EGRESS_SLOW')
    this.#judging ??= setTimeout(refuse, this.#inspect?.timeoutMs)
  }

  /** An answer that has begun cannot be replaced. */
  #refuseClear(code: ErrorCode): void {
    if (this.#over) return
    if (this.#bytesDown > 0 || this.#inspect === null) {
      this.end(code)
      return
    }
    this.#finish(code)
    this.#upstream.destroy()
    this.#client.writeText(this.#inspect.explain(code))
    this.#client.closeGently()
  }
}

function refuseTls(client: BufferedSocket): void {
  client.write(TLS_ALERT)
  client.closeGently()
}
