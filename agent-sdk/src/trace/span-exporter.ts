/**
 * Exports spans to a collector, in batches, beside the work that they are of: adding one is a push to a bounded queue. What
 * does not fit is dropped and counted. A collector that is away or slow costs that memory and nothing else.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../log.ts'
import { type CollectorOptions, postSpans } from './post-spans.ts'
import { encodeSpans, type Resource, type Scope, type Span } from './span.ts'

export interface SpanExporterOptions<Item> extends CollectorOptions {
  /** Makes a span of what was added, when its batch leaves. */
  readonly spanOf: (item: Item) => Span
  readonly resource: Resource
  readonly scope: Scope
  readonly log: Pick<Log, 'warn' | 'info'>
  /** The share of traces that is exported, from 0 to 1, chosen by the trace id alone. Default 1. */
  readonly ratio?: number
  /** Spans that wait. Default 4,096. */
  readonly maxQueue?: number
  /** How long a span waits for others, in milliseconds. Default 1,000. */
  readonly waitMs?: number
  /** For one answer of the collector, in milliseconds. Default 10,000. */
  readonly answerMs?: number
  /** How long close() goes on sending, in milliseconds. Default 2,000. */
  readonly closeMs?: number
  /** Called with a number of spans that the collector has taken, or that are lost. */
  readonly onOutcome?: (outcome: 'exported' | 'dropped', spans: number) => void
}

export interface SpanExporter<Item> {
  /** Never waits and never throws. @param traceId decides, with `ratio`, whether it is exported at all */
  add(traceId: string, item: Item): void
  /** Sends what waits, for a short time, and ends. */
  close(): Promise<void>
}

const BATCH = 256
const TRIES = 5
const FIRST_WAIT_MS = 500
const MAX_WAIT_MS = 30_000

export function createSpanExporter<Item>(options: SpanExporterOptions<Item>): SpanExporter<Item> {
  return new QueuedExporter(options)
}

class QueuedExporter<Item> implements SpanExporter<Item> {
  readonly #options: SpanExporterOptions<Item>
  readonly #maxQueue: number
  readonly #waitMs: number
  /** Of 2^32: traces whose id ends in less are exported. */
  readonly #below: number
  #queue: Item[] = []
  #timer: NodeJS.Timeout | null = null
  /** While batches leave. */
  #sending: Promise<void> | null = null
  #failing = false
  #closed = false
  /** Ends waiting between tries. */
  readonly #hurry = new AbortController()
  /** Ends everything. */
  readonly #end = new AbortController()

  constructor(options: SpanExporterOptions<Item>) {
    this.#options = options
    this.#maxQueue = options.maxQueue ?? 4_096
    this.#waitMs = options.waitMs ?? 1_000
    this.#below = (options.ratio ?? 1) * 2 ** 32
  }

  add(traceId: string, item: Item): void {
    if (this.#closed) return
    if (this.#below < 2 ** 32 && Number.parseInt(traceId.slice(24), 16) >= this.#below) return
    if (this.#queue.length >= this.#maxQueue) {
      this.#options.onOutcome?.('dropped', 1)
      return
    }
    this.#queue.push(item)
    this.#sendSoon()
  }

  async close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true
      this.#hurry.abort()
      const timer = setTimeout(() => this.#end.abort(), this.#options.closeMs ?? 2_000)
      this.#send()
      await this.#sending
      clearTimeout(timer)
    }
    await this.#sending
  }

  #send(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#sending ??= this.#sendAll().finally(() => {
      this.#sending = null
      this.#sendSoon()
    })
  }

  #sendSoon(): void {
    if (this.#sending !== null || this.#queue.length === 0) return
    if (this.#queue.length >= BATCH) this.#send()
    else this.#timer ??= setTimeout(() => this.#send(), this.#waitMs).unref()
  }

  /** A batch after another, while one is full, and in the end all. */
  async #sendAll(): Promise<void> {
    do {
      const batch = this.#queue.splice(0, BATCH)
      if (batch.length > 0) await this.#sendBatch(batch)
    } while (this.#queue.length >= BATCH || (this.#closed && this.#queue.length > 0))
  }

  async #sendBatch(items: readonly Item[]): Promise<void> {
    const { spanOf, resource, scope, answerMs = 10_000, log, onOutcome } = this.#options
    const body = encodeSpans(items.map(spanOf), resource, scope)
    for (let attempt = 1; ; attempt += 1) {
      const within = AbortSignal.any([this.#end.signal, AbortSignal.timeout(answerMs)])
      const posted = await postSpans(body, this.#options, within)
      if (posted.kind === 'taken') {
        if (this.#failing) log.info({}, 'spans are exported again')
        this.#failing = false
        const rejected = Math.min(posted.rejected, items.length)
        if (rejected > 0) onOutcome?.('dropped', rejected)
        onOutcome?.('exported', items.length - rejected)
        return
      }
      if (!this.#failing) log.warn({ why: posted.why }, 'spans cannot be exported')
      this.#failing = true
      const over = posted.kind === 'refused' || attempt >= TRIES || this.#hurry.signal.aborted
      if (over) {
        onOutcome?.('dropped', items.length)
        return
      }
      const waitMs = Math.min(MAX_WAIT_MS, FIRST_WAIT_MS * 2 ** (attempt - 1))
      const { signal } = this.#hurry
      await sleep(Math.max(posted.afterMs, waitMs * (0.5 + Math.random() / 2)), undefined, {
        signal,
        ref: false,
      }).catch(() => {})
    }
  }
}
