/**
 * A JSON Schema (draft 2020-12) made ready to check values, within bounds. Whoever wrote it, it is only interpreted: it never
 * becomes code, reaches nothing outside of itself, and each look at one of its parts is counted.
 */
import { dereference, type Schema } from '@cfworker/json-schema'
import { isCheapPattern } from './cheap-pattern.ts'
import { fromDraft, type Kind, kindOf, OTHER_DRAFTS, valueFault } from './keywords.ts'

/** A JSON Schema: an object of keywords, `true` for any value, `false` for none. */
export type JsonSchema = boolean | Readonly<Record<string, unknown>>

export interface CompiledSchema {
  readonly root: Schema | boolean
  readonly lookup: Record<string, Schema | boolean>
  /** It has keywords whose cost depends on more than the number of looks: most patterns, and the comparison of all with all. */
  readonly costly: boolean
  /** It has patterns, cheap ones on short texts. */
  readonly patterns: boolean
  /** Bounds the looks of one check, which fails with TooCostly beyond. */
  allow(looks: number): void
}

/** What a schema may have at most. */
const MAX_BYTES = 32 * 1024
const MAX_DEPTH = 32
const MAX_NODES = 2_000
/** A keyword of so many bytes counts as one look more. */
const BYTES_PER_LOOK = 64
const LOOKS_OF_PATTERN = 50

export function isJsonSchema(value: unknown): value is JsonSchema {
  return typeof value === 'boolean' || isObject(value)
}

export class TooCostly extends Error {
  override readonly name = 'TooCostly'
}

/** The schema, or a sentence that says what is wrong with it. */
export function compileJsonSchema(given: unknown): CompiledSchema | string {
  const text = jsonOf(given)
  if (text === null) return 'is not JSON'
  if (Buffer.byteLength(text) > MAX_BYTES) return `is larger than ${MAX_BYTES} bytes`
  const compiling = new Compiling()
  try {
    return compiling.compile(JSON.parse(text))
  } catch (error) {
    if (error instanceof Unusable) return error.message
    throw error
  }
}

class Unusable extends Error {}

type Node = Record<string, unknown>

class Compiling {
  readonly #nodes: Node[] = []
  /** Of the nodes that are applied to the same value, without going into it. */
  readonly #inPlace = new Map<object, unknown[]>()
  #left = Number.POSITIVE_INFINITY
  #costly = false
  #patterns = false

  compile(given: unknown): CompiledSchema {
    const root = this.#copy(given, 'the schema', 0)
    const lookup = resolve(root)
    this.#followReferences(lookup)
    this.#refuseLoops()
    return {
      ...{ root, lookup, costly: this.#costly, patterns: this.#patterns },
      allow: (looks) => {
        this.#left = looks
      },
    }
  }

  #copy(given: unknown, at: string, depth: number): Schema | boolean {
    if (given === false) return false
    const source = given === true ? {} : given
    if (!isObject(source)) throw new Unusable(`${at} is no schema: an object, true or false`)
    if (depth > MAX_DEPTH) throw new Unusable(`is nested more than ${MAX_DEPTH} deep`)
    if (this.#nodes.length >= MAX_NODES) throw new Unusable(`has more than ${MAX_NODES} parts`)
    const node: Node = Object.create(null)
    this.#nodes.push(node)
    const inPlace: unknown[] = []
    this.#inPlace.set(node, inPlace)
    let bytes = 0
    for (const [keyword, value] of Object.entries(source)) {
      const place = `${at}/${keyword}`.slice(0, 200)
      if (fromDraft(keyword, depth > 0)) throw new Unusable(`${place} ${OTHER_DRAFTS}`)
      const kind = kindOf(keyword)
      if (kind === null) continue
      if (kind === 'value') {
        const fault = valueFault(keyword, value)
        if (fault !== null) throw new Unusable(`${place} ${fault}`)
        bytes += JSON.stringify(value).length
        this.#costly ||= keyword === 'uniqueItems' && value === true
        this.#costly ||= keyword === 'pattern' && !isCheapPattern(String(value))
        this.#patterns ||= keyword === 'pattern'
        if (keyword === 'pattern') bytes += LOOKS_OF_PATTERN * BYTES_PER_LOOK
        if (keyword !== '$ref') node[keyword] = value
      } else {
        if (keyword === 'patternProperties') this.#costly = true
        node[keyword] = this.#copyParts(kind, value, place, depth + 1)
        if (kind === 'here') inPlace.push(node[keyword])
        if (kind === 'here-list' || kind === 'here-map') inPlace.push(...partsOf(node[keyword]))
      }
    }
    this.#count(node, source.$ref, 1 + Math.floor(bytes / BYTES_PER_LOOK))
    return node
  }

  #copyParts(kind: Kind, value: unknown, at: string, depth: number): unknown {
    if (kind === 'here' || kind === 'inside') return this.#copy(value, at, depth)
    if (kind === 'here-list' || kind === 'inside-list') {
      if (!Array.isArray(value)) throw new Unusable(`${at} must be a list of schemas`)
      return value.map((one, index) => this.#copy(one, `${at}/${index}`, depth))
    }
    if (!isObject(value)) throw new Unusable(`${at} must be an object of schemas`)
    const parts: Node = Object.create(null)
    for (const [name, one] of Object.entries(value)) {
      const fault = at.endsWith('/patternProperties') ? valueFault('pattern', name) : null
      if (fault !== null) throw new Unusable(`${at} ${fault}`)
      parts[name] = this.#copy(one, `${at}/${name}`, depth)
    }
    return parts
  }

  /** The validator reads `$ref` first at each look at a part. */
  #count(node: Node, reference: unknown, looks: number): void {
    Object.defineProperty(node, '$ref', {
      enumerable: true,
      get: () => {
        this.#left -= looks
        if (this.#left < 0) throw new TooCostly()
        return reference
      },
    })
  }

  #followReferences(lookup: Record<string, Schema | boolean>): void {
    for (const node of this.#nodes) {
      if (node.$ref === undefined) continue
      const target = lookup[String(node.__absolute_ref__)]
      if (target === undefined) throw new Unusable('has a $ref that leads nowhere within it')
      this.#inPlace.get(node)?.push(target)
    }
  }

  /** A part that is applied to the very value that it is applied to already would never come to an end. */
  #refuseLoops(): void {
    const done = new Set<unknown>()
    const open = new Set<unknown>()
    const visit = (node: unknown): void => {
      if (done.has(node)) return
      if (open.has(node)) throw new Unusable('refers to itself without an end')
      open.add(node)
      for (const next of this.#inPlace.get(Object(node)) ?? []) visit(next)
      open.delete(node)
      done.add(node)
    }
    for (const node of this.#nodes) visit(node)
  }
}

/** @throws Unusable for references that cannot be read */
function resolve(root: Schema | boolean): Record<string, Schema | boolean> {
  try {
    return dereference(root)
  } catch (cause) {
    if (cause instanceof TooCostly) throw cause
    throw new Unusable('has a $ref or an $anchor that cannot be read', { cause })
  }
}

function partsOf(parts: unknown): unknown[] {
  return Object.values(Object(parts))
}

function jsonOf(given: unknown): string | null {
  try {
    return JSON.stringify(given) ?? null
  } catch {
    return null
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
