/**
 * Gives memory back to the system. The young generation grows while modules are parsed and would stay that large (20 MB
 * and more of an idle gateway's resident memory), and what a crowd has left stays until V8 allocates again.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Takes a third of a second: before listening only. */
export function releaseStartupMemory(): void {
  openCollector()()
}

/** @returns a function that collects all that is dead, and stops the process meanwhile: a tenth of a second and more */
export function openCollector(): () => void {
  setFlagsFromString('--expose-gc')
  // after the start of the process, the flag takes effect only in a new context
  const collect: unknown = runInNewContext('globalThis.gc')
  setFlagsFromString('--no-expose-gc')
  return () => {
    // an ordinary collection keeps the size of the young generation; the last-resort one shrinks it
    if (typeof collect === 'function')
      collect({ type: 'major', execution: 'sync', flavor: 'last-resort' })
  }
}
