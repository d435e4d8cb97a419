/** Reads the outline of a Markdown document (CommonMark: ATX and setext headings, fences, inline links, references, autolinks). */
import { decodeEntities } from './entities.ts'
import {
  type Heading,
  type Link,
  MAX_HEADINGS,
  MAX_LINKS,
  type Outline,
  webUrl,
} from './outline.ts'
import { plainText } from './plain-text.ts'

/** Lengths are bounded, so that a line of brackets costs no more than its length. */
const LINK = /!?\[([^\][]{0,500})\]\(\s{0,8}<?([^()\s<>]{1,2048})>?[^()]{0,500}\)/g
const REFERENCE = /^ {0,3}\[([^\][]{1,500})\]:\s{0,8}<?([^\s<>]{1,2048})>?/
const BARE = /https?:\/\/[^\s<>()[\]"'`]{1,2048}/g
const MAX_LINE = 10_000

/** @param url where the document was found; relative links are resolved against it. */
export function readMarkdown(markdown: string, url: string): Outline {
  const headings: Heading[] = []
  const links = new Map<string, Link>()
  const text: string[] = []
  let fence: string | null = null
  let before = ''

  const addHeading = (level: number, words: string) => {
    const line = plainText(visible(words))
    if (line !== '' && headings.length < MAX_HEADINGS) headings.push({ level, text: line })
  }
  const addLink = (words: string, href: string) => {
    const target = webUrl(href, url)
    if (target !== null && links.size < MAX_LINKS && !links.has(target))
      links.set(target, { text: plainText(visible(words)), url: target })
  }

  for (const whole of markdown.split(/\r\n|\n|\r/)) {
    const line = whole.slice(0, MAX_LINE)
    const [, mark] = /^ {0,3}(`{3,}|~{3,})/.exec(line) ?? []
    if (fence !== null) {
      if (mark?.startsWith(fence) && line.trim() === mark) fence = null
      else text.push(line)
      before = ''
      continue
    }
    if (mark !== undefined) {
      fence = mark
      before = ''
      continue
    }
    const [, marks, atx] = /^ {0,3}(#{1,6})(?:[ \t]+(.*))?$/.exec(line) ?? []
    if (marks !== undefined)
      addHeading(marks.length, (atx ?? '').replace(/[ \t]#{1,100}[ \t]*$/, ''))
    else if (/^ {0,3}(?:={1,200}|-{2,200})[ \t]*$/.test(line) && before !== '')
      addHeading(line.includes('=') ? 1 : 2, before)

    for (const [, words = '', href = ''] of line.matchAll(LINK)) addLink(words, href)
    const [, label = '', target] = REFERENCE.exec(line) ?? []
    if (target !== undefined) addLink(label, target)
    for (const [found] of line.matchAll(BARE)) addLink('', found.replace(/[.,;:!?]$/, ''))
    if (target === undefined) text.push(visible(whole))
    before = marks === undefined && !/^ {0,3}(?:[>|*+-]|\d+[.)])\s/.test(line) ? line.trim() : ''
  }
  const title = headings.find(({ level }) => level === 1)?.text ?? null
  return { title, headings, links: [...links.values()], text: text.join('\n') }
}

/** What a reader sees of a line: the words of links, no marks, no tags. */
function visible(line: string): string {
  const words = line
    .replaceAll(LINK, '$1')
    .replaceAll(/<\/?[A-Za-z][^<>]{0,500}>|<!--[^<>]{0,500}-->/g, ' ')
    .replaceAll(BARE, ' ')
    .replaceAll(/[*`~]|^[ \t]*(?:#{1,6}|>)/g, '')
  return decodeEntities(words)
}
