/**
 * The threads of this process on which files are read and written, and names are looked up by the system's resolver, which may hold one
 * for ten seconds and more. Node has four of them unless it is told otherwise, and the first use settles it.
 * docs/discoveries/lookups-get-half-of-the-threads.md
 */
const THREADS = 24
// libuv: UV_THREADPOOL_SIZE, https://docs.libuv.org/en/v1.x/threadpool.html
const LIBUV_DEFAULT_THREADS = 4
const LIBUV_MAX_THREADS = 1024

/** For commands, before anything else: what the environment says already stands, and workers inherit it. */
export function widenThreadPool(env: NodeJS.ProcessEnv): void {
  env.UV_THREADPOOL_SIZE ??= String(THREADS)
}

/**
 * How many names may be looked up at once: libuv itself lets lookups have half of the threads. Beyond that they would wait in a
 * queue of its own, whoever asks, in the order in which they came.
 */
export function lookupThreads(env: NodeJS.ProcessEnv): number {
  return Math.floor((poolSize(env.UV_THREADPOOL_SIZE) + 1) / 2)
}

/**
 * How many questions to the disk may be open at once when files are followed. A mount that hangs keeps a thread for each, and
 * most threads are for work that goes on: 9 of 24.
 */
export function diskThreads(env: NodeJS.ProcessEnv): number {
  return Math.max(1, Math.floor((poolSize(env.UV_THREADPOOL_SIZE) * 3) / 8))
}

/** As libuv reads it. */
function poolSize(value: string | undefined): number {
  if (value === undefined) return LIBUV_DEFAULT_THREADS
  return Math.min(LIBUV_MAX_THREADS, Math.max(1, Number.parseInt(value, 10) || 1))
}
