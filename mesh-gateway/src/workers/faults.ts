/** Faults as messages between processes. */
import { isErrorCode, MeshError } from '@clawmesh/proto'

export interface Fault {
  /** A code of the error table; null: a fault of the program, and the message is its stack. */
  readonly code: string | null
  readonly message: string
  readonly hint: string
}

export function toFault(error: unknown): Fault {
  if (error instanceof MeshError) {
    const { code, message, hint } = error
    return { code, message, hint }
  }
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return { code: null, message, hint: '' }
}

/** As it was thrown in the other process. @param otherwise the message of a fault that has no code */
export function fromFault({ code, message, hint }: Fault, otherwise: string): Error {
  if (code !== null && isErrorCode(code)) return new MeshError(code, message, { hint })
  const error = new Error(otherwise)
  if (message !== '') error.stack = message
  return error
}
