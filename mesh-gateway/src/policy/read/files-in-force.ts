/**
 * Chooses the version of each policy file that is in force. A broken file keeps its last good version, and does not
 * affect other files. Pure.
 */
import type { CompiledFile } from '../compile/compile.ts'
import type { PolicyFault } from './fault-shape.ts'
import type { JudgedFile } from './file-judge.ts'
import type { RawDirectory } from './read-directory.ts'
import { GLOBAL_FILE } from './read-file.ts'

/** A file whose version on disk is not in force. */
export interface PolicyProblem {
  /** Its name, or the directory that cannot be read. */
  readonly file: string
  readonly faults: readonly PolicyFault[]
  /** True: the last good version is in force. False: there was none, and its tenant is allowed nothing. */
  readonly kept: boolean
}

export interface FilesInForce {
  /** By name. */
  readonly files: ReadonlyMap<string, CompiledFile>
  readonly problems: readonly PolicyProblem[]
}

/** @param judged by name; a file that is missing here stays as before */
export function filesInForce(
  before: ReadonlyMap<string, CompiledFile>,
  raw: Pick<RawDirectory, 'files' | 'problem'>,
  judged: ReadonlyMap<string, JudgedFile>,
): FilesInForce {
  const files = new Map<string, CompiledFile>()
  const problems: PolicyProblem[] = []
  const keep = (name: string) => {
    const last = before.get(name)
    if (last !== undefined) files.set(name, last)
    return last !== undefined
  }
  if (raw.problem !== null)
    problems.push({ file: raw.problem.file, faults: [raw.problem], kept: true })
  for (const { name } of raw.files) {
    const verdict = judged.get(name)
    if (verdict === undefined) keep(name)
    else if (verdict.kind !== 'broken') files.set(name, verdict)
    else problems.push({ file: name, faults: verdict.faults, kept: keep(name) })
  }
  for (const name of before.keys()) {
    if (raw.files.some((file) => file.name === name)) continue
    // an unreadable directory says nothing about its files
    if (raw.problem !== null) keep(name)
    // a lost `_global.json` must not remove its deny rules; an empty directory allows nothing anyway
    else if (name === GLOBAL_FILE && raw.files.length > 0)
      problems.push({ file: name, faults: [GLOBAL_GONE], kept: keep(name) })
  }
  return { files, problems }
}

const GLOBAL_GONE: PolicyFault = Object.freeze({
  file: GLOBAL_FILE,
  pointer: '',
  line: null,
  column: null,
  message: 'has gone; put it back, or make it {} to lift what it denies',
})
