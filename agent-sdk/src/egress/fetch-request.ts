/** What `agent.fetch` is called with, all that `fetch` takes, in the form that undici's own fetch takes. */
import { FormData as UndiciFormData, type RequestInit as UndiciInit } from 'undici'
import {
  checkFetchOptions,
  FETCH_OPTIONS,
  type FetchInit,
  type FetchInput,
} from './fetch-options.ts'

export interface FetchRequest {
  readonly url: URL
  /** Without the signal. Values are as they were given: undici checks them. */
  readonly init: UndiciInit
  /** Null: nothing ends it early. */
  readonly signal: AbortSignal | null
  /** The body can be sent a second time. */
  readonly repeatable: boolean
}

type Body = NonNullable<UndiciInit['body']> | null

/** @throws TypeError for what fetch refuses as well, and for what `checkFetchOptions` refuses */
export async function readFetchRequest(
  input: FetchInput,
  given: FetchInit = {},
): Promise<FetchRequest> {
  checkFetchOptions(given)
  const request = isRequest(input) ? input : null
  const url = new URL(request === null ? String(input) : request.url)
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw new TypeError('url: must be http or https')
  const init: UndiciInit = {}
  Object.assign(init, request === null ? {} : optionsOf(request), optionsOf(given))
  const { signal = null } = init
  delete init.signal
  if (signal !== null && !(signal instanceof AbortSignal))
    throw new TypeError('signal: is no AbortSignal')
  signal?.throwIfAborted()

  const own: unknown = given.body ?? null
  const body = own === null ? await bodyOf(request) : bodyFrom(own)
  const streamed = isAsyncIterable(body)
  // a Request has said of its stream already that it is half duplex
  if (own === null && streamed) init.duplex = 'half'
  return { url, init: { ...init, body }, signal, repeatable: !streamed }
}

function isRequest(input: unknown): input is Request {
  if (input instanceof Request) return true
  // of another copy of fetch
  return (
    typeof input === 'object' &&
    input !== null &&
    Reflect.get(input, Symbol.toStringTag) === 'Request' &&
    typeof Reflect.get(input, 'url') === 'string'
  )
}

/** By name, as fetch reads them: those of a Request are not its own properties. */
function optionsOf(from: object): Record<string, unknown> {
  const found: Record<string, unknown> = {}
  for (const name of FETCH_OPTIONS) {
    const value: unknown = Reflect.get(from, name)
    if (value !== undefined) found[name] = value
  }
  return found
}

/** Fetch standard, section 5.2, "extract": what is none of these is sent as text. */
function bodyFrom(body: unknown): Body {
  if (
    typeof body === 'string' ||
    body instanceof URLSearchParams ||
    body instanceof ArrayBuffer ||
    body instanceof Blob
  )
    return body
  if (ArrayBuffer.isView(body)) return new Uint8Array(body.buffer, body.byteOffset, body.byteLength)
  if (isFormData(body)) return copyOf(body)
  return isAsyncIterable(body) ? body : String(body)
}

/** undici takes no FormData but its own. */
function copyOf(form: FormData): UndiciFormData {
  const copy = new UndiciFormData()
  for (const [name, value] of form.entries())
    if (typeof value === 'string') copy.append(name, value)
    else copy.append(name, value, value.name)
  return copy
}

function isFormData(body: unknown): body is FormData {
  if (body instanceof FormData) return true
  return (
    typeof body === 'object' &&
    body !== null &&
    Reflect.get(body, Symbol.toStringTag) === 'FormData' &&
    typeof Reflect.get(body, 'entries') === 'function'
  )
}

function isAsyncIterable(body: unknown): body is AsyncIterable<Uint8Array> {
  return typeof body === 'object' && body !== null && Symbol.asyncIterator in body
}

/**
 * A Request shows its body as a stream, whatever it was made of. Text and bytes come out whole and at once: they are sent with
 * their length, as fetch sends them. All else is sent as it comes.
 */
async function bodyOf(request: Request | null): Promise<Body> {
  if (request === null || request.body === null) return null
  if (request.bodyUsed || request.body.locked)
    throw new TypeError('input: the body of the Request was read already')
  const reader: ReadableStreamDefaultReader<Uint8Array> = request.body.getReader()
  const first = reader.read()
  if (await isLater(first)) return streamOf([first], reader)
  const second = reader.read()
  if (await isLater(second)) return streamOf([first, second], reader)
  const [head, rest] = await Promise.all([first, second])
  if (!rest.done) return streamOf([first, second], reader)
  return head.value ?? new Uint8Array()
}

/** It does not come within this turn of the event loop. @throws what it rejects with, when that is within this turn */
async function isLater(read: Promise<unknown>): Promise<boolean> {
  const turn = new Promise<'later'>((resolve) => setImmediate(resolve, 'later'))
  const later = (await Promise.race([read, turn])) === 'later'
  // if it fails then, the reader of the stream is told
  if (later) read.catch(() => {})
  return later
}

async function* streamOf(
  begun: readonly ReturnType<ReadableStreamDefaultReader<Uint8Array>['read']>[],
  reader: ReadableStreamDefaultReader<Uint8Array>,
): AsyncGenerator<Uint8Array, void, void> {
  let whole = false
  try {
    for (const read of begun) {
      const { done, value } = await read
      whole = done
      if (done) return
      yield value
    }
    for (;;) {
      const { done, value } = await reader.read()
      whole = done
      if (done) return
      yield value
    }
  } finally {
    if (!whole) await reader.cancel().catch(() => {})
  }
}
