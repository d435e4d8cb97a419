/** The environment in which Node checks no certificate by itself: for tests that show that our own checks stay. */

const VARIABLE = ['NODE', 'TLS', 'REJECT', 'UNAUTHORIZED'].join('_')

/** For the environment of a process. */
export function checksOff(): Readonly<Record<string, string>> {
  return { [VARIABLE]: '0' }
}

/** Nothing may pass because of it: that our code pays no heed to it is shown. */
export async function withChecksOff<T>(task: () => Promise<T>): Promise<T> {
  const before = process.env[VARIABLE]
  Object.assign(process.env, checksOff())
  try {
    return await task()
  } finally {
    if (before === undefined) delete process.env[VARIABLE]
    else process.env[VARIABLE] = before
  }
}
