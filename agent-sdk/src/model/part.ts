/** What goes into a task and what comes out: parts, each text, JSON, bytes or a reference to an artifact. */

/** One piece of the input, the output, a question or an answer of a task. */
export type Part = TextPart | JsonPart | BytesPart | ArtifactPart

/** Text of a task. */
export interface TextPart {
  readonly kind: 'text'
  readonly text: string
  /** Default text/plain. */
  readonly mediaType?: string
}

/** A JSON value of a task. */
export interface JsonPart {
  readonly kind: 'json'
  /** Anything that JSON.stringify can write. */
  readonly json: unknown
}

/** Binary data of a task. */
export interface BytesPart {
  readonly kind: 'bytes'
  readonly bytes: Uint8Array
  /** Default application/octet-stream. */
  readonly mediaType?: string
}

/** Points at an artifact that some task made; carries no data. */
export interface ArtifactPart {
  readonly kind: 'artifact'
  readonly name: string
  readonly delegationId: string
  /** Lower-case hexadecimal. */
  readonly sha256: string
  readonly mediaType?: string
}

/**
 * What an author may write where parts are wanted: a string (text), a Uint8Array (bytes), one part, a list made of parts only,
 * nothing at all, or any other value (JSON).
 */
export type Content =
  | string
  | Uint8Array
  | Part
  | readonly Part[]
  | object
  | number
  | boolean
  | null

/** @throws TypeError when a value is not JSON: a function, a symbol, a bigint, a cycle. */
export function toParts(content: unknown): readonly Part[] {
  if (content === undefined) return []
  if (typeof content === 'string') return [{ kind: 'text', text: content }]
  if (content instanceof Uint8Array) return [{ kind: 'bytes', bytes: content }]
  if (isPart(content)) return [content]
  if (Array.isArray(content) && content.length > 0 && content.every(isPart)) return content
  return [{ kind: 'json', json: content }]
}

/** All text parts joined; empty when there is none. */
export function textOf(parts: readonly Part[]): string {
  return parts.map((part) => (part.kind === 'text' ? part.text : '')).join('')
}

/** The first JSON part, or undefined when there is none. */
export function jsonOf(parts: readonly Part[]): unknown {
  return parts.find((part) => part.kind === 'json')?.json
}

/** What a schema is about: the first JSON part, else all text, else null. */
export function describedValue(parts: readonly Part[]): unknown {
  const json = parts.find((part) => part.kind === 'json')
  if (json !== undefined) return json.json
  return parts.some((part) => part.kind === 'text') ? textOf(parts) : null
}

function isPart(value: unknown): value is Part {
  if (typeof value !== 'object' || value === null || !('kind' in value)) return false
  if (value.kind === 'text') return 'text' in value && typeof value.text === 'string'
  if (value.kind === 'json') return 'json' in value
  if (value.kind === 'bytes') return 'bytes' in value && value.bytes instanceof Uint8Array
  return (
    value.kind === 'artifact' &&
    'name' in value &&
    typeof value.name === 'string' &&
    'delegationId' in value &&
    typeof value.delegationId === 'string' &&
    'sha256' in value &&
    typeof value.sha256 === 'string'
  )
}
