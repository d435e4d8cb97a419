/** Calls listeners one by one. A listener that throws stops neither the other listeners nor the code that calls them. */

export interface Listeners<T> {
  /** Returns what ends it. The same function added twice is two listeners. */
  add(listener: (value: T) => void): () => void
  tell(value: T): void
  clear(): void
}

/** @param onFailed called with what a listener throws */
export function createListeners<T>(onFailed: (error: unknown) => void): Listeners<T> {
  const all = new Set<(value: T) => void>()
  return {
    add(listener) {
      const own = (value: T) => listener(value)
      all.add(own)
      return () => {
        all.delete(own)
      }
    },
    tell(value) {
      for (const listener of [...all]) {
        try {
          listener(value)
        } catch (error) {
          onFailed(error)
        }
      }
    },
    clear() {
      all.clear()
    },
  }
}
