/** mesh_fetch: one request through the egress gateway; a body of bounded length for the model, the rest in a file. */
import { MeshError, uuidV7 } from '@clawmesh/proto'
import {
  ArgumentFault,
  FETCH_FIELDS,
  type FetchArguments,
  markUntrusted,
  plainLineOf,
  plainTextOf,
  readFields,
  refusalResult,
  type ToolResult,
} from '@clawmesh/proto/tools'
import type { ToolContext } from './tool.ts'
import { nameForType, safeFileName } from './workspace/file-name.ts'
import { createResultFolder, type StoredFile } from './workspace/result-folder.ts'

export interface FetchToolOptions {
  readonly maxTextLength: number
  readonly maxFileBytes: number
  readonly now: () => number
}

const DEFAULT_BYTES = 16 * 1024 * 1024
/** Headers that fetch or the gateway sets, or that would speak for somebody else. */
const NOT_TO_BE_SET =
  /^(?:host|connection|content-length|expect|keep-alive|te|trailer|transfer-encoding|upgrade|via|traceparent|tracestate|proxy-.*|x-mesh-.*)$/i

export async function fetchUrl(
  options: FetchToolOptions,
  args: unknown,
  context: ToolContext,
): Promise<ToolResult> {
  const asked = readFields(FETCH_FIELDS, args)
  const url = urlOf(asked.url)
  const request = requestOf(asked, context)
  const timeout = AbortSignal.timeout(context.maxWaitMs)
  const { signal } = context
  const until = signal === undefined ? timeout : AbortSignal.any([timeout, signal])
  try {
    const response = await context.agent.fetch(url, { ...request, signal: until })
    return await render(response, { url, asked, options, context })
  } catch (error) {
    if (error instanceof MeshError || error instanceof ArgumentFault) throw error
    if (timeout.aborted)
      throw new MeshError('MESH_EGRESS_TIMEOUT', 'it took longer than the call may', {
        cause: error,
      })
    if (signal?.aborted === true)
      throw new MeshError('MESH_CALL_CANCELED', undefined, { cause: error })
    return failed(url, error, context)
  }
}

function urlOf(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || !/^https?:$/.test(url.protocol))
    throw new ArgumentFault('url must be an http or https URL')
  if (url.username + url.password !== '')
    throw new ArgumentFault('url must not hold a user name or a password')
  return url
}

function requestOf(asked: FetchArguments, context: ToolContext): RequestInit {
  const { traceparent, redirects = 'follow' } = context
  const { method = 'GET', headers: given = {}, body } = asked
  for (const name of Object.keys(given))
    if (NOT_TO_BE_SET.test(name)) throw new ArgumentFault(`headers: ${name} cannot be set`)
  if (body !== undefined && (method === 'GET' || method === 'HEAD'))
    throw new ArgumentFault(`a ${method} request has no body`)
  let headers: Headers
  try {
    headers = new Headers(given)
  } catch {
    throw new ArgumentFault('headers: a name or a value is not one of HTTP')
  }
  if (traceparent !== undefined) headers.set('traceparent', traceparent)
  return { method, headers, redirect: redirects, ...(body === undefined ? {} : { body }) }
}

/** The destination failed, as fetch says it; or there is no way out. */
function failed(url: URL, error: unknown, { log }: ToolContext): ToolResult {
  // what fetch itself throws has a cause
  if (error instanceof TypeError && error.cause === undefined)
    throw new MeshError('MESH_CONFIG_INVALID', 'this agent has no way to the outside', {
      cause: error,
      hint: 'name the egress port of the gateway, e.g. http://127.0.0.1:8080: --egress or MESH_AGENT_EGRESS of mesh-agent, `egress` of the plugin',
    })
  log.warn({ err: error, host: url.host }, 'a fetch failed')
  return refusalResult({
    code: 'MESH_EGRESS_UPSTREAM',
    reason: `${url.host} did not answer as a web server does`,
    advice: 'try once more later, or use another source',
    facts: { url: url.href },
  })
}

interface Rendering {
  readonly url: URL
  readonly asked: FetchArguments
  readonly options: FetchToolOptions
  readonly context: ToolContext
}

async function render(response: Response, rendering: Rendering): Promise<ToolResult> {
  const { url, asked, options } = rendering
  const maxBytes = Math.min(asked.max_bytes ?? DEFAULT_BYTES, options.maxFileBytes)
  const { bytes, whole } = await readBounded(response, maxBytes)
  const type = plainLineOf(response.headers.get('content-type') ?? '', 100)
  const text = bytes.length === 0 ? '' : textOf(bytes, type)
  const isLong = (text?.length ?? Number.POSITIVE_INFINITY) > options.maxTextLength
  const file = isLong ? await keep(bytes, type, rendering) : null
  const end = response.url === '' ? url : new URL(response.url)
  const lines = [
    `${asked.method ?? 'GET'} ${url.href.slice(0, 500)}: ${response.status}, ${bytes.length} bytes.`,
    ...(end.href === url.href ? [] : ['It was redirected.']),
    ...(isRedirect(response) ? ['It redirects: fetch the location by a call of its own.'] : []),
    ...(whole ? [] : [`The body is longer: only its first ${maxBytes} bytes were read.`]),
    ...(file === null ? [] : [`What was read is in ${file.path}.`]),
    ...(isLong && file === null ? ['There is no workspace to keep it in.'] : []),
  ]
  const from = `the server of ${url.host}`
  const shown = plainTextOf((text ?? '').slice(0, options.maxTextLength))
  const location = response.headers.get('location')
  const block = [
    ...(end.href === url.href ? [] : [`redirected to: ${plainLineOf(end.href, 1_000)}`]),
    `content-type: ${type}`,
    ...(location === null ? [] : [`location: ${plainLineOf(location, 1_000)}`]),
    '',
    text === null ? '(binary)' : shown,
  ].join('\n')
  return {
    text: [...lines, '', markUntrusted(from, block)].join('\n'),
    isError: false,
    details: {
      ...{ url: url.href, final_url: end.href, http_status: response.status },
      ...{ content_type: type, bytes: bytes.length, whole, cut: isLong },
      files: file === null ? [] : [file],
      output: text === null || isLong ? null : text,
    },
  }
}

/** One that was not followed (RFC 9110, 15.4). */
function isRedirect({ status, headers }: Response): boolean {
  return [301, 302, 303, 307, 308].includes(status) && headers.has('location')
}

async function keep(
  bytes: Uint8Array,
  type: string,
  { url, options, context }: Rendering,
): Promise<StoredFile | null> {
  if (context.workspaceDir === undefined) return null
  const name = `fetch-${uuidV7(options.now())}`
  const folder = createResultFolder(context.workspaceDir, name, options.maxFileBytes)
  const last = url.pathname.split('/').at(-1) ?? ''
  const named = /\.\w{1,10}$/.test(safeFileName(1, last)) ? last : nameForType('body', type)
  return folder.store(named, bytes)
}

async function readBounded(
  response: Response,
  maxBytes: number,
): Promise<{ bytes: Uint8Array; whole: boolean }> {
  const pieces: Uint8Array[] = []
  let length = 0
  if (response.body === null) return { bytes: new Uint8Array(), whole: true }
  for await (const piece of response.body) {
    const left = maxBytes - length
    pieces.push(piece.length > left ? piece.subarray(0, left) : piece)
    length += Math.min(piece.length, left)
    // leaving the loop cancels the rest
    if (piece.length > left) return { bytes: Buffer.concat(pieces), whole: false }
  }
  return { bytes: Buffer.concat(pieces), whole: true }
}

/** Null for what is no text. */
function textOf(bytes: Uint8Array, type: string): string | null {
  const [, label = 'utf-8'] = /charset="?([\w-]+)/i.exec(type) ?? []
  const textual =
    /^(?:text\/|application\/(?:[\w.+-]*(?:json|xml|javascript|yaml|x-www-form-urlencoded)))/i
  if (type !== '' && !textual.test(type) && !/charset=/i.test(type)) return null
  // a text has no NUL, whatever its label says
  if (bytes.subarray(0, 4_096).includes(0) && !/^utf-16/i.test(label)) return null
  try {
    return new TextDecoder(label).decode(bytes)
  } catch {
    return new TextDecoder().decode(bytes)
  }
}
