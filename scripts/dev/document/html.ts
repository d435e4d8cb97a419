/** Reads the outline of an HTML document. */
import { decodeEntities } from './entities.ts'
import { attribute, htmlTokens } from './html-tokens.ts'
import {
  type Heading,
  type Link,
  MAX_HEADINGS,
  MAX_LINKS,
  type Outline,
  webUrl,
} from './outline.ts'
import { plainText } from './plain-text.ts'

/** What nobody reads on the page. */
const UNSEEN: ReadonlySet<string> = new Set(['script', 'style', 'noscript', 'textarea', 'template'])
/** Tags that do not part words: <b>un</b>seen is one word. */
const INLINE: ReadonlySet<string> = new Set(
  'a abbr b bdi bdo cite code data dfn em font i kbd mark q s samp small span strong sub sup time u var wbr'.split(
    ' ',
  ),
)

/** @param url where the document was found; relative links are resolved against it. */
export function readHtml(html: string, url: string): Outline {
  const headings: Heading[] = []
  const links = new Map<string, Link>()
  const text: string[] = []
  let base = url
  let title: string | null = null
  let unseen: string | null = null
  let inTitle = false
  let heading: { level: number; from: number } | null = null
  let anchor: { url: string; from: number } | null = null
  const since = (from: number) => plainText(text.slice(from, from + 200).join(''))

  for (const token of htmlTokens(html)) {
    if (token.kind === 'text') {
      if (inTitle) title ??= plainText(decodeEntities(token.text)) || null
      else if (unseen === null) text.push(decodeEntities(token.text))
      continue
    }
    const { name } = token
    const level = /^h[1-6]$/.test(name) ? Number(name[1]) : 0
    if (token.kind === 'open') {
      if (name === 'base') base = webUrl(attribute(token.attributes, 'href') ?? '', url) ?? base
      else if (name === 'title') inTitle = true
      else if (UNSEEN.has(name)) unseen ??= name
      else if (name === 'a') {
        const href = attribute(token.attributes, 'href')
        const target = href === null ? null : webUrl(decodeEntities(href).trim(), base)
        anchor = target === null ? null : { url: target, from: text.length }
      } else if (level > 0) heading = { level, from: text.length + 1 }
    } else {
      if (name === 'title') inTitle = false
      if (name === unseen) unseen = null
      if (name === 'a' && anchor !== null) {
        if (links.size < MAX_LINKS && !links.has(anchor.url))
          links.set(anchor.url, { text: since(anchor.from), url: anchor.url })
        anchor = null
      }
      if (level > 0 && heading !== null) {
        const words = since(heading.from)
        if (words !== '' && headings.length < MAX_HEADINGS)
          headings.push({ level: heading.level, text: words })
        heading = null
      }
    }
    if (!INLINE.has(name)) text.push(' ')
  }
  title ??= headings.find(({ level }) => level === 1)?.text ?? null
  return { title, headings, links: [...links.values()], text: text.join('') }
}
