/** Encodes certificate revocation lists, version 2 (RFC 5280, section 5), signed by node:crypto. */
import { OID } from '../der/oids.ts'
import {
  bitString,
  enumerated,
  integer,
  octetString,
  oid,
  sequence,
  tagged,
  time,
} from '../der/write.ts'
import type { Issuer } from './certificate.ts'
import { authorityKeyId } from './extensions.ts'
import { signWith } from './signing-key.ts'

export interface CrlEntry {
  /** Hexadecimal. */
  readonly serial: string
  readonly revoked: Date
  /** By RFC 5280, section 5.3.1; 0 is omitted, as it requires. */
  readonly reasonCode: number
}

export interface CrlContent {
  /** Grows with each list. */
  readonly number: number
  readonly thisUpdate: Date
  readonly nextUpdate: Date
  readonly entries: readonly CrlEntry[]
}

/** DER of a list signed by `issuer`. */
export function signCrl(content: CrlContent, issuer: Issuer): Buffer {
  const algorithm = sequence(oid(OID.ecdsaWithSha256))
  const entries = content.entries.map(encodeEntry)
  const extensions = [
    authorityKeyId(issuer.keyId),
    sequence(oid(OID.crlNumber), octetString(integer(unsigned(content.number.toString(16))))),
  ]
  const body = sequence(
    integer(1),
    algorithm,
    issuer.name,
    time(content.thisUpdate),
    time(content.nextUpdate),
    // a list without entries omits the field (section 5.1.2.6)
    ...(entries.length === 0 ? [] : [sequence(...entries)]),
    tagged(0, sequence(...extensions)),
  )
  return sequence(body, algorithm, bitString(signWith(issuer.privateKey, body)))
}

function encodeEntry({ serial, revoked, reasonCode }: CrlEntry): Buffer {
  const reason = sequence(oid(OID.reasonCode), octetString(enumerated(reasonCode)))
  return sequence(
    integer(unsigned(serial)),
    time(revoked),
    ...(reasonCode === 0 ? [] : [sequence(reason)]),
  )
}

/** Big-endian bytes of a non-negative number, as few as DER allows. */
function unsigned(hex: string): Buffer {
  const even = hex.length % 2 === 0 ? hex : `0${hex}`
  const bytes = Buffer.from(even, 'hex')
  let start = 0
  while (start < bytes.length - 1 && bytes[start] === 0) start += 1
  const short = bytes.subarray(start)
  return (short[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.from([0]), short]) : short
}
