/**
 * The latest lines, shared by those that they are about: when it is full, the one with most of it loses its oldest line. So
 * one that fills it pushes out its own lines alone. Adding takes the same time, however many there are.
 */

export interface RingSize {
  readonly lines: number
  /** Of all its lines together, in characters. */
  readonly chars: number
}

interface Entry {
  readonly line: string
  /** Grows with each line. */
  readonly n: number
  readonly weight: number
  /** The next line of the same holder. */
  next: Entry | null
}

interface Holder {
  readonly name: string
  first: Entry | null
  last: Entry | null
  weight: number
  /** The weight of its line that was dropped just now. */
  lost: number
}

export class SharedRing {
  readonly #most: RingSize
  readonly #holders = new Map<string, Holder>()
  /** The holders of each weight. */
  readonly #byWeight: Set<Holder>[] = []
  #heaviest = 0
  #n = 0
  #count = 0
  #chars = 0

  constructor(most: RingSize) {
    this.#most = most
  }

  /** @param name of the one that it is about. A line that would not fit at all is not kept. */
  add(name: string, line: string): void {
    const { lines, chars } = this.#most
    if (line.length > chars) return
    // a long line takes the place of several
    const weight = 1 + Math.floor((line.length * lines) / chars)
    let holder = this.#holders.get(name)
    while (this.#count === lines || this.#chars + line.length > chars) {
      const heaviest = holder?.weight === this.#heaviest ? holder : this.#anyHeaviest()
      if (heaviest === undefined) return
      this.#dropFirst(heaviest)
      // one that is alone, or as heavy as the others: it loses what it adds
      const same = heaviest === holder && heaviest.first !== null && heaviest.lost === weight
      if (same && this.#count < lines && this.#chars + line.length <= chars) break
      this.#weigh(heaviest, -heaviest.lost)
      heaviest.lost = 0
    }
    if (holder === undefined || holder.first === null) {
      holder = { name, first: null, last: null, weight: 0, lost: 0 }
      this.#holders.set(name, holder)
    }
    this.#append(holder, { line, n: this.#n, weight, next: null })
    if (holder.lost !== weight) this.#weigh(holder, weight - holder.lost)
    holder.lost = 0
  }

  /** The oldest first. */
  all(): readonly string[] {
    const entries: Entry[] = []
    for (const { first } of this.#holders.values())
      for (let entry = first; entry !== null; entry = entry.next) entries.push(entry)
    return entries.sort((a, b) => a.n - b.n).map(({ line }) => line)
  }

  #append(holder: Holder, entry: Entry): void {
    this.#n += 1
    this.#count += 1
    this.#chars += entry.line.length
    if (holder.last === null) holder.first = entry
    else holder.last.next = entry
    holder.last = entry
  }

  /** Its weight is still to be changed by what it lost. */
  #dropFirst(holder: Holder): void {
    const { first } = holder
    if (first === null) return
    this.#count -= 1
    this.#chars -= first.line.length
    holder.first = first.next
    holder.lost = first.weight
    if (first.next !== null) return
    holder.last = null
    this.#holders.delete(holder.name)
  }

  #anyHeaviest(): Holder | undefined {
    const [holder] = this.#byWeight[this.#heaviest] ?? []
    return holder
  }

  #weigh(holder: Holder, more: number): void {
    const weight = holder.weight + more
    this.#byWeight[holder.weight]?.delete(holder)
    holder.weight = weight
    if (weight > 0) {
      let same = this.#byWeight[weight]
      if (same === undefined) {
        same = new Set()
        this.#byWeight[weight] = same
      }
      same.add(holder)
    }
    if (weight > this.#heaviest) this.#heaviest = weight
    while (this.#heaviest > 0 && !this.#byWeight[this.#heaviest]?.size) this.#heaviest -= 1
  }
}
