/**
 * Validates a JSON file of the gateway against its schema: each fault with its place, the value found and the expected
 * one.
 */
import { printable } from '@clawmesh/proto'
import type { z } from 'zod'
import { issueInWords, valueAt } from './issue-in-words.ts'
import { pointerTo, positionsIn, readStrictJson } from './strict-json.ts'

const SHOWN = 20
/** In a larger file, faults have no line. */
const MAX_LOCATED_BYTES = 1024 * 1024

/** The value, or the faults as lines: `FILE:3:12 #/keys/0/role: must be "active" or "next"`. */
export function parseJsonFile<T>(
  text: string,
  path: string,
  schema: z.ZodType<T>,
): { readonly value: T } | { readonly faults: string } {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    // without the cause, which would quote the file
    return { faults: syntaxFaults(text, path) }
  }
  const result = schema.safeParse(json)
  if (result.success) return { value: result.data }
  const { issues } = result.error
  const place = locate(text)
  const lines = issues.slice(0, SHOWN).map((issue) => {
    const pointer = issue.path.reduce<string>((to, key) => pointerTo(to, String(key)), '')
    const at = pointer === '' ? '' : ` #${pointer}`
    const said = issueInWords(issue, valueAt(json, issue.path))
    return printable(`${path}${place(pointer)}${at}: ${said}`)
  })
  const more = issues.length > SHOWN ? [`and ${issues.length - SHOWN} more`] : []
  return { faults: [...lines, ...more].join('\n  ') }
}

function syntaxFaults(text: string, path: string): string {
  if (text.length > MAX_LOCATED_BYTES) return `${path} is not JSON`
  const document = readStrictJson(Buffer.from(text), { maxFaults: 1 })
  const [first] = document.faults
  if (first === undefined) return `${path} is not JSON`
  const { line, column } = positionsIn(document.text)(first.offset)
  return printable(`${path}:${line}:${column}: is not JSON: ${first.message}`)
}

function locate(text: string): (pointer: string) => string {
  if (text.length > MAX_LOCATED_BYTES) return () => ''
  const document = readStrictJson(Buffer.from(text))
  const position = positionsIn(document.text)
  return (pointer) => {
    // for a missing key, the place of the object that lacks it
    for (let at = pointer; ; at = at.slice(0, at.lastIndexOf('/'))) {
      const offset = document.offsets.get(at) ?? (at === '' ? 0 : undefined)
      if (offset === undefined) continue
      const { line, column } = position(offset)
      return `:${line}:${column}`
    }
  }
}
