/** `mesh-gateway policy replay`: shows what a candidate policy would have decided differently on recorded requests. */
import { printable, printableJson } from '@clawmesh/proto'
import { Command } from 'commander'
import type { Terminal } from '../process/terminal.ts'
import { readRecording } from '../recorded/read-recording.ts'
import { agentNames } from '../recorded/recorded-case.ts'
import { createReportedReplay } from '../recorded/replay-report.ts'
import type { Changed, ReplayReport } from '../recorded/replay-shapes.ts'
import { plural } from '../text/plural.ts'
import {
  addPolicyPlace,
  type CommandOutput,
  loadPolicyOf,
  type PolicyPlace,
} from './explanation.ts'
import {
  addRecording,
  countsAsJson,
  noteCounts,
  parseCount,
  type RecordingOptions,
} from './recording.ts'

interface ReplayOptions extends RecordingOptions, PolicyPlace {
  readonly examples: number
}

const EXAMPLES = `
Example:
  $ mesh-gateway policy replay --audit audit.log --dir policy-candidate

Exit code 1 when something that was let through would be refused, or could not
be judged: a broken file of a tenant keeps its own requests from it alone.`

export function replayCommand(
  output: CommandOutput,
  place: Pick<Terminal, 'env' | 'cwd'>,
): Command {
  return addRecording(addPolicyPlace(new Command('replay')))
    .description('run a candidate policy over recorded decisions')
    .option('--examples <number>', 'of each kind, how many are shown', parseCount, 10)
    .option('--json', 'print JSON')
    .addHelpText('after', EXAMPLES)
    .action(async (options: ReplayOptions) => {
      const { audit, tenant } = options
      const { dir, policy } = await loadPolicyOf(options, place, null)
      const replay = createReportedReplay(policy, options.examples)
      const counts = await readRecording(audit, agentNames(options.spiffeAgentPath), (recorded) => {
        const { question } = recorded
        const asker = 'agent' in question ? question.agent : question.caller
        if (tenant === undefined || asker.tenant === tenant) replay.add(recorded)
      })
      const report = replay.report()
      noteCounts(counts, audit, output)
      if (options.json)
        output.result(`${printableJson({ dir, ...countsAsJson(counts), ...report })}\n`)
      else output.result(inLines(report))
      const { newly_refused: newlyRefused, not_judged: notJudged } = report
      if (newlyRefused > 0)
        output.note(`${plural(newlyRefused, 'recorded request')} would be refused under ${dir}`)
      if (notJudged > 0)
        output.note(
          `${plural(notJudged, 'recorded request')} not judged: of ${report.broken_files.join(', ')}, broken; mesh-gateway policy check ${dir} says why`,
        )
      if (newlyRefused + notJudged > 0) output.failed()
    })
}

function inLines(report: ReplayReport): string {
  const { examples, by_audit_mode: byAudit } = report
  return [
    `same           ${report.same}`,
    `newly refused  ${report.newly_refused}`,
    ...examples.newly_refused.map(exampleLine),
    `newly allowed  ${report.newly_allowed}`,
    ...examples.newly_allowed.map(exampleLine),
    ...(byAudit === 0 ? [] : [`by audit mode  ${byAudit}, which enforce would refuse`]),
    '',
  ].join('\n')
}

function exampleLine({ agent, what, code, rule, count }: Changed): string {
  const why = rule === null ? code : `${code} by ${rule}`
  return printable(`  ${count} x  ${agent} to ${what}  ${why}`)
}
