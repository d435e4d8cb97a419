/**
 * Who is there now, where members come and go all the time. For that a Set or Map of V8 is dear: it is made anew whenever it is full of holes,
 * the old one stays linked to the new one, and once a dead one is in the old generation it keeps what was in all that followed from
 * dying young. Here nobody is linked to who was there before. docs/discoveries/maps-keep-what-has-died.md
 */
export interface Roll<T> {
  readonly size: number
  /** Returns what takes it off again; calling that twice does nothing. */
  add(member: T): () => void
  /**
   * Once for each member that is there now. Members may go meanwhile, and are passed over if they have; who comes meanwhile
   * is not called.
   */
  visit(look: (member: T) => void): void
}

interface Place<T> {
  member: T | null
  index: number
}

export function createRoll<T extends object>(): Roll<T> {
  const places: Place<T>[] = []

  function leave(place: Place<T>): void {
    if (place.member === null) return
    place.member = null
    const last = places.pop()
    if (last === undefined || last === place) return
    places[place.index] = last
    last.index = place.index
  }

  return {
    get size() {
      return places.length
    },
    add(member) {
      const place: Place<T> = { member, index: places.length }
      places.push(place)
      return () => leave(place)
    },
    visit(look) {
      for (const place of [...places]) if (place.member !== null) look(place.member)
    },
  }
}
