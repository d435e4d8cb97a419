/** Tells a client whether its connection stays open, and for how long. */

/**
 * The fields, each with its line end. With `Keep-Alive: timeout=` clients take no connection that is about to be closed:
 * a request on one may be lost, and one that cannot be repeated then fails (RFC 9112, section 9.3.1).
 * @param keptMs null: it is closed after this answer
 */
export function connectionFields(keptMs: number | null): string {
  if (keptMs === null) return 'connection: close\r\n'
  const seconds = Math.floor(keptMs / 1_000)
  return seconds === 0
    ? 'connection: keep-alive\r\n'
    : `connection: keep-alive\r\nkeep-alive: timeout=${seconds}\r\n`
}
