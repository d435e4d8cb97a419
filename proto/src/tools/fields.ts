/**
 * Arguments of a tool, said once: from these fields come the JSON Schema that a model sees and the check of what it sends. A host
 * may pass arguments on unchecked, so each call is checked here.
 */
import { nearest } from '../nearest.ts'

/** A JSON Schema, as a tool shows it. */
export type JsonSchema = Readonly<Record<string, unknown>>

/** Why arguments are refused: one sentence for the model. */
export class ArgumentFault extends Error {
  override readonly name = 'ArgumentFault'
}

export interface Field<Value> {
  readonly schema: JsonSchema
  readonly required: boolean
  /** @throws ArgumentFault */
  read(value: unknown, name: string): Value
}

export type Fields = Readonly<Record<string, Field<unknown>>>

/** The values of fields, by name; undefined for what was left out. */
export type ValuesOf<F extends Fields> = { readonly [Name in keyof F]: ReturnType<F[Name]['read']> }

/** A schema of an object that takes these fields and no others. */
export function schemaOf(fields: Fields): JsonSchema {
  const entries = Object.entries(fields)
  return Object.freeze({
    type: 'object',
    properties: Object.fromEntries(entries.map(([name, field]) => [name, field.schema])),
    required: entries.flatMap(([name, field]) => (field.required ? [name] : [])),
    additionalProperties: false,
  })
}

/** @throws ArgumentFault for what is not an object, is misspelt, missing or of another type */
export function readFields<F extends Fields>(fields: F, given: unknown): ValuesOf<F>
export function readFields(fields: Fields, given: unknown): Readonly<Record<string, unknown>> {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw new ArgumentFault('the arguments must be one JSON object')
  const names = Object.keys(fields)
  for (const name of Object.keys(given)) {
    if (Object.hasOwn(fields, name)) continue
    const meant = nearest(name, names)
    const help = meant === null ? `it takes ${names.join(', ')}` : `did you mean ${meant}?`
    throw new ArgumentFault(`${shown(name)} is no argument of this tool; ${help}`)
  }
  return Object.fromEntries(
    Object.entries(fields).map(([name, field]) => {
      const value: unknown = Object.hasOwn(given, name) ? Reflect.get(given, name) : undefined
      if (value === undefined && field.required)
        throw new ArgumentFault(`the argument ${name} is missing`)
      return [name, field.read(value, name)]
    }),
  )
}

/** A field that may be left out. */
export function optional<Value>(field: Field<Value>): Field<Value | undefined> {
  return {
    schema: field.schema,
    required: false,
    // models write null for what they leave out
    read: (value, name) =>
      value === undefined || value === null ? undefined : field.read(value, name),
  }
}

/** @param maxLength in UTF-16 code units */
export function text(description: string, maxLength: number): Field<string> {
  return {
    schema: { type: 'string', description, maxLength },
    required: true,
    read(value, name) {
      if (typeof value !== 'string') throw new ArgumentFault(`${name} must be a text`)
      if (value === '') throw new ArgumentFault(`${name} must not be empty`)
      if (value.length > maxLength)
        throw new ArgumentFault(`${name} is longer than ${maxLength} characters`)
      return value.toWellFormed()
    },
  }
}

export function number(description: string, minimum: number, maximum: number): Field<number> {
  return {
    schema: { type: 'number', description, minimum, maximum },
    required: true,
    read(value, name) {
      if (typeof value !== 'number' || !(value >= minimum && value <= maximum))
        throw new ArgumentFault(`${name} must be a number from ${minimum} to ${maximum}`)
      return value
    },
  }
}

export function oneOf<const Value extends string>(
  description: string,
  values: readonly Value[],
): Field<Value> {
  return {
    schema: { type: 'string', description, enum: values },
    required: true,
    read(value, name) {
      const found = values.find((each) => each === value)
      if (found === undefined)
        throw new ArgumentFault(`${name} must be one of ${values.join(', ')}`)
      return found
    },
  }
}

/** Texts by name, such as headers. */
export function texts(
  description: string,
  maxEntries: number,
): Field<Readonly<Record<string, string>>> {
  return {
    schema: { type: 'object', description, additionalProperties: { type: 'string' } },
    required: true,
    read(value, name) {
      if (typeof value !== 'object' || value === null || Array.isArray(value))
        throw new ArgumentFault(`${name} must be an object of texts`)
      const entries = Object.entries(value)
      if (entries.length > maxEntries)
        throw new ArgumentFault(`${name} has more than ${maxEntries} entries`)
      for (const [key, each] of entries)
        if (typeof each !== 'string')
          throw new ArgumentFault(`${name}: ${shown(key)} must be a text`)
      return Object.fromEntries(entries)
    },
  }
}

/** A text, or any other JSON value. What `JSON.stringify` cannot write is refused. */
export function textOrJson(description: string): Field<unknown> {
  return {
    // a list of types is what every model provider takes
    schema: {
      description,
      anyOf: [{ type: 'string' }, { type: 'object' }, { type: 'array', items: {} }],
    },
    required: true,
    read(value, name) {
      if (typeof value === 'string') return value.toWellFormed()
      let written: string | undefined
      try {
        written = JSON.stringify(value)
      } catch {
        // a circle, a bigint: no JSON
      }
      if (written === undefined) throw new ArgumentFault(`${name} must be a text or JSON`)
      const read: unknown = JSON.parse(written)
      return read
    },
  }
}

/** Of a name that a model made up, as one short word. */
function shown(name: string): string {
  return JSON.stringify(name.slice(0, 40).toWellFormed())
}

/** For work of the SDK with names and options that a model chose. @throws ArgumentFault for its TypeError */
export function asArguments<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (error instanceof TypeError) throw new ArgumentFault(error.message)
    throw error
  }
}
