/**
 * Mutants that no test can see, each with its reason, in equivalents.json: a change that alters nothing that is promised, such as
 * an optimisation that is left out. Named by the text of the line, so that an entry outlives changes elsewhere in its file.
 */
import { readFile } from 'node:fs/promises'
import { isRecord } from '../dev/message.ts'
import type { Mutant } from './find-mutants.ts'

export interface Equivalent {
  readonly file: string
  readonly before: string
  readonly after: string
  readonly reason: string
}

export async function readEquivalents(path: string | URL): Promise<Equivalent[]> {
  const list: unknown = JSON.parse(await readFile(path, 'utf8'))
  if (!Array.isArray(list)) throw new TypeError(`${path}: not a list`)
  return list.map((one: unknown) => {
    const { file, before, after, reason } = isRecord(one) ? one : {}
    if (typeof file !== 'string' || typeof before !== 'string' || typeof after !== 'string')
      throw new TypeError(`${path}: each entry has a file, before, after and a reason`)
    if (typeof reason !== 'string' || reason.trim() === '')
      throw new TypeError(`${path}: an entry of ${file} has no reason`)
    return { file, before, after, reason }
  })
}

/** Parts the mutants into those to try and those that are suppressed. `stale` entries fit no mutant of these files any more. */
export function suppress(
  mutants: readonly Mutant[],
  equivalents: readonly Equivalent[],
  files: readonly string[],
): { tried: Mutant[]; suppressed: Mutant[]; stale: Equivalent[] } {
  const nameOf = ({ file, before, after }: Equivalent | Mutant) =>
    JSON.stringify([file, before, after])
  const named = new Set(equivalents.map(nameOf))
  const found = new Set(mutants.map(nameOf))
  return {
    tried: mutants.filter((mutant) => !named.has(nameOf(mutant))),
    suppressed: mutants.filter((mutant) => named.has(nameOf(mutant))),
    stale: equivalents.filter((one) => files.includes(one.file) && !found.has(nameOf(one))),
  }
}
