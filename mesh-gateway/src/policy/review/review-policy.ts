/** A policy directory for whoever wrote it: every fault, and of policy that has none the rules that can never take effect. */
import type { PolicyFault } from '../fault.ts'
import { judgeDirectory, type PolicyLoading } from '../load-policy.ts'
import { type RawFile, readPolicyDirectory } from '../read-directory.ts'
import type { PolicySnapshot } from '../snapshot.ts'
import { positionsIn, readStrictJson } from '../strict-json.ts'
import { idleDelegationRules } from './idle-delegation.ts'
import { idleEgressRules } from './idle-egress.ts'
import type { IdleRule } from './idle-rule.ts'

export interface PolicyReview {
  readonly loading: PolicyLoading
  /** Of rules that are valid, and surely not meant; empty while there are faults. */
  readonly warnings: readonly PolicyFault[]
}

export async function reviewPolicy(dir: string): Promise<PolicyReview> {
  const raw = await readPolicyDirectory(dir)
  const loading = judgeDirectory(dir, raw)
  return { loading, warnings: loading.ok ? warningsOf(loading.snapshot, raw.files) : [] }
}

/** In the order of the files, and of the lines within each. */
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
