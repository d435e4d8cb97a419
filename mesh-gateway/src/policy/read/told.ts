/**
 * What an agent may read of a decision. It may read the policy of its own tenant and of the operator. Of another tenant it
 * gets the code alone: no rule, no path, no name, and not whether that tenant has a policy. Pure.
 */
import { ERRORS, MeshError } from '@clawmesh/proto'
import type { Verdict } from '../decide/decision.ts'
import { GLOBAL_FILE } from './read-file.ts'

/** Of a rule, or of two joined by `and`, what the tenant may know; null when that is nothing. */
export function toldRule(rule: string | null, tenant: string): string | null {
  if (rule === null) return null
  const known = rule.split(' and ').filter((one) => isKnown(fileOf(one), tenant))
  return known.length === 0 ? null : known.join(' and ')
}

/** The name of a policy file, if the tenant may know of it. */
export function toldFile(file: string | null, tenant: string): string | null {
  return file !== null && isKnown(file, tenant) ? file : null
}

/** The refusal that an agent of the tenant reads. @param facts beside the rule */
export function refusalOf(
  decision: Verdict,
  tenant: string,
  facts: Readonly<Record<string, string>> = {},
): MeshError {
  const code = decision.code ?? 'MESH_POLICY_NOT_ALLOWED'
  const rule = toldRule(decision.rule, tenant)
  return new MeshError(code, undefined, {
    hint: decision.hint ?? ERRORS[code].hint,
    facts: rule === null ? facts : { ...facts, rule },
  })
}

/** `acme.json` of `acme.json#/delegation/allow/0`. */
function fileOf(rule: string): string {
  return rule.split('#', 1)[0] ?? ''
}

function isKnown(file: string, tenant: string): boolean {
  return file === `${tenant}.json` || file === GLOBAL_FILE
}
