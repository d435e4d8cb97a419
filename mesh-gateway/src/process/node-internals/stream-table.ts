/**
 * A map from stream numbers and a set, with the interface of Map and Set, that never rebuild a table only because it
 * has holes. A table grows with the number of entries at one time, and removed entries are released at once.
 */

const FEWEST_SLOTS = 16

/** Keys are integers above zero. Open addressing, linear probing, no tombstones. */
export class StreamTable<V extends object> {
  size = 0
  #keys: number[] = new Array<number>(FEWEST_SLOTS).fill(0)
  #values: (V | undefined)[] = new Array<V | undefined>(FEWEST_SLOTS).fill(undefined)

  get(key: number): V | undefined {
    return this.#values[this.#slotOf(key)]
  }

  has(key: number): boolean {
    return this.get(key) !== undefined
  }

  set(key: number, value: V): this {
    let slot = this.#slotOf(key)
    if (this.#keys[slot] === 0) {
      if ((this.size + 1) * 2 > this.#keys.length) {
        this.#grow()
        slot = this.#slotOf(key)
      }
      this.size += 1
      this.#keys[slot] = key
    }
    this.#values[slot] = value
    return this
  }

  delete(key: number): boolean {
    const keys = this.#keys
    const values = this.#values
    const mask = keys.length - 1
    let hole = this.#slotOf(key)
    if (keys[hole] === 0) return false
    this.size -= 1
    // entries displaced past the hole move up, so that probing needs no tombstone
    for (let next = (hole + 1) & mask; keys[next] !== 0; next = (next + 1) & mask) {
      const home = homeOf(keys[next] ?? 0, mask)
      if (((next - home) & mask) < ((next - hole) & mask)) continue
      keys[hole] = keys[next] ?? 0
      values[hole] = values[next]
      hole = next
    }
    keys[hole] = 0
    values[hole] = undefined
    return true
  }

  clear(): void {
    this.size = 0
    this.#keys.fill(0)
    this.#values.fill(undefined)
  }

  /** In the order of the keys. Entries removed or added meanwhile are not visited. */
  *entries(): Generator<[number, V]> {
    const keys = this.#keys.filter((key) => key !== 0).sort((a, b) => a - b)
    for (const key of keys) {
      const value = this.get(key)
      if (value !== undefined) yield [key, value]
    }
  }

  *keys(): Generator<number> {
    for (const [key] of this.entries()) yield key
  }

  *values(): Generator<V> {
    for (const [, value] of this.entries()) yield value
  }

  [Symbol.iterator](): Generator<[number, V]> {
    return this.entries()
  }

  forEach(visit: (value: V, key: number, table: this) => void): void {
    for (const [key, value] of this.entries()) visit(value, key, this)
  }

  /** The slot of the key, or the one it would get. */
  #slotOf(key: number): number {
    const keys = this.#keys
    const mask = keys.length - 1
    let slot = homeOf(key, mask)
    while (keys[slot] !== 0 && keys[slot] !== key) slot = (slot + 1) & mask
    return slot
  }

  #grow(): void {
    const keys = this.#keys
    const values = this.#values
    this.#keys = new Array<number>(keys.length * 2).fill(0)
    this.#values = new Array<V | undefined>(keys.length * 2).fill(undefined)
    for (let i = 0; i < keys.length; i += 1) {
      const key = keys[i] ?? 0
      if (key === 0) continue
      const slot = this.#slotOf(key)
      this.#keys[slot] = key
      this.#values[slot] = values[i]
    }
    // the old table may survive in the old generation for a while: it must keep nothing alive
    values.fill(undefined)
  }
}

/** For few entries that come and go. */
export class StreamSet<V extends object> {
  #items: V[] = []

  get size(): number {
    return this.#items.length
  }

  has(item: V): boolean {
    return this.#items.includes(item)
  }

  add(item: V): this {
    if (!this.has(item)) this.#items.push(item)
    return this
  }

  delete(item: V): boolean {
    const at = this.#items.lastIndexOf(item)
    if (at === -1) return false
    if (at === this.#items.length - 1) this.#items.pop()
    else this.#items.splice(at, 1)
    return true
  }

  clear(): void {
    this.#items.length = 0
  }

  *values(): Generator<V> {
    for (const item of [...this.#items]) if (this.has(item)) yield item
  }

  keys(): Generator<V> {
    return this.values()
  }

  *entries(): Generator<[V, V]> {
    for (const item of this.values()) yield [item, item]
  }

  [Symbol.iterator](): Generator<V> {
    return this.values()
  }

  forEach(visit: (item: V, again: V, set: this) => void): void {
    for (const item of this.values()) visit(item, item, this)
  }
}

/** The numbers of streams that one side opens are two apart. */
function homeOf(key: number, mask: number): number {
  return (key >>> 1) & mask
}
