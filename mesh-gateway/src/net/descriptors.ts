/** Tells a lack of file descriptors on this machine from a fault of a network, a name or a peer. */
import { closeSync, openSync } from 'node:fs'
import { devNull } from 'node:os'
import { codeOf } from '../process/error-code.ts'

/** True for an error that says that this process, or this machine, can open no more files. */
export function saysNoDescriptors(error: unknown): boolean {
  const code = codeOf(error)
  return code === 'EMFILE' || code === 'ENFILE'
}

/**
 * For errors that hide it: c-ares and the C library report a refusing server, or a missing name. Opens and closes a
 * file; to be called after a failure only.
 */
export function hasDescriptors(): boolean {
  try {
    closeSync(openSync(devNull, 'r'))
    return true
  } catch (error) {
    return !saysNoDescriptors(error)
  }
}
