/** Formats one option of the help: beside its meaning, or above it where the longest option leaves too little room. */
import { Help } from 'commander'

const INDENT = 6

export function formatHelpItem(
  term: string,
  termWidth: number,
  description: string,
  helper: Help,
): string {
  const width = helper.helpWidth ?? 80
  if (width - termWidth - 4 >= helper.minWidthToWrap)
    return Help.prototype.formatItem.call(helper, term, termWidth, description, helper)
  const margin = ' '.repeat(INDENT)
  const lines = helper.boxWrap(description, width - INDENT).split('\n')
  return [`  ${term}`, ...lines.map((line) => margin + line)].join('\n')
}
