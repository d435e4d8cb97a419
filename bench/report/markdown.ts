/** bench/RESULTS.md: the figures that are kept, with what they were taken on and the command that makes them. */
import type { Machine } from '../measure/machine.ts'
import type { SuiteResult } from '../suites/suite.ts'
import { HEADINGS, type Row, rowsOf } from './rows.ts'

export interface Run {
  readonly date: Date
  readonly machine: Machine
  readonly command: string
  readonly rounds: number
  readonly versions: readonly string[]
  readonly results: readonly SuiteResult[]
}

export function formatMarkdown(run: Run): string {
  const { machine, date, command, rounds, results, versions } = run
  const head = [
    '# Results of the bench',
    '',
    `Written by \`${command}\` on ${date.toISOString().slice(0, 10)}; \`docs/guides/benchmarks.md\` says how to read them.`,
    'Ratios are our cost divided by the other’s, taken within each round; medians of all rounds. Other machines give',
    'other times, and about the same ratios.',
    '',
    `- Machine: ${machine.cores} cores, ${machine.cpu}, ${machine.memoryGib} GiB, Linux ${machine.kernel}`,
    `- Versions: Node.js ${machine.node}${versions.map((one) => `, ${one}`).join('')}`,
    `- Rounds: ${rounds}`,
    '',
  ]
  return `${[...head, ...results.flatMap(section)].join('\n').trimEnd()}\n`
}

function section(result: SuiteResult): string[] {
  return [
    `## ${result.title}`,
    '',
    result.how,
    '',
    line(HEADINGS),
    '|---|---|---:|---:|---:|---|',
    ...result.metrics.flatMap((metric) => rowsOf(metric, true)).map(line),
    '',
    ...result.remarks.flatMap((remark) => [`- ${remark}`]),
    ...(result.remarks.length === 0 ? [] : ['']),
  ]
}

function line({ metric, contestant, median, spread, ratio, target }: Row): string {
  return `| ${metric} | ${contestant} | ${median} | ${spread} | ${ratio} | ${target} |`
}
