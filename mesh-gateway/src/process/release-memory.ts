/**
 * Gives back what loading the program has used: the young generation grows while modules are parsed and would stay
 * that large (20 MB and more of an idle gateway's resident memory). Takes a third of a second: before listening only.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

export function releaseStartupMemory(): void {
  setFlagsFromString('--expose-gc')
  // a fresh context is the one place where the flag shows after the start of the process
  const collect: unknown = runInNewContext('globalThis.gc')
  setFlagsFromString('--no-expose-gc')
  // an ordinary collection keeps the young generation as it is; the last resort shrinks it
  if (typeof collect === 'function')
    collect({ type: 'major', execution: 'sync', flavor: 'last-resort' })
}
