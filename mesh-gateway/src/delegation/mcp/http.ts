/** What the MCP endpoint needs of a request and its response: HTTP/1.1 and HTTP/2 give both in the same form. */
import type { Readable } from 'node:stream'
import { MeshError } from '@clawmesh/proto'

export interface HttpRequest extends Readable {
  readonly method?: string | undefined
  readonly url?: string | undefined
  readonly httpVersionMajor: number
  /** Names and values in turn. */
  readonly rawHeaders: readonly string[]
}

export interface HttpResponse {
  readonly headersSent: boolean
  writeHead(status: number, headers: Readonly<Record<string, string>>): unknown
  /** Bytes, not text: docs/discoveries/an-empty-text-at-the-end-sends-memory.md */
  write(chunk: Buffer): boolean
  end(chunk: Buffer): unknown
  destroy(): unknown
  on(event: 'close' | 'drain', listener: () => void): unknown
}

/**
 * The value of a header that may be given once; null when it is absent.
 * @throws MeshError MESH_MCP_REQUEST
 */
export function headerOf({ rawHeaders }: Pick<HttpRequest, 'rawHeaders'>, name: string) {
  const values = headersOf({ rawHeaders }, name)
  const [value = null] = values
  if (values.length > 1) throw new MeshError('MESH_MCP_REQUEST', `${name} is given twice`)
  return value
}

/** All values of a header. @param name lower case */
export function headersOf(
  { rawHeaders }: Pick<HttpRequest, 'rawHeaders'>,
  name: string,
): readonly string[] {
  const values: string[] = []
  for (let i = 0; i + 1 < rawHeaders.length; i += 2)
    if (rawHeaders[i]?.toLowerCase() === name) values.push((rawHeaders[i + 1] ?? '').trim())
  return values
}

/** The media type of a header, without parameters, lower case. */
export function mediaTypeOf(value: string): string {
  return (value.split(';', 1)[0] ?? '').trim().toLowerCase()
}
