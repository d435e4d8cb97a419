/** The faults of a value in words: the place, and what is wrong there. Values are not shown: they may be secret. */
import { printable } from '@clawmesh/proto'

interface Fault {
  readonly keyword: string
  readonly instanceLocation: string
  readonly error: string
}

/** They say only that something within them is wrong. */
const AROUND: ReadonlySet<string> = new Set([
  ...['properties', 'patternProperties', 'additionalProperties', 'unevaluatedProperties'],
  ...['items', 'prefixItems', 'unevaluatedItems', 'contains', 'propertyNames'],
  ...['allOf', '$ref', 'if', 'dependentSchemas'],
])
const MAX_FAULTS = 3
const MAX_PLACE = 120
const MAX_WORDS = 160

export function faultsInWords(faults: readonly Fault[]): string {
  const within = faults.filter(({ keyword }) => !AROUND.has(keyword))
  const told = (within.length === 0 ? faults : within).slice(0, MAX_FAULTS).map(inWords)
  return [...new Set(told)].join('; ') || 'is not as the schema says'
}

function inWords({ keyword, instanceLocation, error }: Fault): string {
  const place = instanceLocation === '#' ? '' : `${cut(instanceLocation.slice(1), MAX_PLACE)} `
  return printable(`${place}${what(keyword, error)}`)
}

function what(keyword: string, error: string): string {
  switch (keyword) {
    case 'type': {
      const [, found, expected = ''] =
        /^Instance type "(\w+)" is invalid\. Expected "(.*)"\.$/.exec(error) ?? []
      return `is of type ${found}, must be ${expected.replaceAll('", "', ' or ')}`
    }
    case 'required':
      return `lacks ${cut(/"(.*)"/.exec(error)?.[1] ?? 'a property', MAX_WORDS)}`
    case 'enum':
    case 'const':
      return 'is none of the values that the schema lists'
    case 'false':
      return 'is not in the schema'
    case 'anyOf':
    case 'oneOf':
      return 'is as none, or as several, of the forms that the schema gives'
    default:
      return `does not satisfy ${keyword}`
  }
}

function cut(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most)}…` : text
}
