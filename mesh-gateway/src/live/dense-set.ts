/**
 * Who is there now, where members come and go all the time. For that a Set or Map of V8 is dear: it is made anew whenever it is full of holes,
 * the old one stays linked to the new one, and once a dead one is in the old generation it keeps what was in all that followed from
 * dying young. Here nobody is linked to who was there before. docs/discoveries/maps-keep-what-has-died.md
 */
export interface Member {
  /** The roll's own: on one roll at a time. Negative while it is on none. */
  index: number
}

export interface DenseSet<T extends Member> {
  readonly size: number
  add(member: T): void
  /** False when it was not there. */
  remove(member: T): boolean
  /**
   * Once for each member that is there now. Members may go meanwhile, and are passed over if they have; who comes meanwhile
   * is not called.
   */
  visit(look: (member: T) => void): void
  /**
   * The same, to be paused at each `yield`. Whoever was there from before and still is, is called, whoever comes and goes during a pause;
   * some may be called twice, and some who come are called too. Those for which `look` answers false cost next to nothing, and
   * many of them come to one pause.
   */
  walk(look: (member: T) => boolean | undefined): Generator<void, void>
  /** A list of its own, in no order. */
  all(): T[]
}

const PASSED_AT_ONCE = 64

export function createDenseSet<T extends Member>(): DenseSet<T> {
  const members: T[] = []
  return {
    get size() {
      return members.length
    },
    add(member) {
      member.index = members.length
      members.push(member)
    },
    remove(member) {
      const { index } = member
      if (index < 0) return false
      member.index = -1
      const last = members.pop()
      if (last === undefined || last === member) return true
      members[index] = last
      last.index = index
      return true
    },
    visit(look) {
      for (const member of [...members]) if (member.index >= 0) look(member)
    },
    *walk(look) {
      // from the end: who goes is replaced by the last, who has been called or is about to be, never by one beyond reach
      let cursor = members.length
      let passed = 0
      while (cursor > 0) {
        cursor = Math.min(cursor, members.length) - 1
        const member = members[cursor]
        passed = member !== undefined && look(member) === false ? passed + 1 : 0
        if (passed % PASSED_AT_ONCE === 0) yield
      }
    },
    all: () => [...members],
  }
}
