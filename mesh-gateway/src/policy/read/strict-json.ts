/**
 * Parses JSON strictly by RFC 8259: UTF-8 without BOM, no comments, no trailing commas, no duplicate keys. Keeps the
 * offset of each value, so that a fault can be shown with line and column.
 */
export interface JsonFault {
  /** JSON pointer (RFC 6901) of the place. */
  readonly pointer: string
  readonly offset: number
  readonly message: string
}

export interface JsonDocument {
  /** Undefined when the text is not JSON. */
  readonly value: unknown
  readonly faults: readonly JsonFault[]
  /** Offset of each value, by JSON pointer; for a member, that of its key. */
  readonly offsets: ReadonlyMap<string, number>
  readonly text: string
}

/** Bounds at which reading stops; none by default. */
export interface JsonLimits {
  /** Further faults are not reported one by one. */
  readonly maxFaults?: number
  /** Entries of one list. */
  readonly maxItems?: number
  /** Keys of one object. */
  readonly maxKeys?: number
}

const MAX_DEPTH = 16
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const STRING_RUN = /[^"\\\p{Cc}]*/uy
const SPACE = /[ \t\r\n]*/y
const WORD = /[A-Za-z]+/y
const ESCAPES: Readonly<Record<string, string>> = Object.freeze({
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
})

/** Never throws: errors are returned as faults. */
export function readStrictJson(bytes: Uint8Array, limits: JsonLimits = {}): JsonDocument {
  const fault = (message: string): JsonDocument => ({
    value: undefined,
    faults: [{ pointer: '', offset: 0, message }],
    offsets: new Map(),
    text: '',
  })
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf)
    return fault('begins with a byte order mark; save it as UTF-8 without BOM')
  if ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff))
    return fault('is UTF-16; save it as UTF-8')
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    // the decoder gives no more detail
    return fault('is not UTF-8')
  }
  if (text.trim() === '') return { ...fault('is empty'), text }
  const reader = new Reader(text, limits)
  try {
    const value = reader.document()
    return { value, faults: reader.faults, offsets: reader.offsets, text }
  } catch (error) {
    if (!(error instanceof SyntaxFault)) throw error
    const last = { pointer: error.pointer, offset: error.offset, message: error.message }
    return { value: undefined, faults: [...reader.faults, last], offsets: reader.offsets, text }
  }
}

export interface TextPosition {
  readonly line: number
  readonly column: number
}

/** Line and column of an offset, both from 1. */
export function positionAt(text: string, offset: number): TextPosition {
  return positionsIn(text)(offset)
}

/** Like positionAt, for many offsets in one text. */
export function positionsIn(text: string): (offset: number) => TextPosition {
  const starts = [0]
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) starts.push(at + 1)
  return (offset) => {
    let low = 0
    let high = starts.length
    while (high - low > 1) {
      const middle = (low + high) >> 1
      if ((starts[middle] ?? 0) <= offset) low = middle
      else high = middle
    }
    return { line: low + 1, column: offset - (starts[low] ?? 0) + 1 }
  }
}

export function pointerTo(pointer: string, key: string | number): string {
  return `${pointer}/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`
}

class SyntaxFault extends Error {
  readonly pointer: string
  readonly offset: number

  constructor(pointer: string, offset: number, message: string) {
    super(message)
    this.pointer = pointer
    this.offset = offset
  }
}

class Reader {
  readonly faults: JsonFault[] = []
  readonly offsets = new Map<string, number>()
  readonly #text: string
  readonly #maxFaults: number
  readonly #maxItems: number
  readonly #maxKeys: number
  #at = 0

  constructor(text: string, limits: JsonLimits) {
    this.#text = text
    this.#maxFaults = limits.maxFaults ?? Number.POSITIVE_INFINITY
    this.#maxItems = limits.maxItems ?? Number.POSITIVE_INFINITY
    this.#maxKeys = limits.maxKeys ?? Number.POSITIVE_INFINITY
  }

  document(): unknown {
    const value = this.#value('', 0)
    this.#space('')
    if (this.#at < this.#text.length) this.#fail('', 'more text after the end of the JSON value')
    return value
  }

  #value(pointer: string, depth: number): unknown {
    if (depth > MAX_DEPTH) this.#fail(pointer, `nested deeper than ${MAX_DEPTH} levels`)
    this.#space(pointer)
    if (!this.offsets.has(pointer)) this.offsets.set(pointer, this.#at)
    const next = this.#text[this.#at]
    if (next === '{') return this.#object(pointer, depth)
    if (next === '[') return this.#array(pointer, depth)
    if (next === '"') return this.#string(pointer)
    if (next === "'") this.#fail(pointer, 'strings stand in double quotes')
    const number = this.#take(NUMBER)
    if (number !== '') return Number(number)
    const start = this.#at
    const word = this.#take(WORD)
    if (word === 'true') return true
    if (word === 'false') return false
    if (word === 'null') return null
    this.#at = start
    return this.#unexpected(pointer, 'a value')
  }

  #object(pointer: string, depth: number): object {
    const entries = new Map<string, unknown>()
    let first = true
    this.#at += 1
    for (;;) {
      this.#space(pointer)
      if (this.#text[this.#at] === '}' && first) break
      first = false
      const start = this.#at
      if (this.#text[start] === '}') this.#fail(pointer, 'a comma before the closing }')
      if (this.#text[start] !== '"') this.#unexpected(pointer, 'a key in double quotes')
      const key = this.#string(pointer)
      const member = pointerTo(pointer, key)
      // most code that walks objects skips __proto__, schema validators too: it must not hide anything
      if (entries.has(key) || key === '__proto__')
        this.faults.push({
          pointer: member,
          offset: start,
          message: key === '__proto__' ? 'is not a key for anything' : 'the key is there twice',
        })
      else this.offsets.set(member, start)
      if (this.faults.length >= this.#maxFaults) this.#fail(pointer, 'too many faults to go on')
      if (entries.size >= this.#maxKeys)
        this.#fail(pointer, `must have ${this.#maxKeys} keys or fewer`)
      this.#space(pointer)
      if (this.#text[this.#at] !== ':') this.#unexpected(member, 'a colon')
      this.#at += 1
      const value = this.#value(member, depth + 1)
      if (key !== '__proto__') entries.set(key, value)
      this.#space(pointer)
      if (this.#text[this.#at] === '}') break
      if (this.#text[this.#at] !== ',') this.#unexpected(pointer, 'a comma or }')
      this.#at += 1
    }
    this.#at += 1
    return Object.fromEntries(entries)
  }

  #array(pointer: string, depth: number): unknown[] {
    const items: unknown[] = []
    this.#at += 1
    for (;;) {
      this.#space(pointer)
      if (this.#text[this.#at] === ']' && items.length === 0) break
      if (this.#text[this.#at] === ']') this.#fail(pointer, 'a comma before the closing ]')
      if (items.length >= this.#maxItems)
        this.#fail(pointer, `must have ${this.#maxItems} entries or fewer`)
      items.push(this.#value(pointerTo(pointer, items.length), depth + 1))
      this.#space(pointer)
      if (this.#text[this.#at] === ']') break
      if (this.#text[this.#at] !== ',') this.#unexpected(pointer, 'a comma or ]')
      this.#at += 1
    }
    this.#at += 1
    return items
  }

  #string(pointer: string): string {
    let value = ''
    this.#at += 1
    for (;;) {
      value += this.#take(STRING_RUN)
      const next = this.#text[this.#at]
      if (next === undefined) this.#fail(pointer, 'the text ends within a string')
      if (next === '"') break
      if (next !== '\\') this.#fail(pointer, 'a control character within a string')
      const code = this.#text[this.#at + 1] ?? ''
      const hex = this.#text.slice(this.#at + 2, this.#at + 6)
      const simple = Object.hasOwn(ESCAPES, code) ? ESCAPES[code] : undefined
      if (simple !== undefined) value += simple
      else if (code === 'u' && /^[0-9A-Fa-f]{4}$/.test(hex))
        value += String.fromCharCode(Number.parseInt(hex, 16))
      else this.#fail(pointer, 'an escape that JSON does not have')
      this.#at += simple === undefined ? 6 : 2
    }
    this.#at += 1
    if (!value.isWellFormed()) this.#fail(pointer, 'half of a surrogate pair')
    return value
  }

  #space(pointer: string): void {
    this.#take(SPACE)
    const two = this.#text.slice(this.#at, this.#at + 2)
    if (two === '//' || two === '/*' || two[0] === '#')
      this.#fail(pointer, 'a comment; JSON has none')
  }

  #take(pattern: RegExp): string {
    pattern.lastIndex = this.#at
    const taken = pattern.exec(this.#text)?.[0] ?? ''
    this.#at += taken.length
    return taken
  }

  #unexpected(pointer: string, expected: string): never {
    const found = this.#text[this.#at]
    this.#fail(
      pointer,
      `expected ${expected}, found ${found === undefined ? 'the end' : JSON.stringify(found)}`,
    )
  }

  #fail(pointer: string, message: string): never {
    throw new SyntaxFault(pointer, this.#at, message)
  }
}
