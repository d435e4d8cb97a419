/** A collector of OpenTelemetry that takes spans by OTLP/HTTP with JSON, and refuses what is not as the protocol has it. */
import assert from 'node:assert/strict'
import { createServer, type RequestListener } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { isRecord } from '../../scripts/dev/message.ts'
import { closeServer, listenOnFreePort } from './http-origin.ts'

export interface CollectedSpan {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId: string | null
  readonly name: string
  /** 1: internal, 2: server, 3: client. */
  readonly kind: number
  readonly startNs: bigint
  readonly endNs: bigint
  readonly attributes: Readonly<Record<string, unknown>>
  /** Null for success. */
  readonly error: string | null
  readonly resource: Readonly<Record<string, unknown>>
}

export interface Collector {
  readonly url: string
  /** In the order of their arrival. */
  readonly spans: readonly CollectedSpan[]
  /** POSTs so far, also those that a listener of the test answered. */
  posts(): number
  /** What a request was wrong about, as sentences. */
  readonly faults: readonly string[]
  /** Values of Authorization. */
  readonly authorizations: readonly (string | undefined)[]
  /** Answers so from now on; null: takes the spans. */
  answer(listener: RequestListener | null): void
  close(): Promise<void>
}

export interface CollectorOptions {
  /** Certificate and key, PEM, and the name that it is asked by. Default: plain HTTP on 127.0.0.1. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly host: string }
}

export async function startCollector({ tls }: CollectorOptions = {}): Promise<Collector> {
  const spans: CollectedSpan[] = []
  const faults: string[] = []
  const authorizations: (string | undefined)[] = []
  let posts = 0
  let answer: RequestListener | null = null
  const listener: RequestListener = async (request, response) => {
    posts += 1
    if (answer !== null) return answer(request, response)
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(Buffer.from(chunk))
    authorizations.push(request.headers.authorization)
    try {
      assert.equal(request.method, 'POST')
      assert.equal(request.url, '/v1/traces')
      assert.equal(request.headers['content-type'], 'application/json')
      spans.push(...decode(JSON.parse(Buffer.concat(chunks).toString('utf8'))))
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
    } catch (error) {
      faults.push(String(error))
      response.writeHead(400).end()
    }
  }
  const server = tls === undefined ? createServer(listener) : createSecureServer(tls, listener)
  server.on('error', () => {})
  const port = await listenOnFreePort(server)
  const base = tls === undefined ? `http://127.0.0.1:${port}` : `https://${tls.host}:${port}`
  return {
    ...{ url: `${base}/v1/traces`, spans, faults, authorizations },
    posts: () => posts,
    answer(next) {
      answer = next
    },
    close: () => closeServer(server),
  }
}

/** An ExportTraceServiceRequest: its fields by name, and no others (opentelemetry-proto 1.3, JSON). */
function decode(body: unknown): CollectedSpan[] {
  return listOf(body, ['resourceSpans'], 'resourceSpans').flatMap((one) => {
    const { resource } = recordOf(one, ['resource', 'scopeSpans'])
    const described = attributesOf(recordOf(resource, ['attributes']).attributes)
    return listOf(one, ['resource', 'scopeSpans'], 'scopeSpans').flatMap((scoped) => {
      const { scope } = recordOf(scoped, ['scope', 'spans'])
      assert.match(String(recordOf(scope, ['name', 'version']).name), /^@clawmesh\//)
      return listOf(scoped, ['scope', 'spans'], 'spans').map((span) => decodeSpan(span, described))
    })
  })
}

const SPAN = [
  ...['traceId', 'spanId', 'parentSpanId', 'name', 'kind'],
  ...['startTimeUnixNano', 'endTimeUnixNano', 'attributes', 'status'],
]

function decodeSpan(value: unknown, resource: CollectedSpan['resource']): CollectedSpan {
  const span = recordOf(value, SPAN)
  const { traceId, spanId, parentSpanId = null, name, kind } = span
  assert.match(String(traceId), /^[0-9a-f]{32}$/)
  assert.match(String(spanId), /^[0-9a-f]{16}$/)
  if (parentSpanId !== null) assert.match(String(parentSpanId), /^[0-9a-f]{16}$/)
  assert.ok(typeof name === 'string' && name !== '')
  assert.ok(typeof kind === 'number' && [1, 2, 3].includes(kind))
  const [startNs, endNs] = [span.startTimeUnixNano, span.endTimeUnixNano].map((time) => {
    assert.ok(typeof time === 'string' && /^\d{19}$/.test(time), `${time} is no time`)
    return BigInt(time)
  })
  assert.ok(startNs !== undefined && endNs !== undefined && startNs <= endNs)
  const { code = 0, message = null } = recordOf(span.status, ['code', 'message'])
  assert.ok(code === 0 || (code === 2 && typeof message === 'string'))
  return {
    ...{ traceId: String(traceId), spanId: String(spanId), name, kind, startNs, endNs, resource },
    parentSpanId: parentSpanId === null ? null : String(parentSpanId),
    attributes: attributesOf(span.attributes),
    error: code === 0 ? null : String(message),
  }
}

function attributesOf(list: unknown): Record<string, unknown> {
  assert.ok(Array.isArray(list))
  const entries = list.map((one: unknown): [string, unknown] => {
    const { key, value } = recordOf(one, ['key', 'value'])
    const typed = recordOf(value, ['stringValue', 'boolValue', 'intValue', 'doubleValue'])
    const [[type, given] = [], ...more] = Object.entries(typed)
    assert.deepEqual(more, [])
    if (type === 'intValue') {
      assert.ok(typeof given === 'string' && /^-?\d+$/.test(given), 'an int64 is text')
      return [String(key), Number(given)]
    }
    assert.equal(
      typeof given,
      type?.replace('Value', '').replace('bool', 'boolean').replace('double', 'number'),
    )
    return [String(key), given]
  })
  assert.equal(new Set(entries.map(([key]) => key)).size, entries.length, 'each key once')
  return Object.fromEntries(entries)
}

function listOf(value: unknown, keys: readonly string[], key: string): unknown[] {
  const list = recordOf(value, keys)[key]
  assert.ok(Array.isArray(list), `${key} is a list`)
  return list
}

function recordOf(value: unknown, keys: readonly string[]): Record<string, unknown> {
  assert.ok(isRecord(value))
  for (const key of Object.keys(value)) assert.ok(keys.includes(key), `there is no ${key}`)
  return value
}
