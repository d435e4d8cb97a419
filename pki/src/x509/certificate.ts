/** Encodes certificates, signed by node:crypto. Knows nothing about the mesh's names and lifetimes. */
import { createHash, type KeyObject, randomBytes } from 'node:crypto'
import { OID } from '../der/oids.ts'
import { itemsOf, readBitBytes, readDer, TAG } from '../der/read.ts'
import { bitString, integer, oid, sequence, setOf, tagged, time, utf8 } from '../der/write.ts'
import { authorityKeyId, subjectKeyId } from './extensions.ts'
import { type SigningKey, signWith } from './signing-key.ts'

export interface Issuer {
  /** The encoded subject of the issuing certificate. */
  readonly name: Buffer
  readonly keyId: Buffer
  /** ECDSA P-256. */
  readonly privateKey: SigningKey
}

export interface CertificateContent {
  /** The encoded subject: see distinguishedName. */
  readonly subject: Buffer
  readonly publicKey: KeyObject
  readonly notBefore: Date
  readonly notAfter: Date
  /** Encoded, without the key identifiers, which are added. */
  readonly extensions: readonly Buffer[]
}

/** DER of a certificate signed by `issuer`. */
export function signCertificate(content: CertificateContent, issuer: Issuer): Buffer {
  const algorithm = sequence(oid(OID.ecdsaWithSha256))
  const spki = content.publicKey.export({ type: 'spki', format: 'der' })
  const extensions = [
    ...content.extensions,
    subjectKeyId(keyIdOf(content.publicKey)),
    authorityKeyId(issuer.keyId),
  ]
  const body = sequence(
    tagged(0, integer(2)),
    integer(randomSerial()),
    algorithm,
    issuer.name,
    sequence(time(content.notBefore), time(content.notAfter)),
    content.subject,
    spki,
    tagged(3, sequence(...extensions)),
  )
  return sequence(body, algorithm, bitString(signWith(issuer.privateKey, body)))
}

export interface NamePart {
  readonly type: 'commonName' | 'organization'
  readonly value: string
}

/** An encoded name; parts longer than X.520 allows (64) are omitted, since verifiers treat them differently. */
export function distinguishedName(parts: readonly NamePart[]): Buffer {
  const fitting = parts.filter(({ value }) => value.length > 0 && value.length <= 64)
  return sequence(...fitting.map(({ type, value }) => setOf(sequence(oid(OID[type]), utf8(value)))))
}

/** RFC 7093 section 2, method 1: 160 bits of SHA-256 of the key bits. */
export function keyIdOf(publicKey: KeyObject): Buffer {
  const spki = publicKey.export({ type: 'spki', format: 'der' })
  const [, keyBits] = itemsOf(readDer(spki), TAG.sequence)
  return createHash('sha256').update(readBitBytes(keyBits)).digest().subarray(0, 20)
}

/** 16 random bytes, positive and always of the same length. */
function randomSerial(): Buffer {
  const serial = randomBytes(16)
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40
  return serial
}
