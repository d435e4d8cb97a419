/**
 * Checks values by schemas that others wrote, without being held up: the looks at a schema are counted, and where a count
 * is not enough, for a pattern or for a large value, a clock ends the check as well.
 */
import { type Context, createContext, Script } from 'node:vm'
import { validate } from '@cfworker/json-schema'
import { faultsInWords } from './in-words.ts'
import { type CompiledSchema, TooCostly } from './json-schema.ts'

export interface SchemaChecker {
  /** What is wrong with the JSON value, in one line; null when it is as the schema says. Never throws. */
  check(schema: CompiledSchema, value: unknown): string | null
}

/** Of a small value under a schema without costly keywords: bounded by the looks alone, and free of the cost of a clock. */
const LOOKS = 20_000
const SMALL_PARTS = 2_000
const SMALL_CHARACTERS = 16_384
/** The same under a schema with patterns that are cheap on short texts. */
const SHORT_CHARACTERS = 512
/** Of any other. */
const MOST_LOOKS = 250_000
const SMALL_MS = 500
const LARGE_MS = 2_000

const TOO_COSTLY = 'takes too long to check'
const TOO_DEEP = 'is nested too deep to check'

export function createSchemaChecker(): SchemaChecker {
  const clock = createClock()
  return {
    check(schema, value) {
      const short = schema.patterns ? SHORT_CHARACTERS : SMALL_CHARACTERS
      const small = isSmall(value, SMALL_CHARACTERS)
      if (!schema.costly && isSmall(value, short)) {
        const found = judge(schema, value, LOOKS)
        if (found !== TOO_COSTLY) return found
      }
      const found = clock.within(small ? SMALL_MS : LARGE_MS, () =>
        judge(schema, value, MOST_LOOKS),
      )
      return found === undefined ? TOO_COSTLY : found
    },
  }
}

function judge(schema: CompiledSchema, value: unknown, looks: number): string | null {
  schema.allow(looks)
  try {
    const { valid, errors } = validate(value, schema.root, '2020-12', schema.lookup, true)
    return valid ? null : faultsInWords(errors)
  } catch (error) {
    if (error instanceof TooCostly) return TOO_COSTLY
    if (error instanceof RangeError) return TOO_DEEP
    throw error
  }
}

/** Ends work that takes too long, a regular expression too: V8 ends the script that called it. */
function createClock(): { within<T>(ms: number, work: () => T): T | undefined } {
  const place: { work: () => void } = { work: () => {} }
  let script: Script | undefined
  let context: Context | undefined
  return {
    within<T>(ms: number, work: () => T): T | undefined {
      let result: T | undefined
      place.work = () => {
        result = work()
      }
      script ??= new Script('work()')
      context ??= createContext(place)
      try {
        script.runInContext(context, { timeout: ms })
      } catch (error) {
        // an Error of the other context
        if (Reflect.get(Object(error), 'code') === 'ERR_SCRIPT_EXECUTION_TIMEOUT') return undefined
        throw error
      } finally {
        place.work = () => {}
      }
      return result
    },
  }
}

/** Looks at no more of the value than it takes to say no. */
function isSmall(value: unknown, most: number): boolean {
  let parts = 0
  let characters = 0
  const open: unknown[] = [value]
  while (open.length > 0) {
    const one = open.pop()
    parts += 1
    if (typeof one === 'string') characters += one.length
    if (parts > SMALL_PARTS || characters > most) return false
    if (typeof one !== 'object' || one === null) continue
    if (Array.isArray(one) && one.length > SMALL_PARTS) return false
    for (const [name, inner] of Object.entries(one)) {
      if (!Array.isArray(one)) characters += name.length
      open.push(inner)
      if (open.length > SMALL_PARTS) return false
    }
  }
  return true
}
