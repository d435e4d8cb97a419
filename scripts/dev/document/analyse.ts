/**
 * What the researcher finds out about a document: title, headings, word count, most used terms, links.
 * The document comes from a stranger: nothing in it is trusted, everything is bounded.
 */
import { TextDecoder } from 'node:util'
import { readHtml } from './html.ts'
import { readMarkdown } from './markdown.ts'
import type { Heading, Link, Outline } from './outline.ts'
import { countWords, mostUsed, type Term } from './terms.ts'

/** Of a document, 2 MiB are read. */
export const MAX_DOCUMENT_BYTES = 2 * 1024 * 1024

export interface FetchedDocument {
  readonly url: string
  /** As the server says it; empty when it does not. */
  readonly contentType: string
  readonly bytes: Uint8Array
}

export interface Analysis {
  readonly url: string
  readonly kind: 'html' | 'markdown' | 'text'
  /** Null when the document has none. */
  readonly title: string | null
  readonly headings: readonly Heading[]
  readonly words: number
  readonly terms: readonly Term[]
  readonly links: readonly Link[]
  readonly bytes: number
  /** True when the document was longer than what is read of one. */
  readonly truncated: boolean
}

/** The document is not text that could be analysed. The message says why. */
export class NotText extends Error {
  override readonly name = 'NotText'
}

/** @throws NotText */
export function analyse(document: FetchedDocument): Analysis {
  const truncated = document.bytes.length > MAX_DOCUMENT_BYTES
  const bytes = document.bytes.subarray(0, MAX_DOCUMENT_BYTES)
  const text = decode(bytes, document.contentType)
  const kind = kindOf(document, text)
  const outline = readAs(kind, text, document.url)
  return {
    url: document.url,
    kind,
    title: outline.title,
    headings: outline.headings,
    words: countWords(outline.text),
    terms: mostUsed(outline.text, 10),
    links: outline.links,
    bytes: bytes.length,
    truncated,
  }
}

function readAs(kind: Analysis['kind'], text: string, url: string): Outline {
  if (kind === 'html') return readHtml(text, url)
  if (kind === 'markdown') return readMarkdown(text, url)
  return { title: null, headings: [], links: [], text }
}

function kindOf({ url, contentType }: FetchedDocument, text: string): Analysis['kind'] {
  const type = contentType.split(';')[0]?.trim().toLowerCase() ?? ''
  const path = URL.parse(url)?.pathname.toLowerCase() ?? ''
  if (type === 'text/html' || type === 'application/xhtml+xml') return 'html'
  if (type === 'text/markdown' || /\.(?:md|markdown)$/.test(path)) return 'markdown'
  // no word from the server: a document that begins as HTML does is HTML
  const unsaid = type === '' || type === 'application/octet-stream'
  if (unsaid && /^\s{0,100}<(?:!doctype html|html)\b/i.test(text)) return 'html'
  if (/^(?:image|audio|video|font)\//.test(type)) throw new NotText(`it is ${type}, not text`)
  return 'text'
}

function decode(bytes: Uint8Array, contentType: string): string {
  if (bytes.length === 0) throw new NotText('it is empty')
  const utf16 = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)
  if (!utf16 && bytes.subarray(0, 65_536).includes(0)) throw new NotText('it is binary')
  const [, said = 'utf-8'] = /charset\s*=\s*"?([\w.:-]{1,40})/i.exec(contentType) ?? []
  const label = utf16 ? (bytes[0] === 0xff ? 'utf-16le' : 'utf-16be') : said
  const text = decoderFor(label).decode(bytes)
  const lost = text.slice(0, 65_536).split('\uFFFD').length - 1
  if (lost > 16 && lost > text.slice(0, 65_536).length / 10) throw new NotText('it is binary')
  return text
}

function decoderFor(label: string): TextDecoder {
  try {
    return new TextDecoder(label)
  } catch {
    // a charset that nobody knows: UTF-8 is the best guess, and unreadable bytes are told from text below
    return new TextDecoder()
  }
}
