/** Parses time spans: `15m`, `30s`, `500ms`, `24h`, `7d`; a bare number is milliseconds. */
export const DURATION_FORM = /^(\d{1,12})(ms|s|m|h|d)?$/
const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

/** Milliseconds, or null when the text is not a time span. Settings count milliseconds where no unit is given. */
export function parseDuration(text: string): number | null {
  const [, digits, unit = 'ms'] = DURATION_FORM.exec(text) ?? []
  const factor = UNIT_MS[unit]
  return digits === undefined || factor === undefined ? null : Number(digits) * factor
}

/** The same at a flag, whose name says no unit: null for a bare number, and for no time at all. */
export function parseFlagDuration(text: string): number | null {
  const ms = /^\d+$/.test(text) ? null : parseDuration(text)
  return ms !== null && Number.isSafeInteger(ms) ? ms : null
}
