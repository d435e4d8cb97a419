/** Policies for the tests of this folder, made as files would make them. */
import assert from 'node:assert/strict'
import { compilePolicy } from '../../../mesh-gateway/src/policy/compile/compile.ts'
import type { PolicySnapshot } from '../../../mesh-gateway/src/policy/index.ts'
import { formatFault } from '../../../mesh-gateway/src/policy/read/fault.ts'
import { type PolicyFile, readPolicyFile } from '../../../mesh-gateway/src/policy/read/read-file.ts'

/** @param documents by file name without `.json`; `tenant` is added. */
export function policyOf(documents: Record<string, object>, generation = 1): PolicySnapshot {
  const files = Object.entries(documents).map(([name, document]): PolicyFile => {
    const whole = name === '_global' ? document : { tenant: name, ...document }
    const reading = readPolicyFile(`${name}.json`, Buffer.from(JSON.stringify(whole)))
    assert.ok(reading.kind !== 'broken', JSON.stringify(reading, null, 2))
    return reading
  })
  return compilePolicy(files, generation)
}

/** The faults of a file, as a person reads them. */
export function faultsOf(file: string, content: string | Uint8Array): string[] {
  const reading = readPolicyFile(file, typeof content === 'string' ? Buffer.from(content) : content)
  return reading.kind === 'broken' ? reading.faults.map(formatFault) : []
}
