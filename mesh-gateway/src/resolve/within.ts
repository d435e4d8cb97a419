/** Waits for an answer, with a timeout. */
import { ResolveFailure } from './resolver.ts'

/**
 * @param onLate called when the time is over before the answer
 * @throws ResolveFailure `timeout`
 */
export async function within<T>(
  answer: Promise<T>,
  timeoutMs: number,
  onLate: () => void = () => {},
): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      onLate()
      reject(new ResolveFailure('timeout'))
    }, timeoutMs)
  })
  try {
    return await Promise.race([answer, late])
  } finally {
    clearTimeout(timer)
  }
}
