/** Used by `policy explain` and `explain`: loads policy, and shows a decision. */
import { type Peer, printable, printableJson } from '@clawmesh/proto'
import { type Command, InvalidArgumentError } from 'commander'
import { readConfig } from '../config/live-config.ts'
import { REQUIRED } from '../config/settings.ts'
import {
  type Answered,
  type Asked,
  askedInWords,
  explainAsked,
  readPeer,
  tenantsAsked,
} from '../policy/decide/explain-asked.ts'
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

/** Loads the policy of a question, and prints the answer. */
export async function answer(
  asked: Asked,
  options: PolicyPlace & { readonly json?: true },
  place: Pick<Terminal, 'env' | 'cwd'>,
  output: CommandOutput,
): Promise<void> {
  const { dir, policy } = await loadPolicyOf(options, place, tenantsAsked(asked))
  const answered = explainAsked(asked, policy, dir)
  if (options.json === true) output.result(`${printableJson(answered)}\n`)
  else output.result(inLines(askedInWords(asked), answered))
  if (answered.action === 'deny') output.failed()
}

function inLines(question: string, answered: Answered): string {
  const { action, code, reason, rule, file, mode, limits, hint } = answered
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
  return text.join('')
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
  const peer = readPeer(text)
  if (peer === null) throw new InvalidArgumentError('write tenant/agent, e.g. acme/planner')
  return peer
}
