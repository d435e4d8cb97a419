/** Reads the outline of a Markdown document: renders it to HTML and reads that. */
import MarkdownIt from 'markdown-it'
import { readHtml } from './html.ts'
import { MAX_LINKS, type Outline, webUrl } from './outline.ts'

/** @param url the address of the document; relative links are resolved against it. */
export function readMarkdown(markdown: string, url: string): Outline {
  const renderer = new MarkdownIt({ html: true, linkify: true })
  // only addresses that are written with their scheme are links: README.md is a file, not a host
  renderer.linkify.set({ fuzzyLink: false, fuzzyEmail: false })
  const env: { references?: Record<string, { href: string; title: string }> } = {}
  const outline = readHtml(renderer.render(markdown, env), url)
  const links = new Map(outline.links.map((link) => [link.url, link]))
  // a definition is a link of the document even if no text refers to it
  for (const { href } of Object.values(env.references ?? {})) {
    const target = webUrl(href, url)
    if (target !== null && links.size < MAX_LINKS && !links.has(target))
      links.set(target, { text: '', url: target })
  }
  return { ...outline, links: [...links.values()] }
}
