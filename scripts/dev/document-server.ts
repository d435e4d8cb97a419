/** Serves one file, and nothing else, by HTTP on loopback. The file is read at each request, so that edits are seen. */

import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { createServer } from 'node:http'
import { basename, extname } from 'node:path'
import { pipeline } from 'node:stream/promises'

export interface DocumentServerOptions {
  readonly file: string
  /** Default: a free one. */
  readonly port?: number
}

export interface DocumentServer {
  readonly port: number
  /** Where the document is, e.g. `/README.md`. */
  readonly path: string
  close(): Promise<void>
}

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.htm': 'text/html; charset=utf-8',
  '.md': 'text/markdown; charset=utf-8',
  '.markdown': 'text/markdown; charset=utf-8',
  '.txt': 'text/plain; charset=utf-8',
}

export async function createDocumentServer(
  options: DocumentServerOptions,
): Promise<DocumentServer> {
  const { file, port = 0 } = options
  const path = documentPath(file)
  const type = TYPES[extname(file).toLowerCase()] ?? 'application/octet-stream'
  const server = createServer((request, response) => {
    serve()
      // the file has gone, or the client has
      .catch(() => (response.headersSent ? response.destroy() : response.writeHead(404).end()))
    async function serve(): Promise<void> {
      if (request.method !== 'GET' && request.method !== 'HEAD') {
        response.writeHead(405, { allow: 'GET, HEAD' }).end()
      } else if (request.url?.split('?')[0] !== path) {
        response.writeHead(404).end()
      } else {
        const { size } = await stat(file)
        response.writeHead(200, { 'content-type': type, 'content-length': size })
        if (request.method === 'HEAD') response.end()
        // no more than the length announced, should the file grow meanwhile
        else if (size > 0) await pipeline(createReadStream(file, { end: size - 1 }), response)
        else response.end()
      }
    }
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const bound = server.address()
  if (bound === null || typeof bound === 'string') throw new TypeError('document server: no port')
  return {
    port: bound.port,
    path,
    async close() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

/** The path at which a file is served: its name, percent-encoded. */
export function documentPath(file: string): string {
  return `/${encodeURIComponent(basename(file))}`
}
