/** Facts as text. Values are made safe for a terminal. */
import { printable } from '../printable.ts'

/** Formats facts as lines of two columns; a fact with several values has a line for each. */
export function columns(facts: readonly (readonly [string, string | readonly string[]])[]): string {
  const width = Math.max(...facts.map(([name]) => name.length)) + 2
  return facts
    .flatMap(([name, value]) =>
      [value]
        .flat()
        .map((each, index) => (index === 0 ? name : '').padEnd(width) + printable(each)),
    )
    .join('\n')
}
