/**
 * The latest lines of the audit log in memory, for the admin port: rings of lines as they were written, one for each
 * kind, so that many requests of one kind do not push out the others. A record costs one write into a ring, in the
 * batch that makes it text; all else is done when somebody asks.
 */
import type { AuditRecord } from './audit-record.ts'

export type LineKind = 'refused' | 'delegation' | 'egress'

export interface RecentLines {
  /** @param line of the record, as it is written to the audit log */
  add(record: AuditRecord, line: string): void
  /** The oldest first. */
  of(kind: LineKind): readonly string[]
}

export interface RingSize {
  readonly lines: number
  /** Of all its lines together, in characters. */
  readonly chars: number
}

const MEBI = 1024 * 1024
const SIZES: Readonly<Record<LineKind, RingSize>> = Object.freeze({
  refused: { lines: 1_000, chars: MEBI },
  delegation: { lines: 2_000, chars: 2 * MEBI },
  egress: { lines: 1_000, chars: MEBI },
})

/** @param sizes default: 4,000 lines, 4 Mi characters */
export function createRecentLines(
  sizes: Readonly<Record<LineKind, RingSize>> = SIZES,
): RecentLines {
  const rings: Readonly<Record<LineKind, Ring>> = {
    refused: new Ring(sizes.refused),
    delegation: new Ring(sizes.delegation),
    egress: new Ring(sizes.egress),
  }
  return {
    add(record, line) {
      rings[record.action_allowed ? record.event : 'refused'].add(line)
    },
    of: (kind) => rings[kind].all(),
  }
}

class Ring {
  readonly #most: RingSize
  /** Empty text: no line. */
  readonly #lines: string[]
  #next = 0
  #oldest = 0
  #count = 0
  #chars = 0

  constructor(most: RingSize) {
    this.#most = most
    this.#lines = new Array<string>(most.lines).fill('')
  }

  add(line: string): void {
    if (line.length > this.#most.chars) return
    while (this.#count === this.#most.lines || this.#chars + line.length > this.#most.chars)
      this.#drop()
    this.#lines[this.#next] = line
    this.#next = (this.#next + 1) % this.#most.lines
    this.#count += 1
    this.#chars += line.length
  }

  all(): readonly string[] {
    const { lines } = this.#most
    return Array.from(
      { length: this.#count },
      (_, i) => this.#lines[(this.#oldest + i) % lines] ?? '',
    )
  }

  #drop(): void {
    this.#chars -= this.#lines[this.#oldest]?.length ?? 0
    this.#lines[this.#oldest] = ''
    this.#oldest = (this.#oldest + 1) % this.#most.lines
    this.#count -= 1
  }
}
