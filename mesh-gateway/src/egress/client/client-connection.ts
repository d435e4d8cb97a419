/**
 * One client connection: requests one after another, each parsed strictly and answered once. Pipelined bytes wait. A
 * malformed request ends the connection, because the start of the next one is unknown.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { ErrorCode } from '@clawmesh/proto'
import type { AuditLog } from '../../audit/audit-record.ts'
import { unauditable } from '../../audit/unauditable.ts'
import type { GatedClient } from '../../limits/connection-gate.ts'
import { overloaded, type Serving } from '../../process/watch-memory.ts'
import type { BufferedSocket } from '../carry/buffered-socket.ts'
import { findHeadEnd, HeadTooLarge, MalformedMessage, REQUEST_LIMITS } from '../http1/head.ts'
import { parseRequestHead, type RequestHead } from '../http1/request-head.ts'
import { isLoop } from '../http1/via.ts'
import { type OwnContext, serveOwn } from '../own-endpoints/own-endpoints.ts'
import { isOwnHost } from '../own-endpoints/own-host.ts'
import { type RequestRecord, startRecord, writeRecord } from '../record.ts'
import { Refused, refuse } from '../refused.ts'
import {
  hostHeaderMatches,
  parseAbsoluteTarget,
  parseConnectTarget,
  parseRelayTarget,
  type Target,
} from '../request.ts'
import { formatRefusal } from '../respond.ts'
import { type ConnectContext, serveConnect } from '../serve-connect.ts'
import { type RequestContext, serveRequest } from '../serve-request.ts'
import { type EgressTimeouts, keptMs } from '../timeouts.ts'
import type { ClientSocket } from './listen-for-clients.ts'

/** What the requests of a connection use. */
export interface ConnectionContext extends ConnectContext, RequestContext, OwnContext {
  readonly audit: Pick<AuditLog, 'write' | 'openAfterMs' | 'healthy'>
  readonly pool: ConnectContext['pool'] & RequestContext['pool']
  readonly metrics: ConnectContext['metrics']
  readonly refusals: ConnectContext['refusals']
  readonly timeouts: Omit<EgressTimeouts, 'dialMs' | 'upstreamIdleMs'>
  /** The names by which origin form means the gateway itself. */
  readonly ownNames: ReadonlySet<string>
  /** Refuses everything while the audit log cannot be written. */
  readonly refuseWithoutAudit: boolean
  /** Whether the process takes no new work. @param served how much it serves */
  overloaded(served: number): boolean
  readonly serving: Serving
  policy(): ReturnType<ConnectContext['policy']>
}

export interface ClientConnection {
  /** True between two requests. */
  readonly idle: boolean
  /** Closes an idle connection when its answers are flushed. */
  closeIdle(): void
  destroy(): void
}

export function serveConnection(
  client: ClientSocket,
  context: ConnectionContext,
): ClientConnection {
  const connection = new Connection(client, context)
  connection.awaitRequest(context.timeouts.headerMs)
  return connection
}

class Connection implements ClientConnection {
  readonly #socket: BufferedSocket
  readonly #client: GatedClient
  readonly #context: ConnectionContext
  #timer: NodeJS.Timeout | null = null
  #head: Buffer | null = null
  #blankSeen = false
  idle = true

  constructor({ socket, certificate, client }: ClientSocket, context: ConnectionContext) {
    this.#socket = socket
    this.#client = client
    this.#context = certificate === null ? context : { ...context, certificate }
  }

  /** @param waitMs the time for its first byte */
  awaitRequest(waitMs: number): void {
    this.idle = true
    this.#blankSeen = false
    this.#timer = setTimeout(() => this.#onSlow(), waitMs)
    this.#socket.onClosed(() => this.#stopTimer())
    this.#socket.read({ data: (chunk) => this.#onBytes(chunk), end: () => this.#onEnd() })
  }

  closeIdle(): void {
    this.#stopTimer()
    this.idle = false
    if (this.#socket.unsent) this.#socket.closeGently()
    else this.#socket.destroy()
  }

  destroy(): void {
    this.#stopTimer()
    this.#socket.destroy()
  }

  #onBytes(chunk: Buffer): void {
    if (this.idle) {
      this.idle = false
      this.#stopTimer()
      this.#timer = setTimeout(() => this.#onSlow(), this.#context.timeouts.headerMs)
    }
    let bytes = this.#head === null ? chunk : Buffer.concat([this.#head, chunk])
    if (!this.#blankSeen && bytes.length > 1 && bytes[0] === 13 && bytes[1] === 10) {
      // RFC 9112, section 2.2: one empty line before a request is accepted
      this.#blankSeen = true
      bytes = bytes.subarray(2)
    }
    this.#head = bytes
    if (bytes.length === 0) return
    try {
      refuseOtherProtocols(bytes)
      const end = findHeadEnd(bytes, REQUEST_LIMITS)
      if (end === -1) {
        this.#socket.keep()
        return
      }
      this.#takeOver()
      const head = parseRequestHead(bytes.subarray(0, end))
      this.#socket.unread(bytes.subarray(end))
      void this.#serve(head)
    } catch (error) {
      if (!(error instanceof MalformedMessage)) throw error
      this.#takeOver()
      this.#refuse(
        startRecord('-', [], this.#client),
        refuse('syntax', codeOfHead(error), { message: error.message }),
        null,
      )
    }
  }

  #takeOver(): void {
    this.#stopTimer()
    this.#head = null
    this.#socket.release()
    this.#socket.onClosed(null)
  }

  #onSlow(): void {
    if (this.idle) {
      this.closeIdle()
      return
    }
    this.#takeOver()
    this.#refuse(startRecord('-', [], this.#client), refuse('client', 'MESH_EGRESS_SLOW'), null)
  }

  #onEnd(): void {
    this.#stopTimer()
    this.#socket.release()
    if (this.#head === null || this.#head.length === 0) this.#socket.destroy()
    else
      this.#refuse(
        startRecord('-', [], this.#client),
        refuse('syntax', 'MESH_EGRESS_MALFORMED', { message: 'the header is cut short' }),
        null,
      )
  }

  async #serve(head: RequestHead): Promise<void> {
    const record = startRecord(head.method, head.fields, this.#client)
    const { serving } = this.#context
    serving.count += 1
    try {
      const goesOn = await this.#dispatch(head, record)
      if (goesOn && this.#socket.full) await this.#drained()
      // a packet may hold thousands of requests: others come between two of them
      if (goesOn && this.#socket.heldBytes > 0) await nextTurn()
      if (!goesOn || this.#socket.closed) return
      const over = this.#socket.ended && this.#socket.heldBytes === 0
      if (over || this.#context.draining()) this.#socket.closeGently()
      else this.awaitRequest(keptMs(this.#client, this.#context.timeouts))
    } catch (error) {
      // a fault in one request must not end the process; the record and the log report it
      const refused = refuse('gateway', 'MESH_GATEWAY_INTERNAL', { cause: error })
      this.#refuse(record, refused, null)
    } finally {
      serving.count -= 1
    }
  }

  /**
   * Back-pressure: a client that sends requests without reading answers would fill the memory, so no request is read
   * until the answers are flushed.
   */
  #drained(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#timer = setTimeout(() => this.#socket.destroy(), this.#context.timeouts.idleMs)
    this.#socket.onDrain(resolve)
    this.#socket.onClosed(resolve)
    return promise.finally(() => {
      this.#stopTimer()
      this.#socket.onDrain(null)
      this.#socket.onClosed(null)
    })
  }

  /** True when the connection can carry another request. */
  async #dispatch(head: RequestHead, record: RequestRecord): Promise<boolean> {
    const context = this.#context
    const own = this.#ownRequest(head)
    if (own === true) return await serveOwn(head, this.#socket, record, context)
    if (typeof own === 'string') return this.#malformed(record, own, null)
    const target = targetOf(head)
    if (typeof target === 'string') return this.#malformed(record, target, null)
    if (head.host !== null && !hostHeaderMatches(head.host, target))
      return this.#malformed(record, 'the Host header is not the host of the target', target)
    // before the credential: a looping request lost its token at the first pass
    if (isLoop(head.fields))
      return this.#refuse(record, refuse('syntax', 'MESH_EGRESS_LOOP'), target)
    // a tunnel would be cut; one more request of a kept connection is served, and is its last one
    if (target.form === 'connect' && context.draining())
      return this.#refuse(record, refuse('gateway', 'MESH_GATEWAY_DRAINING'), target)
    // this one is served already
    if (context.overloaded(context.serving.count - 1))
      return this.#refuse(record, new Refused('gateway', overloaded()), target)
    if (context.refuseWithoutAudit && !context.audit.healthy())
      return this.#refuse(record, new Refused('gateway', unauditable()), target)
    if (target.form !== 'connect')
      return await serveRequest(head, target, this.#socket, record, context)
    await serveConnect(head, target, this.#socket, record, context)
    return false
  }

  /** False when it is for another host; a string says why it is malformed. */
  #ownRequest(head: RequestHead): boolean | string {
    if (!isOriginForm(head)) return false
    if (head.host === null) return 'there is no Host header'
    return isOwnHost(head.host, this.#context.ownNames)
  }

  #malformed(record: RequestRecord, message: string, target: Target | null): false {
    return this.#refuse(record, refuse('syntax', 'MESH_EGRESS_MALFORMED', { message }), target)
  }

  #refuse(record: RequestRecord, refused: Refused, target: Target | null): false {
    const gone = this.#socket.closed
    const status = gone ? 0 : refused.error.row.http
    writeRecord(
      record,
      target,
      null,
      { status, refused, ip: null, bytesUp: 0, bytesDown: 0 },
      this.#context,
    )
    if (gone) return false
    const { requestId, method } = record
    this.#socket.writeText(formatRefusal(refused, { requestId, method, keptMs: null }))
    this.#socket.closeGently()
    return false
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }
}

function codeOfHead(error: MalformedMessage): ErrorCode {
  return error instanceof HeadTooLarge ? 'MESH_EGRESS_HEAD_TOO_LARGE' : 'MESH_EGRESS_MALFORMED'
}

function isOriginForm(head: RequestHead): boolean {
  return head.method !== 'CONNECT' && /^[/*]/.test(head.target)
}

/** Parses the target by its form; a string says why it is malformed. */
function targetOf(head: RequestHead): Target | string {
  if (head.method === 'CONNECT') return parseConnectTarget(head.target)
  if (isOriginForm(head)) return parseRelayTarget(head.target, head.host ?? '')
  return parseAbsoluteTarget(head.target)
}

/** Refuses other protocols at once; their head would never end. */
function refuseOtherProtocols(bytes: Buffer): void {
  const first = bytes[0] ?? 0
  if (first === 0x16)
    throw new MalformedMessage('this port speaks plain HTTP, and a TLS handshake came')
  if ((first < 0x21 || first > 0x7e) && first !== 13)
    throw new MalformedMessage('the request line is malformed')
}
