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

/** Whether the disk did not answer, whatever the error says that was made of it. */
export function isUnanswered(error: unknown): boolean {
  if (error instanceof FileFault) return error.code === 'NO_ANSWER'
  return error instanceof Error && error.cause !== undefined && isUnanswered(error.cause)
}
