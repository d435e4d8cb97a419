/**
 * Reviews a policy directory for its author: every fault, and in a policy without faults the rules that can never take
 * effect.
 */
import type { PolicyFault } from '../read/fault-shape.ts'
import { concernsAll, judgeDirectory, type PolicyLoading } from '../read/load-policy.ts'
import { type PolicyPlaces, type RawFile, readPolicyDirectory } from '../read/read-directory.ts'
import { positionsIn, readStrictJson } from '../read/strict-json.ts'
import type { PolicySnapshot } from '../snapshot.ts'
import { idleDelegationRules } from './idle-delegation.ts'
import { idleEgressRules } from './idle-egress.ts'
import type { IdleRule } from './idle-rule.ts'

export interface PolicyReview {
  readonly loading: PolicyLoading
  /** Rules that are valid and surely not meant; empty while there are faults. */
  readonly warnings: readonly PolicyFault[]
  /** By name, how a gateway treats each file. */
  readonly verdicts: readonly FileVerdict[]
}

export interface FileVerdict {
  readonly file: string
  readonly good: boolean
  /** The number of faults; `loading` has them. */
  readonly faults: number
  /** How a gateway treats a broken file; null for a good one. */
  readonly effect: string | null
}

export async function reviewPolicy(places: PolicyPlaces): Promise<PolicyReview> {
  const raw = await readPolicyDirectory(places)
  const loading = judgeDirectory(places, raw)
  const warnings = loading.ok ? warningsOf(loading.snapshot, raw.files) : []
  const faults = loading.ok ? [] : loading.faults
  return { loading, warnings, verdicts: raw.files.map(({ name }) => verdictOf(name, faults)) }
}

function verdictOf(file: string, faults: readonly PolicyFault[]): FileVerdict {
  const [first, ...more] = faults.filter((fault) => fault.file === file)
  if (first === undefined) return { file, good: true, faults: 0, effect: null }
  const effect = concernsAll(first)
    ? 'a gateway that runs keeps the last good one; one that starts refuses to'
    : 'a gateway that runs keeps the last good one; one that starts allows nothing to this tenant'
  return { file, good: false, faults: more.length + 1, effect }
}

/** Sorted by file, and by line within each. */
function warningsOf(policy: PolicySnapshot, files: readonly RawFile[]): PolicyFault[] {
  const rules = [...idleEgressRules(policy), ...idleDelegationRules(policy)]
  const byFile = Map.groupBy(rules, ({ id }) => id.slice(0, id.indexOf('#')))
  return files.flatMap(({ name, bytes }) => {
    const idle = byFile.get(name)
    return idle === undefined || bytes === null ? [] : locate(name, bytes, idle)
  })
}

function locate(file: string, bytes: Uint8Array, rules: readonly IdleRule[]): PolicyFault[] {
  const { text, offsets } = readStrictJson(bytes)
  const position = positionsIn(text)
  return rules
    .map(({ id, message }) => {
      const pointer = id.slice(id.indexOf('#') + 1)
      return { pointer, message, offset: offsets.get(pointer) ?? 0 }
    })
    .toSorted((a, b) => a.offset - b.offset)
    .map(({ pointer, message, offset }) => ({ file, pointer, ...position(offset), message }))
}
