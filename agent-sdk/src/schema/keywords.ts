/** The keywords of JSON Schema, draft 2020-12, that are checked; all others are notes for readers. */

/**
 * `here`: a schema for the same value; `inside`: for what is in the value; `here-list`, `inside-list`: a list of them;
 * `here-map`, `inside-map`: an object of them; `value`: no schema.
 */
export type Kind =
  | 'here'
  | 'inside'
  | 'here-list'
  | 'inside-list'
  | 'here-map'
  | 'inside-map'
  | 'value'

const KINDS: ReadonlyMap<string, Kind> = new Map<string, Kind>([
  ...['not', 'if', 'then', 'else'].map((name): [string, Kind] => [name, 'here']),
  ...['allOf', 'anyOf', 'oneOf'].map((name): [string, Kind] => [name, 'here-list']),
  ['dependentSchemas', 'here-map'],
  ...['items', 'contains', 'additionalProperties', 'propertyNames'].map((name): [string, Kind] => [
    name,
    'inside',
  ]),
  ...['unevaluatedProperties', 'unevaluatedItems'].map((name): [string, Kind] => [name, 'inside']),
  ['prefixItems', 'inside-list'],
  ...['properties', 'patternProperties', '$defs', 'definitions'].map((name): [string, Kind] => [
    name,
    'inside-map',
  ]),
])

const TYPES = ['null', 'boolean', 'object', 'array', 'number', 'string', 'integer']
const MAX_PATTERN = 1_024

const isText = (value: unknown): value is string => typeof value === 'string'
const isNumber = (value: unknown) => typeof value === 'number'
const isCount = (value: unknown) => Number.isSafeInteger(value) && Number(value) >= 0
const isNames = (value: unknown): value is string[] => Array.isArray(value) && value.every(isText)
const isType = (value: unknown) =>
  (Array.isArray(value) ? value : [value]).every((one) => TYPES.includes(String(one)))

/** Each with what its value must be. */
const VALUES: ReadonlyMap<string, readonly [(value: unknown) => boolean, string]> = new Map<
  string,
  readonly [(value: unknown) => boolean, string]
>([
  ['type', [isType, `must be of ${TYPES.join(', ')}`]],
  ['enum', [Array.isArray, 'must be a list']],
  ['const', [() => true, '']],
  ['required', [isNames, 'must be a list of names']],
  [
    'dependentRequired',
    [(value) => Object.values(Object(value)).every(isNames), 'must be an object of lists of names'],
  ],
  ...['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'].map(
    (name) => [name, [isNumber, 'must be a number']] as const,
  ),
  ['multipleOf', [(value) => isNumber(value) && Number(value) > 0, 'must be a number above 0']],
  ...[
    ...['minLength', 'maxLength', 'minItems', 'maxItems', 'minProperties', 'maxProperties'],
    ...['minContains', 'maxContains'],
  ].map((name) => [name, [isCount, 'must be a whole number from 0']] as const),
  ['uniqueItems', [(value) => typeof value === 'boolean', 'must be true or false']],
  ['pattern', [isPattern, `must be a regular expression of ${MAX_PATTERN} characters at most`]],
  [
    '$ref',
    [(value) => isText(value) && value.startsWith('#'), 'must begin with #: it stays within'],
  ],
  ['$anchor', [(value) => isText(value) && /^[A-Za-z_][\w.-]*$/.test(value), 'is not a name']],
])

/** Null for a keyword that checks nothing. */
export function kindOf(keyword: string): Kind | null {
  return KINDS.get(keyword) ?? (VALUES.has(keyword) ? 'value' : null)
}

/** What is wrong with the value of a keyword of kind `value`; null when it is good. */
export function valueFault(keyword: string, value: unknown): string | null {
  const [isGood, must] = VALUES.get(keyword) ?? [() => true, '']
  return isGood(value) ? null : must
}

export const OTHER_DRAFTS = 'is not checked here, and would silently allow more than it says'

const OF_OTHERS = ['$dynamicRef', '$recursiveRef', '$recursiveAnchor', 'additionalItems']
const OF_OLDER = ['dependencies', 'divisibleBy', 'extends', 'disallow']

/** A keyword that checks something in another draft, or that the validator does not know. @param inner not at the root */
export function fromDraft(keyword: string, inner: boolean): boolean {
  if (keyword === '$id') return inner
  return OF_OTHERS.includes(keyword) || OF_OLDER.includes(keyword)
}

function isPattern(value: unknown): boolean {
  if (!isText(value) || value.length > MAX_PATTERN) return false
  try {
    return new RegExp(value, 'u') instanceof RegExp
  } catch {
    return false
  }
}
