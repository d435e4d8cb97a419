/** What the documents of the repository say that can be checked: links, headings, code. */
import type { SourceFile } from '../repository-files.ts'

export interface CodeBlock {
  readonly path: string
  /** The word after the fence: `sh`, `ts`, `json`. Empty when there is none. */
  readonly language: string
  /** What follows it, e.g. `no-check`. */
  readonly note: string
  readonly text: string
  /** Of its first line, from 1. */
  readonly line: number
}

export function documentsAmong(files: readonly SourceFile[]): SourceFile[] {
  return files.filter(({ path }) => path.endsWith('.md') && !path.includes('/node_modules/'))
}

export function codeBlocks({ path, text }: SourceFile): CodeBlock[] {
  const blocks: CodeBlock[] = []
  let open: {
    fence: string
    language: string
    note: string
    line: number
    lines: string[]
  } | null = null
  for (const [index, line] of text.split('\n').entries()) {
    const [, fence = '', language = '', note = ''] =
      /^\s{0,3}(`{3,}|~{3,})\s*([\w+-]*)\s*(.*)$/.exec(line) ?? []
    if (open === null && fence !== '')
      open = { fence, language, note: note.trim(), line: index + 2, lines: [] }
    else if (open !== null && fence.startsWith(open.fence)) {
      const { lines, fence: _, ...rest } = open
      blocks.push({ path, ...rest, text: lines.join('\n') })
      open = null
    } else open?.lines.push(line)
  }
  return blocks
}

/** What follows `@example` in a docstring, up to the next tag, as TypeScript. */
export function docstringExamples({ path, text }: SourceFile): CodeBlock[] {
  const lines = text.split('\n')
  return lines.flatMap((line, index) => {
    if (!/^\s*\* @example$/.test(line)) return []
    const end = lines.findIndex((each, at) => at > index && /^\s*\*(?:\/| @\w)/.test(each))
    const code = lines.slice(index + 1, end).map((each) => each.replace(/^\s*\* ?/, ''))
    return [{ path, language: 'ts', note: '', text: code.join('\n'), line: index + 2 }]
  })
}

/** Commands of npm in the running text, as blocks of one line. */
export function inlineCommands(file: SourceFile): CodeBlock[] {
  return proseOf(file)
    .split('\n')
    .flatMap((line, index) =>
      [...line.matchAll(/`(np[mx] [^`]+)`/g)].map(([, text = '']) => ({
        path: file.path,
        language: 'sh',
        note: '',
        text,
        line: index + 1,
      })),
    )
}

/** The document without its code: what is written in a fence is neither a link nor a heading. */
export function proseOf({ text }: SourceFile): string {
  return text.replaceAll(/^\s{0,3}(`{3,}|~{3,})[\s\S]*?^\s{0,3}\1[^\n]*$/gm, (block) =>
    block.replaceAll(/[^\n]/g, ''),
  )
}

/** Targets of links, as they are written. */
export function linkTargets(file: SourceFile): string[] {
  const prose = proseOf(file).replaceAll(/`[^`\n]*`/g, '')
  const inline = [...prose.matchAll(/\]\(\s*<?([^()\s<>]+)>?(?:\s+"[^"]*")?\s*\)/g)]
  const references = [...prose.matchAll(/^\s{0,3}\[[^\]]+\]:\s*(\S+)/gm)]
  return [...inline, ...references].map(([, target = '']) => target)
}

/** The anchors that GitHub makes of the headings. */
export function anchors(file: SourceFile): ReadonlySet<string> {
  const found = new Map<string, number>()
  const names = new Set<string>()
  for (const [, heading = ''] of proseOf(file).matchAll(/^#{1,6}\s+(.*)$/gm)) {
    const name = heading
      .trim()
      .toLowerCase()
      .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(/\s/g, '-')
    const times = found.get(name) ?? 0
    found.set(name, times + 1)
    names.add(times === 0 ? name : `${name}-${times}`)
  }
  return names
}
