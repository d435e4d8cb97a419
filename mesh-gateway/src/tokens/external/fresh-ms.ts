/** How long the keys of an external issuer are cached before the next fetch, by their Cache-Control. Pure. */
const MAX_MS = 300_000
/** The minimum, whatever the issuer allows: it must not be asked for every token. */
const LEAST_MS = 30_000

export function freshMs(cacheControl: string | null): number {
  let ms = MAX_MS
  for (const part of (cacheControl ?? '').toLowerCase().split(',')) {
    const directive = part.trim()
    if (/^no-(?:store|cache)(?:=|$)/.test(directive)) return LEAST_MS
    const [, seconds] = /^max-age="?(\d{1,12})"?$/.exec(directive) ?? []
    if (seconds !== undefined) ms = Math.min(ms, Number(seconds) * 1000)
  }
  return Math.max(LEAST_MS, ms)
}
