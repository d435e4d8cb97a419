/** From a policy directory to a snapshot, or to every fault of every file. */
import { compilePolicy } from './compile.ts'
import type { PolicyFault } from './fault.ts'
import { type RawDirectory, readPolicyDirectory } from './read-directory.ts'
import { broken, type PolicyFile, readPolicyFile } from './read-file.ts'
import type { PolicySnapshot } from './snapshot.ts'

export type PolicyLoading =
  | { readonly ok: true; readonly snapshot: PolicySnapshot }
  | { readonly ok: false; readonly faults: readonly PolicyFault[] }

/** Reads and judges a directory once. One that is absent or holds no policy file is a fault here. */
export async function loadPolicy(dir: string): Promise<PolicyLoading> {
  const raw = await readPolicyDirectory(dir)
  if (raw.problem === null && raw.files.length === 0)
    return directoryFault(dir, 'holds no policy file; they are named TENANT.json and _global.json')
  return judgePolicy(dir, raw, 1)
}

export function judgePolicy(dir: string, raw: RawDirectory, generation: number): PolicyLoading {
  if (raw.problem !== null) return directoryFault(dir, raw.problem)
  const readings = raw.files.map(({ name, bytes, problem }) =>
    bytes === null ? broken(name, problem ?? 'cannot be read') : readPolicyFile(name, bytes),
  )
  const faults = readings.flatMap((reading) => (reading.kind === 'broken' ? reading.faults : []))
  if (faults.length > 0) return { ok: false, faults }
  const files = readings.filter((reading): reading is PolicyFile => reading.kind !== 'broken')
  return { ok: true, snapshot: compilePolicy(files, generation) }
}

function directoryFault(dir: string, message: string): PolicyLoading {
  return { ok: false, faults: [{ file: dir, pointer: '', line: null, column: null, message }] }
}
