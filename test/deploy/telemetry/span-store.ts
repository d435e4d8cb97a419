/** A store of spans, which takes OTLP/HTTP with JSON from a Collector. */
import { createServer } from 'node:http'
import { gunzipSync } from 'node:zlib'
import { isRecord } from '../../../scripts/dev/message.ts'
import { closeServer, listenOnFreePort } from '../../support/http-origin.ts'

export interface StoredSpan {
  readonly traceId: string
  readonly spanId: string
  /** Empty where the trace begins. */
  readonly parentSpanId: string
  readonly name: string
  /** `service.name` of its resource. */
  readonly service: string
}

export interface SpanStore {
  /** host:port */
  readonly address: string
  readonly spans: readonly StoredSpan[]
  /** Answers 503 from now on, or takes spans again. */
  refuse(whether: boolean): void
  /** How often it has refused. */
  refused(): number
  close(): Promise<void>
}

export async function startSpanStore(): Promise<SpanStore> {
  const spans: StoredSpan[] = []
  let [refuses, refused] = [false, 0]
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(Buffer.from(chunk))
    if (refuses) {
      refused += 1
      response.writeHead(503).end()
      return
    }
    const body = Buffer.concat(chunks)
    const text = request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body
    spans.push(...spansIn(JSON.parse(text.toString('utf8'))))
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
  })
  const port = await listenOnFreePort(server)
  return {
    ...{ address: `127.0.0.1:${port}`, spans },
    refuse(whether) {
      refuses = whether
    },
    refused: () => refused,
    close: () => closeServer(server),
  }
}

function spansIn(body: unknown): StoredSpan[] {
  return listIn(body, 'resourceSpans').flatMap((one) => {
    const service = serviceOf(one)
    return listIn(one, 'scopeSpans')
      .flatMap((scoped) => listIn(scoped, 'spans'))
      .map((span) => ({
        ...{ traceId: textIn(span, 'traceId'), spanId: textIn(span, 'spanId'), service },
        ...{ parentSpanId: textIn(span, 'parentSpanId'), name: textIn(span, 'name') },
      }))
  })
}

function serviceOf(resourceSpans: unknown): string {
  const resource = isRecord(resourceSpans) ? resourceSpans.resource : undefined
  const found = listIn(resource, 'attributes').find((one) => textIn(one, 'key') === 'service.name')
  return textIn(isRecord(found) ? found.value : undefined, 'stringValue')
}

function listIn(value: unknown, key: string): unknown[] {
  const found = isRecord(value) ? value[key] : undefined
  return Array.isArray(found) ? found : []
}

function textIn(value: unknown, key: string): string {
  const found = isRecord(value) ? value[key] : undefined
  return typeof found === 'string' ? found : ''
}
