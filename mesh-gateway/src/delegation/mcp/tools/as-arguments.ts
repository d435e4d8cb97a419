/** Errors about names and options that a model chose. */
import { ArgumentFault } from '@clawmesh/proto/tools'

/** @throws ArgumentFault for a TypeError of the SDK */
export function asArguments<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (error instanceof TypeError) throw new ArgumentFault(error.message)
    throw error
  }
}
