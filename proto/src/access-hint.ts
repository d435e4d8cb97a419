/** Advice for a file that the system does not let this user have. */
import { dirname } from 'node:path'
import { errorCode } from './error-code.ts'

/**
 * What to change when the system denies access to a file, as the options of a MeshError; empty for other faults. As in
 * containers, where the user is a number and the owner of a mounted directory another one.
 */
export function accessHint(error: unknown): { readonly hint?: string } {
  const code = errorCode(error)
  if (code === 'EROFS')
    return { hint: 'the file system is read-only: mount a volume there, or name another directory' }
  if (code !== 'EACCES' && code !== 'EPERM') return {}
  const user = process.geteuid?.() ?? 'of this process'
  return {
    hint: `user ${user} has no access to it: give that user the directory and what is in it (chown -R ${user} DIRECTORY)`,
  }
}

/** The same for a file that cannot be made: its directory may be missing. */
export function writeHint(path: string, error: unknown): { readonly hint?: string } {
  return errorCode(error) === 'ENOENT'
    ? { hint: `there is no directory ${dirname(path)}: make it, or name another one` }
    : accessHint(error)
}
