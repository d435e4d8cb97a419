/** The X.509 v3 extensions that the CA writes (RFC 5280, section 4.2). */

import { OID } from '../der/oids.ts'
import {
  bitString,
  boolean,
  integer,
  octetString,
  oid,
  sequence,
  tagged,
  taggedBytes,
} from '../der/write.ts'
import type { IpRange } from './ip-range.ts'
import { ANY_IP } from './ip-range.ts'

export interface NamesPermitted {
  /** DNS names at or below one of these. */
  readonly dnsDomains: readonly string[]
  /**
   * URIs with this host. Null: URIs are not constrained, since rustls and Python's cryptography refuse CAs with such a
   * constraint.
   */
  readonly uriHost: string | null
  /** IP addresses; when empty, every iPAddress name is excluded. */
  readonly ipRanges: readonly IpRange[]
}

export interface AlternativeNames {
  readonly uris: readonly string[]
  readonly dnsNames: readonly string[]
  /** 4 or 16 bytes each. */
  readonly ipAddresses: readonly Buffer[]
}

/** A CA that may have `pathLength` further CAs below it. */
export function caConstraints(pathLength: number): Buffer {
  return extension(OID.basicConstraints, true, sequence(boolean(true), integer(pathLength)))
}

export function endEntityConstraints(): Buffer {
  return extension(OID.basicConstraints, true, sequence())
}

/** keyCertSign and cRLSign. */
export function caKeyUsage(): Buffer {
  return extension(OID.keyUsage, true, bitString(Buffer.from([0x06]), 1))
}

/** digitalSignature: all that TLS 1.3 needs. */
export function endEntityKeyUsage(): Buffer {
  return extension(OID.keyUsage, true, bitString(Buffer.from([0x80]), 7))
}

/** serverAuth and clientAuth. On a CA it limits the use of the certificates below it. */
export function tlsExtendedKeyUsage(): Buffer {
  return extension(OID.extKeyUsage, false, sequence(oid(OID.serverAuth), oid(OID.clientAuth)))
}

export function subjectKeyId(id: Buffer): Buffer {
  return extension(OID.subjectKeyIdentifier, false, octetString(id))
}

export function authorityKeyId(id: Buffer): Buffer {
  return extension(OID.authorityKeyIdentifier, false, sequence(taggedBytes(0, id)))
}

/** Names must be checked before: they are encoded as they are. */
export function subjectAltName(names: AlternativeNames): Buffer {
  return extension(
    OID.subjectAltName,
    false,
    sequence(
      ...names.uris.map((uri) => taggedBytes(6, ia5(uri))),
      ...names.dnsNames.map((name) => taggedBytes(2, ia5(name))),
      ...names.ipAddresses.map((address) => taggedBytes(7, address)),
    ),
  )
}

/** Critical. Kinds of names in neither list are unconstrained, so "no IP address" needs an exclusion. */
export function nameConstraints(permitted: NamesPermitted): Buffer {
  const subtrees = [
    ...permitted.dnsDomains.map((domain) => taggedBytes(2, ia5(domain))),
    ...(permitted.uriHost === null ? [] : [taggedBytes(6, ia5(permitted.uriHost))]),
    ...permitted.ipRanges.map((range) => taggedBytes(7, range)),
  ]
  const excluded = permitted.ipRanges.length > 0 ? [] : ANY_IP.map((range) => taggedBytes(7, range))
  const lists = [
    tagged(0, ...subtrees.map((base) => sequence(base))),
    ...(excluded.length > 0 ? [tagged(1, ...excluded.map((base) => sequence(base)))] : []),
  ]
  return extension(OID.nameConstraints, true, sequence(...lists))
}

function extension(id: string, critical: boolean, value: Buffer): Buffer {
  return sequence(oid(id), ...(critical ? [boolean(true)] : []), octetString(value))
}

function ia5(text: string): Buffer {
  if (!/^[\x21-\x7e]+$/.test(text)) throw new TypeError('a name is not printable ASCII')
  return Buffer.from(text, 'latin1')
}
