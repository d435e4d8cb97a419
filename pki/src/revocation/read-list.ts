/** Reads what a revocation list says, without judging its signature: lists of this CA, to compare with its records. */
import { parsePem } from '../der/pem.ts'
import { type DerValue, itemsOf, readDer, TAG } from '../der/read.ts'
import { canonicalSerial } from './serial.ts'

export interface ListContents {
  /** Lower-case hexadecimal. */
  readonly serials: readonly string[]
  /** The CRL number; 0 for a list without one. Beyond 2^53 it is near the one in the list, or Infinity. */
  readonly number: number
}

/** crlNumber, RFC 5280, section 5.2.3: 2.5.29.20. */
const CRL_NUMBER = Buffer.from([0x55, 0x1d, 0x14])

/** The lists in a PEM file; other blocks in it are passed over. @throws MeshError MESH_PKI_INVALID */
export function listsIn(pem: string): readonly ListContents[] {
  return parsePem(pem).flatMap(({ label, der }) => (label === 'X509 CRL' ? [readList(der)] : []))
}

/** @param der of a list of version 2. @throws MeshError MESH_PKI_INVALID */
export function readList(der: Buffer): ListContents {
  const [body] = itemsOf(readDer(der), TAG.sequence)
  // version, algorithm, issuer, two times; then the entries, if any, and the extensions
  const rest = itemsOf(body, TAG.sequence).slice(5)
  const entries = rest.find(({ tag }) => tag === TAG.sequence)
  const extensions = rest.find(({ tag }) => tag === 0xa0)
  return {
    serials: entries === undefined ? [] : itemsOf(entries, TAG.sequence).map(serialOf),
    number: extensions === undefined ? 0 : numberIn(extensions),
  }
}

function serialOf(entry: DerValue): string {
  const [serial] = itemsOf(entry, TAG.sequence)
  return canonicalSerial((serial?.content ?? Buffer.alloc(1)).toString('hex'))
}

function numberIn(wrapped: DerValue): number {
  const [list] = itemsOf(wrapped, 0xa0)
  for (const extension of itemsOf(list, TAG.sequence)) {
    const [id, value] = itemsOf(extension, TAG.sequence)
    if (id?.content.equals(CRL_NUMBER) !== true || value === undefined) continue
    const digits = readDer(value.content).content.toString('hex')
    return digits === '' ? 0 : Number.parseInt(digits, 16)
  }
  return 0
}
