/** From a policy directory to a snapshot, or to every fault of every file. */
import { assemblePolicy, type CompiledFile, compileFile } from './compile.ts'
import type { PolicyFault } from './fault.ts'
import { type RawDirectory, type RawFile, readPolicyDirectory } from './read-directory.ts'
import { broken, readPolicyFile } from './read-file.ts'
import type { PolicySnapshot } from './snapshot.ts'

export type PolicyLoading =
  | { readonly ok: true; readonly snapshot: PolicySnapshot }
  | { readonly ok: false; readonly faults: readonly PolicyFault[] }

/** Judges what was read. Files that are as they were the time before are not judged again. */
export type PolicyJudge = (raw: RawDirectory, generation: number) => PolicyLoading

type Judged = CompiledFile | { readonly kind: 'broken'; readonly faults: readonly PolicyFault[] }

/** Reads and judges a directory once. One that is absent or holds no policy file is a fault here. */
export async function loadPolicy(dir: string): Promise<PolicyLoading> {
  return judgeDirectory(dir, await readPolicyDirectory(dir))
}

/** As loadPolicy, of what has been read. */
export function judgeDirectory(dir: string, raw: RawDirectory): PolicyLoading {
  if (raw.problem === null && raw.files.length === 0)
    return directoryFault(dir, 'holds no policy file; they are named TENANT.json and _global.json')
  return createPolicyJudge(dir)(raw, 1)
}

export function createPolicyJudge(dir: string): PolicyJudge {
  let known = new Map<string, Judged>()
  return (raw, generation) => {
    if (raw.problem !== null) return directoryFault(dir, raw.problem)
    const next = new Map<string, Judged>()
    for (const file of raw.files) {
      const key = `${file.name} ${file.digest ?? file.problem}`
      next.set(key, known.get(key) ?? judgeFile(file))
    }
    known = next
    const files: CompiledFile[] = []
    const faults: PolicyFault[] = []
    for (const judged of next.values()) {
      if (judged.kind === 'broken') faults.push(...judged.faults)
      else files.push(judged)
    }
    if (faults.length > 0) return { ok: false, faults }
    return { ok: true, snapshot: assemblePolicy(files, generation) }
  }
}

function judgeFile({ name, bytes, problem }: RawFile): Judged {
  const reading =
    bytes === null ? broken(name, problem ?? 'cannot be read') : readPolicyFile(name, bytes)
  return reading.kind === 'broken' ? reading : compileFile(reading)
}

function directoryFault(dir: string, message: string): PolicyLoading {
  return { ok: false, faults: [{ file: dir, pointer: '', line: null, column: null, message }] }
}
