/** How long the keys of an issuer are kept before they are fetched anew, by the Cache-Control that came with them. Pure. */
const MAX_MS = 300_000
/** However little an issuer allows: it is not to be asked for every token. */
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
