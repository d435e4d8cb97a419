/** `mesh-gateway policy replay`: shows what a candidate policy would have decided differently on recorded requests. */
import { printable, printableJson } from '@clawmesh/proto'
import { Command } from 'commander'
import type { Terminal } from '../process/terminal.ts'
import { readRecording } from '../recorded/read-recording.ts'
import { agentNames, tenantsOfCase } from '../recorded/recorded-case.ts'
import { type Changed, createReplay } from '../recorded/replay.ts'
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
      const replay = createReplay(policy, options.examples)
      const unjudged = new Set<string>()
      let notJudged = 0
      const counts = await readRecording(audit, agentNames(options.spiffeAgentPath), (recorded) => {
        const { question } = recorded
        const asker = 'agent' in question ? question.agent : question.caller
        if (tenant !== undefined && asker.tenant !== tenant) return
        const broken = tenantsOfCase(recorded).filter((one) => policy.closed.has(one))
        for (const one of broken) unjudged.add(`${one}.json`)
        if (broken.length === 0) replay.add(recorded)
        else notJudged += recorded.times
      })
      const { same, byAudit, newlyAllowed, newlyRefused, examples } = replay.result()
      noteCounts(counts, audit, output)
      if (options.json)
        output.result(
          `${printableJson({
            dir,
            ...countsAsJson(counts),
            same,
            not_judged: notJudged,
            broken_files: [...unjudged],
            newly_refused: newlyRefused,
            newly_allowed: newlyAllowed,
            by_audit_mode: byAudit,
            examples: {
              newly_refused: examples.newlyRefused,
              newly_allowed: examples.newlyAllowed,
            },
          })}\n`,
        )
      else
        output.result(
          [
            `same           ${same}`,
            `newly refused  ${newlyRefused}`,
            ...examples.newlyRefused.map(exampleLine),
            `newly allowed  ${newlyAllowed}`,
            ...examples.newlyAllowed.map(exampleLine),
            ...(byAudit === 0 ? [] : [`by audit mode  ${byAudit}, which enforce would refuse`]),
            '',
          ].join('\n'),
        )
      if (newlyRefused > 0)
        output.note(`${plural(newlyRefused, 'recorded request')} would be refused under ${dir}`)
      if (notJudged > 0)
        output.note(
          `${plural(notJudged, 'recorded request')} not judged: of ${[...unjudged].join(', ')}, broken; mesh-gateway policy check ${dir} says why`,
        )
      if (newlyRefused + notJudged > 0) output.failed()
    })
}

function exampleLine({ agent, what, code, rule, count }: Changed): string {
  const why = rule === null ? code : `${code} by ${rule}`
  return printable(`  ${count} x  ${agent} to ${what}  ${why}`)
}
