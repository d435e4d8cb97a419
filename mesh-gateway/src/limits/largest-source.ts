/** Finds the source with the most connections in constant time: groups sources by their number of connections. */
export class LargestSource<T> {
  readonly #levels: Set<T>[] = []
  #top = 0

  /** To be called for every change, by one connection each. */
  changed(source: T, from: number, to: number): void {
    this.#levels[from]?.delete(source)
    if (to > 0) {
      this.#levels[to] ??= new Set()
      this.#levels[to].add(source)
    }
    this.#top = Math.max(this.#top, to)
    while (this.#top > 0 && (this.#levels[this.#top]?.size ?? 0) === 0) this.#top -= 1
  }

  /** Null when no source has a connection. */
  largest(): T | null {
    if (this.#top === 0) return null
    for (const source of this.#levels[this.#top] ?? []) return source
    return null
  }
}
