/**
 * Loaded before all tests (.mocharc.json): the processes that tests start, gateways above all, find the compiled code of
 * the process before them, and are ready in two thirds of the time. Not where coverage is taken, which that blurs.
 */
import { enableCompileCache } from 'node:module'
import { fileURLToPath } from 'node:url'

if (process.env.NODE_V8_COVERAGE === undefined) {
  process.env.NODE_COMPILE_CACHE ??= fileURLToPath(
    new URL('../../node_modules/.cache/compiled', import.meta.url),
  )
  enableCompileCache(process.env.NODE_COMPILE_CACHE)
}
