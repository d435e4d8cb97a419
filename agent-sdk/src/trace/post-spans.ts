/** One POST to a collector (OTLP/HTTP), and what its answer means: taken, to be tried again, or never to be taken. */
import type { IncomingMessage } from 'node:http'
import { request as requestHttps } from 'node:https'
import { MeshError, type Secret } from '@clawmesh/proto'

// an import would load undici: docs/discoveries/an-import-of-node-http-loads-undici.md
const { request: requestHttp } = process.getBuiltinModule('node:http')

export interface CollectorOptions {
  /** `http:` or `https:`, with the path: `http://127.0.0.1:4318/v1/traces`. */
  readonly url: URL
  /** Asked for each POST. Default: neither. */
  readonly credentials?: () => Promise<CollectorCredentials>
}

export interface CollectorCredentials {
  /** PEM of the CAs of an https collector. Default: those of the system. */
  readonly ca?: string
  /** Sent as a bearer token. */
  readonly token?: Secret<string>
}

export type Posted =
  /** `rejected`: spans that the collector did not take, by its partial success. */
  | { readonly kind: 'taken'; readonly rejected: number }
  /** `afterMs`: not before, as Retry-After says; 0 when it says nothing. */
  | { readonly kind: 'later'; readonly afterMs: number; readonly why: string }
  | { readonly kind: 'refused'; readonly why: string }

/** Worth another try (OTLP/HTTP, "Failures"). */
const RETRYABLE: ReadonlySet<number> = new Set([429, 502, 503, 504])
const MAX_ANSWER_BYTES = 65_536
const MAX_RETRY_AFTER_MS = 60_000

/** Never rejects. @param signal ends it */
export async function postSpans(
  body: string,
  { url, credentials }: CollectorOptions,
  signal: AbortSignal,
): Promise<Posted> {
  try {
    const { ca, token } = (await credentials?.()) ?? {}
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const options = {
        method: 'POST',
        // the collector is asked once a second at most: connections of its own cost less than keeping one right
        agent: false as const,
        signal,
        headers: {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
          ...(token === undefined ? {} : { authorization: `Bearer ${token.reveal()}` }),
        },
      }
      const request =
        url.protocol === 'https:'
          ? requestHttps(url, {
              ...{ ...options, rejectUnauthorized: true },
              ...(ca === undefined ? {} : { ca }),
            })
          : requestHttp(url, options)
      request.once('response', resolve).once('error', reject).end(body)
    })
    return await meaningOf(response)
  } catch (error) {
    return { kind: 'later', afterMs: 0, why: wordOf(error) }
  }
}

async function meaningOf(response: IncomingMessage): Promise<Posted> {
  const status = response.statusCode ?? 0
  const answer = await textOf(response)
  if (status >= 200 && status < 300) return { kind: 'taken', rejected: rejectedIn(answer) }
  const why = `the collector answered ${status}`
  if (!RETRYABLE.has(status)) return { kind: 'refused', why }
  const seconds = Number(response.headers['retry-after'] ?? 0)
  const afterMs = Number.isFinite(seconds) ? Math.max(0, seconds * 1000) : 0
  return { kind: 'later', afterMs: Math.min(afterMs, MAX_RETRY_AFTER_MS), why }
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of response) {
    bytes += chunk.length
    // an answer says little: what is longer is none
    if (bytes > MAX_ANSWER_BYTES) {
      response.destroy()
      return ''
    }
    chunks.push(Buffer.from(chunk))
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** `partialSuccess.rejectedSpans` of an ExportTraceServiceResponse. */
function rejectedIn(answer: string): number {
  const found = /"rejectedSpans"\s*:\s*"?(\d{1,9})"?/.exec(answer)?.[1]
  return found === undefined ? 0 : Number(found)
}

/** A code where there is one: what a system says may hold anything. */
function wordOf(error: unknown): string {
  if (error instanceof MeshError) return error.message
  if (error instanceof Error && 'code' in error) return String(error.code)
  return error instanceof Error ? error.name : 'it failed'
}
