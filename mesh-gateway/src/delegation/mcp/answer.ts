/**
 * The answer to one POST: a stream of events (SSE), in which progress and signs of life come before the result, or one
 * JSON document for a client that takes no stream.
 */
import type { HttpResponse } from './http.ts'

export interface Answer {
  /** A notification for the client. Left out where there is no stream, and while the client does not read. */
  notify(message: object): void
  /** The response to one request of the body. */
  respond(message: object): void
  end(): void
}

/** Clients and proxies give up silent connections. */
const ALIVE_MS = 15_000
const ALIVE = Buffer.from(': alive\n\n')
/** How long the client may take to read the end, in milliseconds. */
const LAST_READ_MS = 30_000

/** @param headers of the response */
export function createEventStream(
  response: HttpResponse,
  headers: Readonly<Record<string, string>>,
): Answer {
  response.writeHead(200, {
    ...headers,
    'content-type': 'text/event-stream',
    'cache-control': 'no-cache, no-transform',
    // nginx would hold events back
    'x-accel-buffering': 'no',
  })
  // the head leaves with the first bytes
  response.write(ALIVE)
  let full = false
  const write = (bytes: Buffer) => {
    if (!full) full = !response.write(bytes)
  }
  const alive = setInterval(write, ALIVE_MS, ALIVE)
  alive.unref()
  response.on('close', () => clearInterval(alive))
  response.on('drain', () => {
    full = false
  })
  return {
    notify: (message) => write(eventOf(message)),
    respond: (message) => void response.write(eventOf(message)),
    end() {
      clearInterval(alive)
      endWithin(response)
    },
  }
}

/** @param batch the body was a list, and so is the answer */
export function createJsonAnswer(
  response: HttpResponse,
  headers: Readonly<Record<string, string>>,
  batch: boolean,
): Answer {
  const responses: object[] = []
  return {
    notify() {},
    respond: (message) => void responses.push(message),
    end() {
      // the client has cancelled what it asked
      if (responses.length === 0) {
        response.writeHead(202, headers)
        endWithin(response)
        return
      }
      response.writeHead(200, { ...headers, 'content-type': 'application/json' })
      endWithin(response, JSON.stringify(batch ? responses : responses[0]))
    },
  }
}

/** Ends the response. A client that does not read it keeps it for a while only. */
export function endWithin(response: HttpResponse, text = ''): void {
  response.end(Buffer.from(text))
  const timer = setTimeout(() => response.destroy(), LAST_READ_MS)
  response.on('close', () => clearTimeout(timer))
}

function eventOf(message: object): Buffer {
  return Buffer.from(`event: message\ndata: ${JSON.stringify(message)}\n\n`)
}
