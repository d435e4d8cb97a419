/** GeneralName (RFC 5280, section 4.2.1.6): the names in a SAN, and the ranges in name constraints. */
import type { DerValue } from '../der/read.ts'

export interface GeneralNames {
  readonly uris: readonly string[]
  readonly dnsNames: readonly string[]
  /** Addresses, or address and mask in constraints. */
  readonly ipAddresses: readonly Buffer[]
  /** Kinds of the other names, e.g. `email`. */
  readonly others: readonly string[]
}

const KINDS: Readonly<Record<number, string>> = Object.freeze({
  160: 'other name',
  129: 'email',
  163: 'X.400 address',
  164: 'directory name',
  165: 'EDI party name',
  136: 'registered id',
})

export function readGeneralNames(values: readonly DerValue[]): GeneralNames {
  const texts = (tag: number) =>
    values.filter((value) => value.tag === tag).map(({ content }) => content.toString('latin1'))
  return {
    uris: texts(0x86),
    dnsNames: texts(0x82),
    ipAddresses: values.filter(({ tag }) => tag === 0x87).map(({ content }) => content),
    others: values
      .filter(({ tag }) => tag !== 0x86 && tag !== 0x82 && tag !== 0x87)
      .map(({ tag }) => KINDS[tag] ?? 'unknown name'),
  }
}
