/** What a reader of one format finds in a document: its text, and what stands out from it. Bounded, whatever the document holds. */
export interface Heading {
  /** 1 to 6. */
  readonly level: number
  readonly text: string
}

export interface Link {
  readonly text: string
  /** Absolute, http or https. */
  readonly url: string
}

export interface Outline {
  readonly title: string | null
  readonly headings: readonly Heading[]
  readonly links: readonly Link[]
  /** All the visible text, for counting words. */
  readonly text: string
}

export const MAX_HEADINGS = 200
export const MAX_LINKS = 500

/** The absolute form of a link, or null when it is none of the web or malformed. */
export function webUrl(href: string, base: string): string | null {
  if (href.length > 2048) return null
  try {
    const url = new URL(href, base)
    return url.protocol === 'http:' || url.protocol === 'https:' ? url.href : null
  } catch {
    // a malformed link is no link
    return null
  }
}
