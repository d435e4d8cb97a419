/**
 * Reads the outline of an HTML document in one pass over its tokens. No tree is built, so that a deep document takes
 * no longer than a flat one.
 */
import { type Token, Tokenizer, TokenizerMode } from 'parse5'
import {
  type Heading,
  type Link,
  MAX_HEADINGS,
  MAX_LINKS,
  type Outline,
  webUrl,
} from './outline.ts'
import { plainText } from './plain-text.ts'

/** Elements whose content is text up to their own closing tag. */
const RAW_TEXT: ReadonlyMap<string, Tokenizer['state']> = new Map([
  ['title', TokenizerMode.RCDATA],
  ['textarea', TokenizerMode.RCDATA],
  ['script', TokenizerMode.SCRIPT_DATA],
  ['style', TokenizerMode.RAWTEXT],
  ['noscript', TokenizerMode.RAWTEXT],
])
/** Elements whose text a page does not show. */
const HIDDEN: ReadonlySet<string> = new Set(['script', 'style', 'noscript', 'textarea', 'template'])
/** Tags that do not separate words: `<b>un</b>seen` is one word. */
const INLINE: ReadonlySet<string> = new Set(
  'a abbr b bdi bdo cite code data dfn em font i kbd mark q s samp small span strong sub sup time u var wbr'.split(
    ' ',
  ),
)

/** @param url the address of the document; relative links are resolved against it. */
export function readHtml(html: string, url: string): Outline {
  const headings: Heading[] = []
  const links = new Map<string, Link>()
  const text: string[] = []
  let base = url
  let title = ''
  let hidden: string | null = null
  let inTitle = false
  let heading: { level: number; from: number } | null = null
  let anchor: { url: string; from: number } | null = null
  const since = (from: number) => plainText(text.slice(from, from + 200).join(''))

  const addText = ({ chars }: Token.CharacterToken) => {
    if (inTitle) title += chars
    else if (hidden === null) text.push(chars)
  }
  const tokenizer: Tokenizer = new Tokenizer(
    {},
    {
      onCharacter: addText,
      onWhitespaceCharacter: addText,
      onStartTag({ tagName: name, attrs }) {
        const rawText = RAW_TEXT.get(name)
        if (rawText !== undefined) tokenizer.state = rawText
        const href = attrs.find((attribute) => attribute.name === 'href')?.value
        if (name === 'base') base = webUrl(href ?? '', url) ?? base
        else if (name === 'title') inTitle = title.trim() === ''
        else if (HIDDEN.has(name)) hidden ??= name
        else if (name === 'a') {
          const target = href === undefined ? null : webUrl(href.trim(), base)
          anchor = target === null ? null : { url: target, from: text.length }
        } else if (levelOf(name) > 0) heading = { level: levelOf(name), from: text.length }
        if (!INLINE.has(name)) text.push(' ')
      },
      onEndTag({ tagName: name }) {
        if (name === 'title') inTitle = false
        if (name === hidden) hidden = null
        if (name === 'a' && anchor !== null) {
          if (links.size < MAX_LINKS && !links.has(anchor.url))
            links.set(anchor.url, { text: since(anchor.from), url: anchor.url })
          anchor = null
        }
        if (levelOf(name) > 0 && heading !== null) {
          const words = since(heading.from)
          if (words !== '' && headings.length < MAX_HEADINGS)
            headings.push({ level: heading.level, text: words })
          heading = null
        }
        if (!INLINE.has(name)) text.push(' ')
      },
      onComment() {},
      onDoctype() {},
      onNullCharacter() {},
      onEof() {},
      onParseError: null,
    },
  )
  tokenizer.write(html, true)
  const first = headings.find(({ level }) => level === 1)?.text ?? null
  return {
    title: plainText(title) || first,
    headings,
    links: [...links.values()],
    text: text.join(''),
  }
}

/** 1 to 6 for a heading, 0 for any other element. */
function levelOf(name: string): number {
  return /^h[1-6]$/.test(name) ? Number(name[1]) : 0
}
