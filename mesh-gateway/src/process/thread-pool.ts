/**
 * Sizes the thread pool of this process, which reads and writes files and runs the system's name lookups, which may
 * take ten seconds and more. Node has four threads by default, and the first use fixes their number.
 * docs/discoveries/lookups-get-half-of-the-threads.md
 */
const THREADS = 24
// libuv: UV_THREADPOOL_SIZE, https://docs.libuv.org/en/v1.x/threadpool.html
const LIBUV_DEFAULT_THREADS = 4
const LIBUV_MAX_THREADS = 1024

/** For commands, before anything else: a value in the environment stays, and workers inherit it. */
export function widenThreadPool(env: NodeJS.ProcessEnv): void {
  env.UV_THREADPOOL_SIZE ??= String(THREADS)
}

/**
 * How many names may be looked up at once: libuv itself limits lookups to half of the threads. Further ones would wait
 * in its own queue, which is not fair.
 */
export function lookupThreads(env: NodeJS.ProcessEnv): number {
  return Math.floor((poolSize(env.UV_THREADPOOL_SIZE) + 1) / 2)
}

/**
 * How many disk operations of followed files may be pending at once. A hanging mount keeps a thread for each, and most
 * threads must stay free: 9 of 24.
 */
export function diskThreads(env: NodeJS.ProcessEnv): number {
  return Math.max(1, Math.floor((poolSize(env.UV_THREADPOOL_SIZE) * 3) / 8))
}

/** As libuv reads it. */
function poolSize(value: string | undefined): number {
  if (value === undefined) return LIBUV_DEFAULT_THREADS
  return Math.min(LIBUV_MAX_THREADS, Math.max(1, Number.parseInt(value, 10) || 1))
}
