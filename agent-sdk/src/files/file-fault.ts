/** Why a file was not read: a fault of the system by its name (`ENOENT`), or one of the three below. */

/** Not a regular file, larger than allowed, or the disk has not answered in time. */
export type FileFaultCode = 'NOT_A_FILE' | 'TOO_LARGE' | 'NO_ANSWER'

export class FileFault extends Error {
  readonly code: FileFaultCode

  constructor(code: FileFaultCode, message: string) {
    super(message)
    this.name = 'FileFault'
    this.code = code
  }
}

/** A few words for a message, e.g. `cannot read FILE (not a regular file)`: the sentence of a FileFault, else the name that the system gives. */
export function describeFileFault(error: unknown): string {
  if (error instanceof FileFault) return error.message
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
}

/**
 * What to change when the system denies access to a file, as the options of a MeshError; empty for other faults. As in
 * containers, where the user is a number and the owner of a mounted directory another one.
 */
export function accessHint(error: unknown): { readonly hint?: string } {
  const code = error instanceof Error && 'code' in error ? error.code : null
  if (code === 'EROFS')
    return { hint: 'the file system is read-only: mount a volume there, or name another directory' }
  if (code !== 'EACCES' && code !== 'EPERM') return {}
  const user = process.geteuid?.() ?? 'of this process'
  return {
    hint: `user ${user} has no access to it: give that user the directory and what is in it (chown -R ${user} DIRECTORY)`,
  }
}

/** Whether the disk did not answer, whatever the error says that was made of it. */
export function isUnanswered(error: unknown): boolean {
  if (error instanceof FileFault) return error.code === 'NO_ANSWER'
  return error instanceof Error && error.cause !== undefined && isUnanswered(error.cause)
}
