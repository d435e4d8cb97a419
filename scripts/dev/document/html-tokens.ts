/**
 * Splits HTML into text and tags, in one pass, in time linear in its length and without recursion.
 * Builds no tree, so that nesting costs nothing; forgives everything, as browsers do.
 */
export type HtmlToken =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'open'; readonly name: string; readonly attributes: string }
  | { readonly kind: 'close'; readonly name: string }

/** Their content is not markup: it ends at their own closing tag only. */
const RAW_TEXT: ReadonlySet<string> = new Set(['script', 'style', 'textarea', 'title', 'noscript'])

export function* htmlTokens(html: string): Generator<HtmlToken> {
  let at = 0
  while (at < html.length) {
    const open = html.indexOf('<', at)
    if (open === -1) {
      yield { kind: 'text', text: html.slice(at) }
      return
    }
    if (open > at) yield { kind: 'text', text: html.slice(at, open) }
    const next = html[open + 1] ?? ''
    if (next === '!' || next === '?') {
      at = endOfComment(html, open)
    } else if (/[A-Za-z/]/.test(next)) {
      const end = endOfTag(html, open + 1)
      const tag = readTag(html.slice(open + 1, end))
      at = end + 1
      if (tag === null) continue
      yield tag
      if (tag.kind === 'open' && RAW_TEXT.has(tag.name)) {
        const close = closingTag(html, tag.name, at)
        if (close > at) yield { kind: 'text', text: html.slice(at, close) }
        at = close
      }
    } else {
      yield { kind: 'text', text: '<' }
      at = open + 1
    }
  }
}

/** The value of one attribute, or null. Names are compared in lower case; the first of two wins. */
export function attribute(attributes: string, name: string): string | null {
  const pattern = /([^\s=/"'>]{1,64})\s*(?:=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?/g
  for (const [, found = '', double, single, bare] of attributes.matchAll(pattern))
    if (found.toLowerCase() === name) return double ?? single ?? bare ?? ''
  return null
}

/** The index after `-->`, or after `>` where it is no comment; the end of the document when neither comes. */
function endOfComment(html: string, open: number): number {
  const mark = html.startsWith('<!--', open) ? '-->' : '>'
  const end = html.indexOf(mark, open + 2)
  return end === -1 ? html.length : end + mark.length
}

/** The index of the `>` that ends a tag; one inside quotes does not. */
function endOfTag(html: string, from: number): number {
  let quote = ''
  for (let at = from; at < html.length; at += 1) {
    const character = html[at] ?? ''
    if (quote !== '') {
      if (character === quote) quote = ''
    } else if (character === '>') return at
    // a quote begins a value only after an equals sign: <p don't> is a tag as well
    else if ((character === '"' || character === "'") && /=\s*$/.test(html.slice(at - 8, at)))
      quote = character
  }
  return html.length
}

function readTag(inside: string): HtmlToken | null {
  const [whole = '', slash, name = ''] = /^(\/?)([A-Za-z][^\s/>]{0,63})/.exec(inside) ?? []
  if (name === '') return null
  return slash === '/'
    ? { kind: 'close', name: name.toLowerCase() }
    : { kind: 'open', name: name.toLowerCase(), attributes: inside.slice(whole.length, 8192) }
}

function closingTag(html: string, name: string, from: number): number {
  const close = new RegExp(`</${name}[\\s/>]`, 'gi')
  close.lastIndex = from
  return close.exec(html)?.index ?? html.length
}
