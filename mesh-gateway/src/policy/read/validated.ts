/**
 * Used by both halves of the compiler: lists in steps, and values of a document that has been through readPolicyFile.
 */
import type { Steps } from '../../process/in-slices.ts'

/** Entries of a list between two pauses. */
export const STRIDE = 16

/** Limits of a document, each optional. */
export type Partly<T> = { readonly [K in keyof T]?: number | undefined }

export function* mapInSteps<From, To>(
  list: readonly From[],
  make: (item: From, index: number) => To,
): Steps<To[]> {
  const made: To[] = []
  for (const [index, item] of list.entries()) {
    made.push(make(item, index))
    if (index % STRIDE === STRIDE - 1) yield
  }
  return made
}

/** @throws TypeError when the document has not been through readPolicyFile */
export function validated<T>(parsed: T | string): T {
  if (typeof parsed === 'string')
    throw new TypeError(`a document that was not validated: ${parsed}`)
  return parsed
}
