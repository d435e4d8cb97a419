/** What `policy explain` and `explain` have in common: loading policy, and showing a decision. */
import { ERRORS, isDnsLabel, type Peer } from '@clawmesh/proto'
import { InvalidArgumentError, Option } from 'commander'
import type { DelegationDecision, EgressDecision } from '../policy/decision.ts'
import { loadPolicy, type PolicySnapshot, policyInvalid } from '../policy/index.ts'

/** Where a command speaks. */
export interface CommandOutput {
  /** What was asked for: stdout. */
  result(text: string): void
  /** Everything else: stderr. */
  note(text: string): void
  /** The answer is no: exit code 1. */
  failed(): void
}

export const standardOutput: CommandOutput = Object.freeze({
  result(text: string) {
    process.stdout.write(text)
  },
  note(text: string) {
    process.stderr.write(`mesh-gateway: ${text}\n`)
  },
  failed() {
    process.exitCode = 1
  },
})

export interface Explanation {
  readonly question: string
  /** The question, for --json. */
  readonly facts: object
  readonly decision: EgressDecision | DelegationDecision
  readonly file: string | null
  readonly json: boolean
}

export function printExplanation(output: CommandOutput, explanation: Explanation): void {
  const { decision, facts, file, json, question } = explanation
  const { action, code, rule, mode, limits } = decision
  const hint = decision.hint ?? (code === null ? null : ERRORS[code].hint)
  if (json)
    output.result(`${JSON.stringify({ ...facts, action, code, rule, file, mode, hint, limits })}\n`)
  else {
    const limited = Object.entries(limits).flatMap(([name, value]: [string, number | null]) =>
      value === null ? [] : [`${name} ${value}`],
    )
    const lines: [string, string | null][] = [
      [action, question],
      ['  code', code === null ? null : `${code}, ${ERRORS[code].meaning}`],
      ['  rule', rule ?? 'none matches'],
      ['  file', file],
      ['  mode', action === 'audit' ? 'audit; enforce would refuse' : mode],
      ['  limits', limited.length === 0 ? null : limited.join(', ')],
      ['  hint', hint],
    ]
    const shown = lines.flatMap(([name, value]) =>
      value === null ? [] : [`${name.padEnd(9)}${value}\n`],
    )
    output.result(shown.join(''))
  }
  if (action === 'deny') output.failed()
}

/** @throws MeshError MESH_POLICY_INVALID */
export async function mustLoad(dir: string): Promise<PolicySnapshot> {
  const loading = await loadPolicy(dir)
  if (!loading.ok) throw policyInvalid(dir, loading.faults)
  return loading.snapshot
}

export function dirOption(): Option {
  return new Option('--dir <dir>', 'the policy directory')
    .env('MESH_POLICY_DIR')
    .makeOptionMandatory()
}

export function parsePeer(text: string): Peer {
  const [tenant = '', agent = '', ...rest] = text.split('/')
  if (rest.length > 0 || !isDnsLabel(tenant) || !isDnsLabel(agent))
    throw new InvalidArgumentError('write tenant/agent, e.g. acme/planner')
  return { tenant, agent }
}
