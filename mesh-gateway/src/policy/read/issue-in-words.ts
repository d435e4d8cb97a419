/** Words the faults that a schema finds, for the author of a file. Never shows the messages of zod. */
import type { z } from 'zod'

/** Our own messages begin with a small letter. */
const OF_ZOD = /^[A-Z]/

/** @param value the value found; undefined for none */
export function issueInWords(issue: z.core.$ZodIssue, value: unknown): string {
  if (!OF_ZOD.test(issue.message)) return issue.message
  switch (issue.code) {
    case 'invalid_type':
      return value === undefined
        ? 'is missing'
        : `must be ${article(issue.expected)}, not ${found(value)}`
    case 'invalid_value':
      return `must be ${issue.values.map((one) => JSON.stringify(one)).join(' or ')}`
    case 'too_small':
      return bound(issue, `${issue.minimum}`, 'or more')
    case 'too_big':
      return bound(issue, `${issue.maximum}`, 'or fewer')
    case 'unrecognized_keys':
      return `has unknown keys: ${issue.keys.slice(0, 5).join(', ').slice(0, 200)}`
    case 'invalid_key':
      return issue.issues[0]?.message ?? 'is not a name'
    case 'invalid_format':
      return `must be ${FORMATS[issue.format] ?? 'written in another way'}`
    default:
      return `is not as it should be, ${found(value)}`
  }
}

const FORMATS: Readonly<Record<string, string>> = Object.freeze({
  datetime: 'a time, e.g. 2026-11-29T12:00:00.000Z',
  regex: 'written in another form',
})

/** Describes a value without quoting it: it may be a misplaced secret. */
function found(value: unknown): string {
  if (value === null || typeof value === 'number' || typeof value === 'boolean')
    return String(value)
  if (Array.isArray(value)) return 'a list'
  return value === undefined ? 'nothing' : article(typeof value)
}

function bound(
  issue: z.core.$ZodIssueTooSmall | z.core.$ZodIssueTooBig,
  limit: string,
  direction: string,
): string {
  if (issue.origin === 'array') {
    if (issue.code === 'too_small' && limit === '1') return 'must not be empty'
    return `must have ${limit} entries ${direction}`
  }
  if (issue.origin !== 'string') return `must be ${limit} ${direction.replace('fewer', 'less')}`
  if (issue.code === 'too_small' && limit === '1') return 'must not be empty'
  return `must have ${limit} characters ${direction}`
}

function article(expected: string): string {
  if (expected === 'record') return 'an object'
  if (expected === 'array') return 'a list'
  if (expected === 'boolean') return 'true or false'
  if (expected === 'int') return 'a whole number'
  return `${/^[aeiou]/.test(expected) ? 'an' : 'a'} ${expected}`
}

/** The value at a place of a document; undefined for none. */
export function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  let at = root
  for (const key of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return undefined
    at = Reflect.get(at, key)
  }
  return at
}
