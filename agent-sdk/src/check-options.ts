/** Options with a name that an API does not know: an option that is misspelt must not be taken for one that was left out. */
import { nearest } from '@clawmesh/proto'

/** All names of an interface of options, complete by its type. */
export function optionNames<Options>(
  names: Readonly<Record<keyof Options & string, true>>,
): readonly string[] {
  return Object.freeze(Object.keys(names))
}

/**
 * @param of the function that takes them
 * @param at where they stand within its options, for options of options; default: they are its own
 * @throws TypeError that names the option, and the one that is probably meant
 */
export function checkOptions(
  given: unknown,
  known: readonly string[],
  of: string,
  at?: string,
): void {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw new TypeError(`${at ?? of}: takes an object of options`)
  for (const name of Object.keys(given)) {
    if (known.includes(name)) continue
    const meant = nearest(name, known)
    const path = at === undefined ? name : `${at}.${name}`
    throw new TypeError(
      `${path}: is no option of ${of}${meant === null ? '' : `; did you mean ${meant}`}`,
    )
  }
}
