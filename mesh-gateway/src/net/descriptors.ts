/** Tells a machine that has no file descriptor left from a network, a name or a peer that is at fault. */
import { closeSync, openSync } from 'node:fs'
import { devNull } from 'node:os'
import { codeOf } from '../process/error-code.ts'

/** True of an error that says that this process, or this machine, can open nothing more. */
export function saysNoDescriptors(error: unknown): boolean {
  const code = codeOf(error)
  return code === 'EMFILE' || code === 'ENFILE'
}

/**
 * For errors that do not say it: c-ares and the C library answer that a server refused, or that a name is not there. Opens a file,
 * and closes it; to be asked when something has failed, not before.
 */
export function hasDescriptors(): boolean {
  try {
    closeSync(openSync(devNull, 'r'))
    return true
  } catch (error) {
    return !saysNoDescriptors(error)
  }
}
