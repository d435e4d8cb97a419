/** Used by `policy suggest` and `policy replay`: finds their audit log, and reports what was unusable in it. */
import { isDnsLabel } from '@clawmesh/proto'
import { type Command, InvalidArgumentError } from 'commander'
import type { RecordingCounts } from '../recorded/read-recording.ts'
import { plural } from '../text/plural.ts'
import type { CommandOutput } from './explanation.ts'

export interface RecordingOptions {
  readonly audit: string
  readonly tenant?: string
  readonly spiffeAgentPath?: string
  readonly json?: true
}

export function addRecording(command: Command): Command {
  return command
    .requiredOption('--audit <file>', 'the audit log, also .gz; - is the standard input')
    .option('--tenant <tenant>', 'of this tenant alone', parseTenant)
    .option('--spiffe-agent-path <path>', 'template of SPIFFE IDs of agents, as configured')
}

/** On stderr: the unusable lines of the file. */
export function noteCounts(counts: RecordingCounts, file: string, output: CommandOutput): void {
  const { foreignLines, tornLastLine } = counts
  if (foreignLines > 0)
    output.note(`${plural(foreignLines, 'line')} of ${file} are none of an audit log, passed over`)
  if (tornLastLine) output.note(`the last line of ${file} is cut off, passed over`)
}

export function countsAsJson(counts: RecordingCounts): object {
  return {
    records: counts.records,
    not_of_policy: counts.notOfPolicy,
    foreign_lines: counts.foreignLines,
    torn_last_line: counts.tornLastLine,
  }
}

export function parseCount(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new InvalidArgumentError('write a number from 1 on')
  return Number(text)
}

function parseTenant(text: string): string {
  if (!isDnsLabel(text)) throw new InvalidArgumentError('write the name of a tenant, e.g. acme')
  return text
}
