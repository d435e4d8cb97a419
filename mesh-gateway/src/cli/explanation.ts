/** Used by `policy explain` and `explain`: loads policy, and shows a decision. */
import path from 'node:path'
import { isDnsLabel, type Peer, printable, printableJson } from '@clawmesh/proto'
import { type Command, InvalidArgumentError } from 'commander'
import { readConfig } from '../config/live-config.ts'
import { REQUIRED } from '../config/settings.ts'
import type { Explanation } from '../policy/decide/explain.ts'
import { loadPolicy, type PolicySnapshot, policyFor, policyOfEach } from '../policy/index.ts'
import type { PolicyPlaces } from '../policy/read/read-directory.ts'
import type { Terminal } from '../process/terminal.ts'

/** The output of a command. */
export interface CommandOutput {
  /** The result: stdout. */
  result(text: string): void
  /** Everything else: stderr. */
  note(text: string): void
  /** The answer is no: exit code 1. */
  failed(): void
}

export interface Shown {
  readonly question: string
  /** The question, for --json. */
  readonly facts: object
  readonly explanation: Explanation
  /** The policy directory. */
  readonly dir: string
  readonly json: boolean
}

export function printExplanation(output: CommandOutput, shown: Shown): void {
  const { facts, dir, question } = shown
  const { action, code, reason, rule, mode, limits, hint } = shown.explanation
  const file = shown.explanation.file === null ? null : path.join(dir, shown.explanation.file)
  if (shown.json) {
    const said = { action, code, reason, rule, file, mode, hint, limits }
    output.result(`${printableJson({ ...facts, ...said })}\n`)
  } else {
    const limited = Object.entries(limits).flatMap(([name, value]) =>
      value === null ? [] : [`${name} ${value}`],
    )
    const lines: [string, string | null][] = [
      [action, question],
      ['  code', code === null ? null : `${code}, ${reason}`],
      ['  rule', rule ?? 'none matches'],
      ['  file', file],
      ['  mode', action === 'audit' ? 'audit; enforce would refuse' : mode],
      ['  limits', limited.length === 0 ? null : limited.join(', ')],
      ['  hint', hint],
    ]
    const text = lines.flatMap(([name, value]) =>
      value === null ? [] : [`${printable(`${name.padEnd(9)}${value}`)}\n`],
    )
    output.result(text.join(''))
  }
  if (action === 'deny') output.failed()
}

/** The source of policy: --dir, or the configuration. */
export interface PolicyPlace {
  readonly dir?: string
  readonly config?: string
}

/** Adds the options of a PolicyPlace. */
export function addPolicyPlace(command: Command): Command {
  return command
    .option('--dir <dir>', 'the policy directory (MESH_POLICY_DIR)')
    .option('--config <file>', 'or the configuration file that names it (MESH_CONFIG)')
}

/**
 * @param tenants the tenants in question; null: all of them, each separately: tenants with a broken file are in
 *   `closed`
 * @throws MeshError MESH_CONFIG_INVALID, MESH_POLICY_INVALID
 */
export async function loadPolicyOf(
  options: PolicyPlace,
  place: Pick<Terminal, 'env' | 'cwd'>,
  tenants: readonly string[] | null,
): Promise<{ readonly dir: string; readonly policy: PolicySnapshot }> {
  const places = await placesOf(options, place)
  const loading = await loadPolicy(places)
  const { dir } = places
  const policy = tenants === null ? policyOfEach(dir, loading) : policyFor(dir, loading, tenants)
  return { dir, policy }
}

async function placesOf(
  { dir, config }: PolicyPlace,
  { env, cwd }: Pick<Terminal, 'env' | 'cwd'>,
): Promise<PolicyPlaces> {
  if (dir !== undefined) return { dir }
  const path = config ?? (env.MESH_CONFIG || null)
  const optional = REQUIRED.filter((key) => key !== 'policy.dir')
  const resolved = await readConfig({ path, env, cwd, flags: {}, optional })
  return resolved.config.policy
}

export function parsePeer(text: string): Peer {
  const [tenant = '', agent = '', ...rest] = text.split('/')
  if (rest.length > 0 || !isDnsLabel(tenant) || !isDnsLabel(agent))
    throw new InvalidArgumentError('write tenant/agent, e.g. acme/planner')
  return { tenant, agent }
}
