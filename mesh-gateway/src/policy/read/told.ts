/**
 * Filters what an agent may read of a decision. It may read the policy of its own tenant and of the operator. For
 * another tenant it gets the code only: no rule, no path, no name, and not whether that tenant has a policy. Pure.
 */
import { ERRORS, MeshError } from '@clawmesh/proto'
import type { Verdict } from '../decide/decision.ts'
import { GLOBAL_FILE } from './read-file.ts'

/** The part of a rule, or of two joined by `and`, that the tenant may see; null for none. */
export function toldRule(rule: string | null, tenant: string): string | null {
  if (rule === null) return null
  const known = rule.split(' and ').filter((one) => isKnown(fileOf(one), tenant))
  return known.length === 0 ? null : known.join(' and ')
}

/** The name of a policy file, if the tenant may see it. */
export function toldFile(file: string | null, tenant: string): string | null {
  return file !== null && isKnown(file, tenant) ? file : null
}

/** The refusal for an agent of the tenant. @param facts besides the rule */
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

/** E.g. `acme.json` of `acme.json#/delegation/allow/0`. */
function fileOf(rule: string): string {
  return rule.split('#', 1)[0] ?? ''
}

function isKnown(file: string, tenant: string): boolean {
  return file === `${tenant}.json` || file === GLOBAL_FILE
}
