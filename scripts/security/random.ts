/** Choices that a seed repeats. */

export interface Random {
  /** At least 0, less than `below`. */
  int(below: number): number
  pick<T>(from: readonly T[]): T
  bytes(length: number): Buffer
}

/** mulberry32: small, and good enough to choose attacks. Never for secrets. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const int = (below: number) => Math.floor(next() * below)
  return {
    int,
    pick(from) {
      const [first] = from
      if (first === undefined) throw new TypeError('there is nothing to pick from')
      return from[int(from.length)] ?? first
    },
    bytes: (length) => Buffer.from(Array.from({ length }, () => int(256))),
  }
}

export function freshSeed(): number {
  return Math.floor(Math.random() * 2 ** 31)
}
