/**
 * The threads of this process on which files are read and written, and names are looked up by the system's resolver, which may hold one
 * for ten seconds and more. Node has four of them unless it is told otherwise, and the first use settles it.
 */
const THREADS = 16
// libuv: UV_THREADPOOL_SIZE, https://docs.libuv.org/en/v1.x/threadpool.html
const USUAL = 4
const MOST = 1024
/** Never taken by lookups, where there are enough. */
const FOR_FILES = 4

/** For commands, before anything else: what the environment says already stands, and workers inherit it. */
export function widenThreadPool(env: NodeJS.ProcessEnv): void {
  env.UV_THREADPOOL_SIZE ??= String(THREADS)
}

/** How many names may be looked up at once, so that files are still written. */
export function lookupThreads(env: NodeJS.ProcessEnv): number {
  const size = poolSize(env.UV_THREADPOOL_SIZE)
  return Math.max(1, size - (size >= 2 * FOR_FILES ? FOR_FILES : 1))
}

/** As libuv reads it. */
function poolSize(value: string | undefined): number {
  if (value === undefined) return USUAL
  return Math.min(MOST, Math.max(1, Number.parseInt(value, 10) || 1))
}
