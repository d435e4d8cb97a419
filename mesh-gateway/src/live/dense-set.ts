/**
 * A dense set: an array whose members know their place, so that removal swaps in the last one. V8 rebuilds a Map or Set
 * as entries come and go, and links each old table to its successor; one old table that was promoted keeps all later
 * ones alive. An array with swap-remove has no such chain. docs/discoveries/maps-keep-what-has-died.md
 */
export interface Member {
  /** Written by the set. A member is in one set at a time; negative while it is in none. */
  index: number
}

export interface DenseSet<T extends Member> {
  readonly size: number
  add(member: T): void
  /** False when it was not there. */
  remove(member: T): boolean
  /**
   * Calls `look` once for each present member. A member that is removed meanwhile is passed over; one that is added
   * meanwhile is not visited.
   */
  visit(look: (member: T) => void): void
  /**
   * The same, with a pause at each `yield`. Visits every member that is present throughout; a member may be visited
   * twice, and one that is added meanwhile may or may not be. Members for which `look` answers false cost little: many
   * of them share one pause.
   */
  walk(look: (member: T) => boolean | undefined): Generator<void, void>
  /** A copy, in no order. */
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
      // from the end: removal swaps in the last member, which has been visited or is still to come
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
