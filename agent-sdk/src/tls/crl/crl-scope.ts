/**
 * Which certificates a revocation list is about, by its extensions: all of its CA's, or why not. A list about some of
 * them would pardon the others.
 */
import { DER_TAG, DerError, expectDer, readDer, readDerList } from '../der.ts'

/** 2.5.29.n, by n. */
const DELTA_CRL_INDICATOR = 27
const ISSUING_DISTRIBUTION_POINT = 28

/** The parts of IssuingDistributionPoint (RFC 5280, section 5.2.5), by tag. */
const DISTRIBUTION_POINT = 0xa0
const ONLY_SOME_REASONS = 0x83
const FLAGS: ReadonlyMap<number, string> = new Map([
  [0x81, 'is about certificates of users only (onlyContainsUserCerts)'],
  [0x82, 'is about certificates of CAs only (onlyContainsCACerts)'],
  [0x84, 'is about certificates of several CAs (indirectCRL)'],
  [0x85, 'is about attribute certificates only (onlyContainsAttributeCerts)'],
])

/**
 * What a list lacks of being the whole list of its CA, to be read after "a list"; null when it is whole. A delta list
 * (RFC 5280, section 5.2.4) is none, critical or not. A distribution point alone says where the list comes from, as
 * step-ca has it: the list is about all certificates that name it.
 * @param extensions by n of 2.5.29.n
 * @throws DerError
 */
export function scopeFault(extensions: ReadonlyMap<number, Uint8Array>): string | null {
  if (extensions.has(DELTA_CRL_INDICATOR))
    return 'is a delta list (deltaCRLIndicator): it has the changes to another list only'
  const point = extensions.get(ISSUING_DISTRIBUTION_POINT)
  if (point === undefined) return null
  const seen = new Set<number>()
  for (const { tag, content } of readDerList(expectDer(readDer(point), DER_TAG.SEQUENCE))) {
    if (seen.has(tag)) throw new DerError('a part of its distribution point occurs twice')
    seen.add(tag)
    if (tag === DISTRIBUTION_POINT) continue
    if (tag === ONLY_SOME_REASONS) return 'is about some reasons only (onlySomeReasons)'
    const words = FLAGS.get(tag)
    if (words === undefined || content.length !== 1)
      throw new DerError('its distribution point has a part that is not known')
    if (content[0] !== 0) return words
  }
  return null
}
