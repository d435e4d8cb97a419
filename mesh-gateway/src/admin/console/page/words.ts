/** Formats names, numbers and times. Names come from anywhere: what turns or hides text is shown as an escape. */

const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu
const MOST_CHARS = 200

/** Text that shows each of its characters. Its markup is never read: it becomes a text node. */
export function name(text: string | null | undefined): string {
  if (text === null || text === undefined || text === '') return 'unknown'
  const seen = text.replaceAll(UNSEEN, (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`)
  return seen.length > MOST_CHARS ? `${seen.slice(0, MOST_CHARS)}…` : seen
}

export function count(number: number): string {
  return number.toLocaleString('en')
}

export function duration(ms: number): string {
  if (ms < 1_000) return `${ms.toFixed(ms < 10 ? 1 : 0)} ms`
  return ms < 120_000 ? `${(ms / 1_000).toFixed(1)} s` : span(ms)
}

export function span(ms: number): string {
  const units: [string, number][] = [
    ['day', 86_400_000],
    ['hour', 3_600_000],
    ['minute', 60_000],
    ['second', 1_000],
  ]
  const [unit, size] = units.find(([, one]) => Math.abs(ms) >= 2 * one) ?? ['second', 1_000]
  const whole = Math.floor(Math.abs(ms) / size)
  return `${whole} ${unit}${whole === 1 ? '' : 's'}`
}

/** `in 3 days`, `ended 2 hours ago`. */
export function timeLeft(until: string, nowMs: number): string {
  const leftMs = Date.parse(until) - nowMs
  return leftMs < 0 ? `ended ${span(leftMs)} ago` : `in ${span(leftMs)}`
}

export function clock(time: string): string {
  return time.slice(11, 23)
}

/** The short name of an agent: `tenant/agent` of its SPIFFE ID, where it has the usual form. */
export function agent(id: string | null | undefined): string {
  const [, tenant, one] = /^spiffe:\/\/[^/]+\/tenant\/([^/]+)\/agent\/([^/]+)$/.exec(id ?? '') ?? []
  return tenant === undefined ? name(id) : name(`${tenant}/${one}`)
}
