/**
 * Releases memory that loading the program has used: the young generation grows while modules are parsed and would stay
 * that large (20 MB and more of an idle gateway's resident memory). Takes a third of a second: before listening only.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

export function releaseStartupMemory(): void {
  setFlagsFromString('--expose-gc')
  // after the start of the process, the flag takes effect only in a new context
  const collect: unknown = runInNewContext('globalThis.gc')
  setFlagsFromString('--no-expose-gc')
  // an ordinary collection keeps the size of the young generation; the last-resort one shrinks it
  if (typeof collect === 'function')
    collect({ type: 'major', execution: 'sync', flavor: 'last-resort' })
}
