/** What the development mesh says, for a terminal of 80 columns. Colours only where they are wanted. */
import { stripVTControlCharacters, styleText } from 'node:util'

export const COLUMNS = 80

export interface Screen {
  /** A line as it is. */
  line(text?: string): void
  heading(text: string): void
  /** Rows of cells, aligned; the last cell is cut to the width. */
  table(rows: readonly (readonly string[])[]): void
  /** Text in several lines at word boundaries, indented. */
  paragraph(text: string, indent?: string): void
  good(text: string): string
  bad(text: string): string
  dim(text: string): string
}

export function createScreen(
  stream: NodeJS.WritableStream & { readonly isTTY?: boolean },
  env: Readonly<Record<string, string | undefined>>,
): Screen {
  const colours = stream.isTTY === true && (env.NO_COLOR ?? '') === '' && env.TERM !== 'dumb'
  const style = (format: Parameters<typeof styleText>[0]) => (text: string) =>
    colours ? styleText(format, text, { validateStream: false }) : text
  const bold = style('bold')
  const line = (text = '') => {
    stream.write(`${text}\n`)
  }
  return {
    line,
    heading: (text) => line(bold(text)),
    table(rows) {
      const widths: number[] = []
      for (const row of rows)
        for (const [index, cell] of row.entries())
          widths[index] = Math.max(widths[index] ?? 0, width(cell))
      for (const row of rows) {
        const cells = row.map((cell, index) =>
          index === row.length - 1 ? cell : cell + ' '.repeat((widths[index] ?? 0) - width(cell)),
        )
        line(`  ${cells.join('  ')}`.trimEnd())
      }
    },
    paragraph(text, indent = '  ') {
      for (const piece of wrap(text, COLUMNS - indent.length)) line(indent + piece)
    },
    good: style('green'),
    bad: style('red'),
    dim: style('dim'),
  }
}

/** Breaks after spaces and commas; a word longer than a line stands alone and whole. */
export function wrap(text: string, columns: number): string[] {
  const lines: string[] = []
  let current = ''
  for (const word of text.split(/(?<=[ ,])/)) {
    if (current !== '' && width(current) + width(word.trimEnd()) > columns) {
      lines.push(current.trimEnd())
      current = ''
    }
    current += word
  }
  if (current !== '') lines.push(current.trimEnd())
  return lines
}

/** A command in lines of at most 80 columns, each but the last ending in a backslash: it can be pasted as it is. */
export function pasteable(words: readonly string[]): string[] {
  const lines: string[] = []
  let current = ''
  for (const word of words) {
    if (current !== '' && current.length + 1 + word.length > COLUMNS - 2) {
      lines.push(`${current} \\`)
      current = `  ${word}`
    } else current = current === '' ? word : `${current} ${word}`
  }
  return [...lines, current]
}

/** A word for the shell, quoted where it has to be. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}

function width(text: string): number {
  return [...stripVTControlCharacters(text)].length
}
