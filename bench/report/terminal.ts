/** The results as a person at a terminal reads them. */
import type { SuiteResult } from '../suites/suite.ts'
import { HEADINGS, type Row, rowsOf } from './rows.ts'

const COLUMNS = ['metric', 'contestant', 'median', 'spread', 'ratio', 'target'] as const

export function formatTerminal(result: SuiteResult, judge: boolean): string {
  const rows = [HEADINGS, ...result.metrics.flatMap((metric) => rowsOf(metric, judge))]
  const widths = COLUMNS.map((name) => Math.max(...rows.map((row) => row[name].length)))
  const line = (row: Row) =>
    COLUMNS.map((name, i) =>
      i < 2 ? row[name].padEnd(widths[i] ?? 0) : row[name].padStart(widths[i] ?? 0),
    )
      .join('  ')
      .trimEnd()
  const remarks = result.remarks.map((remark) => `  ${remark}\n`).join('')
  return `${result.title}\n\n${rows.map((row) => `  ${line(row)}\n`).join('')}${remarks}\n`
}
