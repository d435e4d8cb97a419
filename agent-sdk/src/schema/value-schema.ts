/** The schema of a skill's input or output, as its author gives it: a JSON Schema, or one of a library by Standard Schema. */
import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { SchemaChecker } from './check-value.ts'
import { compileJsonSchema, isJsonSchema, type JsonSchema } from './json-schema.ts'

/**
 * A schema of the value that goes into a skill or comes out of it: the first JSON part, else all text, else null. A JSON Schema
 * (draft 2020-12), or a schema of zod, Valibot, ArkType and others (https://standardschema.dev). It checks; it changes nothing.
 */
export type SkillSchema = JsonSchema | StandardSchemaV1

export interface ValueSchema {
  /** For others to read; null when its library cannot say it. */
  readonly json: JsonSchema | null
  /** What is wrong with the value, in one line; null when nothing is. */
  check(value: unknown): string | null | Promise<string | null>
}

/** @throws TypeError for what is no schema, or cannot be checked. @param option its name, for that error */
export function readValueSchema(
  given: unknown,
  checker: SchemaChecker,
  option: string,
): ValueSchema {
  const standard = standardOf(given)
  if (standard === null) return ofJsonSchema(given, checker, option)
  const json = jsonOf(standard)
  if (json !== null) refuse(compileJsonSchema(json), option)
  return {
    json,
    async check(value) {
      const { issues } = await standard.validate(value)
      return issues === undefined ? null : issues.slice(0, MAX_ISSUES).map(inWords).join('; ')
    },
  }
}

const MAX_ISSUES = 3
const MAX_WORDS = 200

type Standard = StandardSchemaV1['~standard']

/** Libraries make schemas of objects and of functions. */
function standardOf(given: unknown): Standard | null {
  if ((typeof given !== 'object' && typeof given !== 'function') || given === null) return null
  const standard: unknown = Reflect.get(given, '~standard')
  return isStandard(standard) ? standard : null
}

function isStandard(value: unknown): value is Standard {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof Reflect.get(value, 'validate') === 'function'
  )
}

/** By Standard JSON Schema, where the library has it. Null: not all that a library can check can be said so. */
function jsonOf(standard: Standard): JsonSchema | null {
  const { input } = Object(Reflect.get(standard, 'jsonSchema'))
  if (typeof input !== 'function') return null
  try {
    const made: unknown = input({ target: 'draft-2020-12' })
    return isJsonSchema(made) ? made : null
  } catch {
    return null
  }
}

function ofJsonSchema(given: unknown, checker: SchemaChecker, option: string): ValueSchema {
  const compiled = refuse(compileJsonSchema(given), option)
  if (!isJsonSchema(given)) throw new TypeError(`${option}: is no schema`)
  return { json: given, check: (value) => checker.check(compiled, value) }
}

function refuse<T>(compiled: T | string, option: string): T {
  if (typeof compiled === 'string') throw new TypeError(`${option}: ${compiled}`)
  return compiled
}

function inWords({ message, path = [] }: StandardSchemaV1.Issue): string {
  const place = path
    .map((part) => `/${String(typeof part === 'object' ? part.key : part)}`)
    .join('')
  return `${place === '' ? '' : `${place} `}${message}`.slice(0, MAX_WORDS)
}
