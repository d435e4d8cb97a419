/**
 * One connection of a client: the head of its one request is read, its credential replaced, and from then on bytes are carried
 * both ways. The relay frames no body and parses no answer. It looks at the beginning of an answer only, for a refusal of its own
 * token, which it answers by one more attempt with a fresh one.
 */
import type { Socket } from 'node:net'
import { MeshError } from '@clawmesh/proto'
import { KEEP_ALIVE_MS } from '../../tls/keep-alive.ts'
import { spanOf } from '../../wire/trace.ts'
import { dialFailure } from '../port-dialer.ts'
import type { PortConnection } from '../reach-port.ts'
import type { EgressToken, TokenSource } from '../token-source.ts'
import { judgeAnswer } from './judge-answer.ts'
import { headLength, type ProxyHead, readProxyHead } from './proxy-head.ts'
import { refusalByRelay } from './relay-answer.ts'

export interface RelayContext {
  readonly tokens: TokenSource
  readonly reach: (token: EgressToken) => PortConnection
  readonly headMs: number
  /** A request that the relay lets through, null; or the answer to one for itself. @throws MeshError that refuses it */
  readonly admit: (head: ProxyHead) => string | null
  readonly onRefused: (
    error: MeshError,
    facts: { request_id: string; method: string | null },
  ) => void
  /** An answer has come from the gateway. */
  readonly onAnswered: () => void
}

/** Of the client's bytes so much is kept until the answer begins, for another attempt. */
const MAX_KEPT_BYTES = 65_536
/** How long a client may take for the last bytes when the gateway has ended. */
const FLUSH_MS = 300_000
/** A client that sends on while it is refused gets the answer before a reset. */
const LINGER_MS = 2_000

export class RelayedConnection {
  readonly #client: Socket
  readonly #context: RelayContext
  readonly #timer: NodeJS.Timeout
  #gathered: Buffer | null = null
  #head: ProxyHead | null = null
  #upstream: Socket | null = null
  /** The gateway has been sent the head: what the client sends goes on at once. */
  #sent = false
  /** What the client has sent after its head; null when that is too much. */
  #kept: Buffer[] | null = []
  #keptBytes = 0
  #clientEnded = false
  #retried = false
  /** A fresh token is asked for, after a refusal of which all is gathered. */
  #waiting = false
  /** What has come of the answer, until it is clear what it is. */
  #begun: Buffer | null = null
  #answered = false
  #over = false
  #proven = false

  constructor(client: Socket, context: RelayContext) {
    this.#client = client
    this.#context = context
    this.#timer = setTimeout(() => this.#onSlow(), context.headMs)
    client.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_MS)
    // the close that follows says the rest
    client.on('error', () => {})
    client.on('data', (chunk) => this.#onClientBytes(chunk))
    client.on('end', () => this.#onClientEnd())
    client.on('close', () => this.#onClientClosed())
    client.on('drain', () => this.#upstream?.resume())
  }

  /** No request has come so far. */
  get idle(): boolean {
    return this.#head === null && this.#gathered === null
  }

  /** Its request has shown the secret. */
  get proven(): boolean {
    return this.#proven
  }

  destroy(): void {
    this.#over = true
    clearTimeout(this.#timer)
    this.#client.destroy()
    this.#upstream?.destroy()
  }

  #onClientBytes(chunk: Buffer): void {
    if (this.#over) return
    if (this.#head === null) {
      this.#onHeadBytes(chunk)
      return
    }
    if (!this.#answered) this.#keep(chunk)
    if (this.#sent && this.#upstream?.write(chunk) === false) this.#client.pause()
  }

  #onHeadBytes(chunk: Buffer): void {
    let bytes = this.#gathered === null ? chunk : Buffer.concat([this.#gathered, chunk])
    // as the gateway: one empty line may come before a request
    if (bytes[0] === 13 && bytes[1] === 10) bytes = bytes.subarray(2)
    this.#gathered = bytes
    try {
      const length = headLength(bytes)
      if (length === null) return
      clearTimeout(this.#timer)
      this.#client.pause()
      this.#head = readProxyHead(bytes.subarray(0, length))
      this.#gathered = null
      const own = this.#context.admit(this.#head)
      this.#proven = true
      if (length < bytes.length) this.#keep(bytes.subarray(length))
      if (own === null) void this.#attempt()
      else this.#finish(own)
    } catch (error) {
      this.#refuse(error)
    }
  }

  #keep(chunk: Buffer): void {
    this.#keptBytes += chunk.length
    // before anything is sent the client is paused: little comes, and all of it is needed
    if (this.#sent && this.#keptBytes > MAX_KEPT_BYTES) this.#kept = null
    this.#kept?.push(chunk)
  }

  async #attempt(): Promise<void> {
    const head = this.#head
    if (head === null) return
    const { tokens, reach } = this.#context
    try {
      const token = await tokens.get(spanOf(head.traceparent))
      if (this.#over) return
      const { socket, ready } = reach(token)
      socket.allowHalfOpen = true
      this.#upstream = socket
      socket.on('error', () => {})
      socket.once('close', () => this.#onUpstreamClosed(socket))
      socket.once(ready, () => this.#send(socket, head, token))
    } catch (error) {
      this.#refuse(error)
    }
  }

  /** The connection to the gateway is there. */
  #send(upstream: Socket, head: ProxyHead, token: EgressToken): void {
    upstream.on('data', (chunk) => this.#onUpstreamBytes(chunk, token))
    upstream.on('end', () => this.#onUpstreamEnd(upstream))
    upstream.on('drain', () => this.#client.resume())
    upstream.cork()
    upstream.write(head.withToken(token.token))
    for (const chunk of this.#kept ?? []) upstream.write(chunk)
    upstream.uncork()
    this.#sent = true
    if (this.#clientEnded) upstream.end()
    else this.#client.resume()
  }

  #onUpstreamBytes(chunk: Buffer, token: EgressToken): void {
    if (this.#over) return
    if (this.#answered) {
      if (!this.#client.write(chunk)) this.#upstream?.pause()
      return
    }
    const bytes = this.#begun === null ? chunk : Buffer.concat([this.#begun, chunk])
    this.#begun = bytes
    if (this.#waiting) return
    const verdict = judgeAnswer(bytes)
    if (verdict === 'token' && this.#mayRetry) {
      this.#context.tokens.refuse(token)
      void this.#again()
    } else if (verdict !== 'more') this.#passOn()
  }

  /** Once, and only with all that the client has sent. */
  get #mayRetry(): boolean {
    return !this.#retried && this.#kept !== null
  }

  /** Once more with a fresh token; without one, the refusal that came is passed on. */
  async #again(): Promise<void> {
    const refused = this.#upstream
    const trace = spanOf(this.#head?.traceparent)
    this.#retried = true
    this.#waiting = true
    this.#client.pause()
    try {
      await this.#context.tokens.get(trace)
    } catch {
      // the gateway's own refusal says more than that there is no other token
      this.#waiting = false
      if (!this.#over) this.#passOn()
      return
    }
    this.#waiting = false
    if (this.#over) return
    this.#begun = null
    this.#letGo(refused)
    await this.#attempt()
  }

  #passOn(): void {
    const bytes = this.#begun
    this.#answered = true
    this.#begun = null
    this.#kept = null
    this.#context.onAnswered()
    if (bytes !== null && !this.#client.write(bytes)) this.#upstream?.pause()
    if (this.#upstream?.readableEnded !== false || this.#upstream.destroyed) this.#client.end()
    else this.#client.resume()
  }

  #onClientEnd(): void {
    this.#clientEnded = true
    if (this.#head === null) this.destroy()
    else if (this.#sent) this.#upstream?.end()
  }

  #onUpstreamEnd(upstream: Socket): void {
    if (this.#answered) this.#client.end()
    else this.#onUpstreamClosed(upstream)
  }

  #onClientClosed(): void {
    clearTimeout(this.#timer)
    const whole = this.#client.readableEnded && this.#client.errored === null
    const upstream = this.#upstream
    this.#over = true
    if (upstream === null || upstream.destroyed) return
    if (whole && upstream.readableEnded) upstream.end()
    else upstream.destroy()
  }

  #onUpstreamClosed(upstream: Socket): void {
    if (this.#over || this.#waiting || upstream !== this.#upstream) return
    if (!this.#answered) this.#onUnanswered(upstream)
    // what was cut short must not look whole
    else if (!upstream.readableEnded || upstream.errored !== null) this.#client.resetAndDestroy()
    else this.#client.end().setTimeout(FLUSH_MS, () => this.#client.destroy())
  }

  /** A gateway that ends a connection before an answer is most likely restarted. A CONNECT has done nothing yet. */
  #onUnanswered(upstream: Socket): void {
    if (this.#begun !== null) this.#passOn()
    else if (this.#sent && this.#mayRetry && this.#head?.form === 'connect') {
      this.#retried = true
      this.#client.pause()
      this.#letGo(upstream)
      void this.#attempt()
    } else this.#refuse(dialFailure(upstream.errored ?? new Error('it ended the connection')))
  }

  /** Of a connection that another one takes the place of. */
  #letGo(upstream: Socket | null): void {
    this.#sent = false
    upstream
      ?.removeAllListeners()
      .on('error', () => {})
      .destroy()
  }

  #onSlow(): void {
    if (this.idle) this.destroy()
    else this.#refuse(new MeshError('MESH_EGRESS_SLOW'))
  }

  #refuse(fault: unknown): void {
    if (this.#over) return
    const error =
      fault instanceof MeshError
        ? fault
        : new MeshError('MESH_GATEWAY_INTERNAL', 'the relay failed', { cause: fault })
    const method = this.#head?.method ?? null
    const { requestId, bytes } = refusalByRelay(error, method)
    this.#context.onRefused(error, { request_id: requestId, method })
    this.#finish(bytes)
  }

  /** Answers by itself. What the client still sends is read, so that a reset does not overtake the answer. */
  #finish(answer: string): void {
    this.#over = true
    clearTimeout(this.#timer)
    this.#upstream?.destroy()
    this.#client.end(answer, 'latin1')
    this.#client.resume()
    const lingering = setTimeout(() => this.#client.destroy(), LINGER_MS)
    this.#client.once('end', () => this.#client.destroySoon())
    this.#client.once('close', () => clearTimeout(lingering))
  }
}
