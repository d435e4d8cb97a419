/** A timer for any length: setTimeout fires at once for more than 2^31 - 1 milliseconds. Never keeps the process alive. */
const LONGEST_MS = 2 ** 31 - 1

/** Returns a function that stops it. */
export function startTimer(delayMs: number, fire: () => void): () => void {
  let left = Math.max(0, delayMs)
  let timer: NodeJS.Timeout
  const step = () => {
    const wait = Math.min(left, LONGEST_MS)
    left -= wait
    timer = setTimeout(() => (left > 0 ? step() : fire()), wait).unref()
  }
  if (Number.isFinite(left)) step()
  return () => clearTimeout(timer)
}
