/** One fault of a policy directory, and its place. */
import { MeshError, printable } from '@clawmesh/proto'
import { plural } from '../../text/plural.ts'
import type { PolicyFault } from './fault-shape.ts'

const SHOWN = 50

/** `acme.json:3:12 #/egress/alow: unknown key; did you mean allow` */
export function formatFault(fault: PolicyFault): string {
  const position = fault.line === null ? '' : `:${fault.line}:${fault.column}`
  const pointer = fault.pointer === '' ? '' : ` #${fault.pointer}`
  // the text may quote the file, which a tenant may have written
  return printable(`${fault.file}${position}${pointer}: ${fault.message}`)
}

/** `3 faults in 2 files` */
export function countFaults(faults: readonly PolicyFault[]): string {
  const files = new Set(faults.map((fault) => fault.file)).size
  return `${plural(faults.length, 'fault')} in ${plural(files, 'file')}`
}

/** MESH_POLICY_INVALID with all faults; over fifty, the number of the others. */
export function policyInvalid(dir: string, faults: readonly PolicyFault[]): MeshError {
  const lines = faults.slice(0, SHOWN).map((fault) => `\n  ${formatFault(fault)}`)
  const more = faults.length > SHOWN ? `\n  and ${faults.length - SHOWN} more` : ''
  return new MeshError(
    'MESH_POLICY_INVALID',
    `policy: ${countFaults(faults)} of ${dir}${lines.join('')}${more}`,
    {
      hint: `\`mesh-gateway policy check ${dir}\` lists every fault`,
    },
  )
}
