/**
 * Turns the files of a policy directory into a snapshot, and the faults of every file. A fault of one file does not
 * affect another.
 */
import { assemblePolicy, type CompiledFile, compileFile } from '../compile/compile.ts'
import type { PolicySnapshot } from '../snapshot.ts'
import { policyInvalid } from './fault.ts'
import type { PolicyFault } from './fault-shape.ts'
import {
  type PolicyPlaces,
  type RawDirectory,
  type RawFile,
  readPolicyDirectory,
} from './read-directory.ts'
import { type BrokenFile, broken, readPolicyFile } from './read-file.ts'

export interface LoadedPolicy {
  /** From the good files: what a gateway that starts now would use. */
  readonly snapshot: PolicySnapshot
  /** Files that look like policy and are not read. */
  readonly ignored: readonly PolicyFault[]
}

/** `ok` when every file is good. */
export type PolicyLoading =
  | ({ readonly ok: true } & LoadedPolicy)
  | ({ readonly ok: false; readonly faults: readonly PolicyFault[] } & LoadedPolicy)

/** Reads and judges a directory once. A directory that is missing or without a policy file is a fault here. */
export async function loadPolicy(places: PolicyPlaces): Promise<PolicyLoading> {
  return judgeDirectory(places, await readPolicyDirectory(places))
}

/** Like loadPolicy, for files that were already read. */
export function judgeDirectory({ dir }: PolicyPlaces, raw: RawDirectory): PolicyLoading {
  const { ignored, problem } = raw
  const files: CompiledFile[] = []
  const faults: PolicyFault[] = problem === null ? [] : [problem]
  const closed: string[] = []
  for (const file of raw.files) {
    const judged = judgeFile(file)
    if (judged.kind === 'broken') {
      faults.push(...judged.faults)
      closed.push(file.name)
    } else files.push(judged)
  }
  if (raw.files.length === 0 && faults.length === 0) faults.push(noPolicy(dir))
  const snapshot = assemblePolicy(files, 1, closed)
  return faults.length > 0
    ? { ok: false, faults, snapshot, ignored }
    : { ok: true, snapshot, ignored }
}

/** True for a fault beyond one tenant: of a directory, of `_global.json`, or of a file that may be meant to be it. */
export function concernsAll({ file }: PolicyFault): boolean {
  return file.startsWith('_') || file.includes('/') || !/\.json$/i.test(file)
}

/**
 * The policy when each tenant is judged separately: a broken file closes its tenant only, and is listed in `closed`.
 * @throws MeshError MESH_POLICY_INVALID for a fault beyond one tenant
 */
export function policyOfEach(dir: string, loading: PolicyLoading): PolicySnapshot {
  if (!loading.ok && loading.faults.some(concernsAll)) throw policyInvalid(dir, loading.faults)
  return loading.snapshot
}

/**
 * The policy for a question about some tenants: a broken file of another tenant does not matter.
 * @throws MeshError MESH_POLICY_INVALID with every fault of every file
 */
export function policyFor(
  dir: string,
  loading: PolicyLoading,
  tenants: readonly string[],
): PolicySnapshot {
  if (loading.ok) return loading.snapshot
  const theirs = new Set(tenants.map((tenant) => `${tenant}.json`))
  const spared = (fault: PolicyFault) => !concernsAll(fault) && !theirs.has(fault.file)
  if (loading.faults.every(spared)) return loading.snapshot
  throw policyInvalid(dir, loading.faults)
}

function judgeFile(file: RawFile): CompiledFile | BrokenFile {
  if (file.bytes === null) return broken(file.name, file.problem ?? 'cannot be read')
  const reading = readPolicyFile(file.name, file.bytes)
  return reading.kind === 'broken' ? reading : compileFile(reading)
}

function noPolicy(dir: string): PolicyFault {
  const message = 'holds no policy file; they are named TENANT.json and _global.json'
  return { file: dir, pointer: '', line: null, column: null, message }
}
