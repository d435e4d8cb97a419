/**
 * Words the faults that zod finds, for the author of policy: one sentence per fault, with the key that was probably
 * meant.
 */
import { nearest } from '@clawmesh/proto'
import { z } from 'zod'
import { issueInWords, valueAt } from './issue-in-words.ts'
import { pointerTo } from './strict-json.ts'

export interface SchemaFault {
  readonly pointer: string
  readonly message: string
}

/** The other kind of file of a policy directory: a key of it may stand in the wrong one. */
export interface OtherFile {
  readonly schema: z.ZodType
  readonly name: string
}

type Issue = z.core.$ZodIssue
type Path = readonly PropertyKey[]

/** @param most the maximum; further ones are omitted. @param other default: none */
export function schemaFaults(
  schema: z.ZodType,
  error: z.ZodError,
  value: unknown,
  most: number,
  other: OtherFile | null = null,
): SchemaFault[] {
  const faults: SchemaFault[] = []
  for (const issue of error.issues) {
    faults.push(...describe({ schema, other, most, root: value }, issue, []))
    if (faults.length >= most) break
  }
  return faults.slice(0, most)
}

interface Judged {
  readonly schema: z.ZodType
  readonly other: OtherFile | null
  readonly most: number
  readonly root: unknown
}

function describe(judged: Judged, issue: Issue, prefix: Path): SchemaFault[] {
  const { root, most } = judged
  const path = [...prefix, ...issue.path]
  const one = (message: string): SchemaFault[] => [{ pointer: pointerOf(path), message }]
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.slice(0, most).map((key) => ({
        pointer: pointerTo(pointerOf(path), key),
        message: unknownKey(key, path, judged),
      }))
    case 'invalid_union': {
      const input = valueAt(root, path)
      if (typeof input !== 'string' && !isRecord(input))
        return one('must be a host, or an object with a host')
      const branch = issue.errors[typeof input === 'string' ? 0 : 1] ?? []
      return branch.flatMap((inner) => describe(judged, inner, path))
    }
    case 'too_small':
      if (issue.origin === 'array') return one('must not be empty; leave it out for any')
      return one(issueInWords(issue, valueAt(root, path)))
    default:
      return one(issueInWords(issue, valueAt(root, path)))
  }
}

function unknownKey(key: string, path: Path, { schema, other }: Judged): string {
  if (other !== null && keysAt(other.schema, path).includes(key))
    return `unknown key here; it belongs in ${other.name}`
  const known = keysAt(schema, path)
  const meant = nearest(key, known)
  if (meant !== null) return `unknown key; did you mean ${meant}`
  return known.length === 0 ? 'unknown key' : `unknown key; known here: ${known.join(', ')}`
}

function keysAt(schema: z.ZodType, path: Path): readonly string[] {
  let at: unknown = schema
  for (const key of path) at = stepInto(unwrap(at), key)
  const found = unwrap(at)
  return found instanceof z.ZodObject
    ? Object.keys(found.shape).filter((key) => !key.startsWith('$'))
    : []
}

function stepInto(schema: unknown, key: PropertyKey): unknown {
  if (schema instanceof z.ZodObject) return schema.shape[String(key)]
  if (schema instanceof z.ZodArray) return schema.element
  return schema instanceof z.ZodRecord ? schema.valueType : undefined
}

function unwrap(schema: unknown): unknown {
  if (schema instanceof z.ZodOptional) return unwrap(schema.unwrap())
  if (schema instanceof z.ZodUnion)
    return schema.options.find((option) => option instanceof z.ZodObject)
  return schema
}

function pointerOf(path: Path): string {
  return path.reduce<string>((pointer, key) => pointerTo(pointer, String(key)), '')
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
