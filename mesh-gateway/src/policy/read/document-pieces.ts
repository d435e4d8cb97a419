/**
 * Cuts a JSON value into flat pieces, to pass it from one thread to another. Cloning a large value in one message
 * blocks the receiving thread; a piece takes it less than a millisecond.
 */

/** The kind of each entry in `values`. */
const VALUE = 0
const KEY = 1
const OBJECT = 2
const ARRAY = 3
const END = 4

export interface Piece {
  readonly kinds: Uint8Array
  /** Values and keys, in their order. */
  readonly values: readonly (string | number | boolean | null)[]
}

const PIECE = 2_000

interface Draft {
  kinds: number[]
  values: (string | number | boolean | null)[]
}

/** @param value a JSON value: no undefined, no cycle */
export function* piecesOf(value: unknown): Generator<Piece, void> {
  const draft: Draft = { kinds: [], values: [] }
  yield* walk(value, draft)
  yield pieceOf(draft)
}

function* walk(value: unknown, draft: Draft): Generator<Piece, void> {
  if (draft.kinds.length >= PIECE) yield pieceOf(draft)
  if (Array.isArray(value)) {
    draft.kinds.push(ARRAY)
    for (const item of value) yield* walk(item, draft)
    draft.kinds.push(END)
  } else if (typeof value === 'object' && value !== null) {
    draft.kinds.push(OBJECT)
    for (const [key, member] of Object.entries(value)) {
      put(draft, KEY, key)
      yield* walk(member, draft)
    }
    draft.kinds.push(END)
  } else if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
    put(draft, VALUE, value)
  else put(draft, VALUE, null)
}

function put(draft: Draft, kind: number, value: string | number | boolean | null): void {
  draft.kinds.push(kind)
  draft.values.push(value)
}

function pieceOf(draft: Draft): Piece {
  const piece = { kinds: Uint8Array.from(draft.kinds), values: draft.values }
  draft.kinds = []
  draft.values = []
  return piece
}

/** Joins pieces in the order in which they were cut. */
export class PieceReader {
  readonly #open: (unknown[] | Map<string, unknown>)[] = []
  readonly #keys: string[] = []
  #whole: unknown

  add({ kinds, values }: Piece): void {
    let at = 0
    for (const kind of kinds) {
      if (kind === ARRAY) this.#open.push([])
      else if (kind === OBJECT) this.#open.push(new Map())
      else if (kind === KEY) this.#keys.push(String(values[at++]))
      else this.#put(kind === VALUE ? values[at++] : this.#close())
    }
  }

  /** Undefined until the last piece. */
  value(): unknown {
    return this.#whole
  }

  #close(): unknown {
    const ended = this.#open.pop()
    return ended instanceof Map ? Object.fromEntries(ended) : ended
  }

  #put(value: unknown): void {
    const into = this.#open.at(-1)
    if (into === undefined) this.#whole = value
    else if (into instanceof Map) into.set(this.#keys.pop() ?? '', value)
    else into.push(value)
  }
}
