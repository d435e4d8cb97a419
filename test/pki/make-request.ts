/** Certificate requests (PKCS #10) as somebody makes them by hand, with nothing of ours. */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { toPem } from '../../pki/src/der/pem.ts'
import {
  bitString,
  integer,
  octetString,
  oid,
  sequence,
  setOf,
  tagged,
  taggedBytes,
  utf8,
} from '../../pki/src/der/write.ts'

export interface KeyPair {
  readonly publicKey: KeyObject
  readonly privateKey: KeyObject
}

export interface RequestOptions {
  /** Subject alternative names, encoded. Default none. */
  readonly names?: readonly Buffer[]
  readonly commonNames?: readonly string[]
  /** Further extensions that are asked for, encoded. */
  readonly extensions?: readonly Buffer[]
  /** Default: a new pair on P-256. */
  readonly keys?: KeyPair
  /** What stands in the request in place of what was signed. */
  readonly spoil?: (der: Buffer) => Buffer
  /** Of the signature. Default ecdsa-with-SHA256. */
  readonly algorithm?: string
}

/** PEM. */
export function makeRequest({
  names = [],
  commonNames = [],
  extensions = [],
  keys = generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  spoil = (der) => der,
  algorithm = '1.2.840.10045.4.3.2',
}: RequestOptions = {}): string {
  const san = sequence(oid('2.5.29.17'), octetString(sequence(...names)))
  const wanted = [...(names.length > 0 ? [san] : []), ...extensions]
  const attribute = sequence(oid('1.2.840.113549.1.9.14'), setOf(sequence(...wanted)))
  const info = sequence(
    integer(0),
    sequence(...commonNames.map((name) => setOf(sequence(oid('2.5.4.3'), utf8(name))))),
    keys.publicKey.export({ type: 'spki', format: 'der' }),
    tagged(0, ...(wanted.length > 0 ? [attribute] : [])),
  )
  const hash = keys.publicKey.asymmetricKeyType?.startsWith('ed') ? null : 'sha256'
  const signature = sign(hash, info, keys.privateKey)
  const der = sequence(spoil(info), sequence(oid(algorithm)), bitString(signature))
  return toPem('CERTIFICATE REQUEST', der)
}

/** A name for `names`. */
export function dnsName(name: string): Buffer {
  return taggedBytes(2, Buffer.from(name, 'latin1'))
}

/** A name for `names`. */
export function uriName(name: string): Buffer {
  return taggedBytes(6, Buffer.from(name, 'latin1'))
}
