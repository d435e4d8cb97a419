/** What grpc-message says of an error. */
import type { MeshError } from './mesh-error.ts'

/** Longer messages meet header limits on their way. */
const MESSAGE_LENGTH = 1_024

/**
 * What grpc-message says, for tools that show nothing else: code, message and hint in one line.
 * Programs match on the code in the details.
 */
export function statusMessage(error: MeshError): string {
  const line = `${error.code}: ${error.publicMessage} (${error.hint})`.toWellFormed()
  // cut between characters: a lone surrogate throws uncaught inside grpc-js
  return line.length <= MESSAGE_LENGTH ? line : line.slice(0, MESSAGE_LENGTH).toWellFormed()
}
