/**
 * Reads an untrusted certificate signing request (PKCS #10, RFC 2986): checks its form, its signature by its own key
 * and the kind of key, and lists the names that it requests. Only the key is used.
 */
import { createPublicKey, type KeyObject, verify } from 'node:crypto'
import { MeshError } from '@clawmesh/proto'
import { OID } from '../der/oids.ts'
import { parsePem } from '../der/pem.ts'
import {
  type DerValue,
  expect,
  itemsOf,
  readBitBytes,
  readBits,
  readBoolean,
  readDer,
  readOid,
  readSmallInteger,
  TAG,
} from '../der/read.ts'
import { type GeneralNames, readGeneralNames } from './general-names.ts'
import { type Extension, readExtensionList } from './parse-certificate.ts'
import { describeKey, normalKey } from './public-key.ts'

export interface Csr {
  /** The key, in the encoding of node:crypto. */
  readonly publicKey: KeyObject
  /** E.g. `EC P-256`. */
  readonly keyType: string
  readonly commonNames: readonly string[]
  readonly names: GeneralNames
  /** True when it requests to be a CA. */
  readonly wantsCa: boolean
}

/** A request with an RSA-4096 key and a dozen names is below 4 KiB. */
export const MAX_CSR_BYTES = 16_384

/** @throws MeshError MESH_PKI_CSR_REFUSED. */
export function readCsr(pem: string): Csr {
  if (pem.length > MAX_CSR_BYTES) throw refused(`it is larger than ${MAX_CSR_BYTES} bytes`)
  try {
    return parse(theRequest(pem))
  } catch (cause) {
    if (!(cause instanceof MeshError) || cause.code === 'MESH_PKI_CSR_REFUSED') throw cause
    throw refused(cause.message, cause)
  }
}

function theRequest(pem: string): Buffer {
  const blocks = parsePem(pem)
  if (blocks.some(({ label }) => label.includes('PRIVATE KEY')))
    throw new MeshError('MESH_PKI_CSR_REFUSED', 'there is a private key in the file', {
      hint: 'a private key never leaves its owner: send the request alone, and make a new key',
    })
  const [block, ...more] = blocks
  const known = block?.label === 'CERTIFICATE REQUEST' || block?.label === 'NEW CERTIFICATE REQUEST'
  if (block === undefined || !known || more.length > 0)
    throw refused('the file is not one certificate request in PEM')
  return block.der
}

function parse(der: Buffer): Csr {
  const [info, algorithm, signature] = itemsOf(readDer(der), TAG.sequence)
  const [, subject, spki, attributes] = itemsOf(info, TAG.sequence)
  const publicKey = acceptableKey(expect(spki, TAG.sequence).raw)
  const signed = expect(info, TAG.sequence).raw
  const [scheme] = itemsOf(algorithm, TAG.sequence)
  if (!signatureFits(readOid(scheme), signed, publicKey, readBitBytes(signature)))
    throw refused('its signature is not by the key in it')
  const extensions = requestedExtensions(attributes)
  const find = (id: string) => extensions.filter((each) => each.id === id)
  return {
    publicKey,
    keyType: describeKey(publicKey),
    commonNames: readCommonNames(expect(subject, TAG.sequence)),
    names: readGeneralNames(
      find(OID.subjectAltName).flatMap(({ value }) => itemsOf(value, TAG.sequence)),
    ),
    wantsCa:
      find(OID.basicConstraints).some(({ value }) => asksForCa(value)) ||
      find(OID.keyUsage).some(({ value }) => ((readBits(value)[0] ?? 0) & 0x06) !== 0),
  }
}

function acceptableKey(spki: Buffer): KeyObject {
  let key: KeyObject
  try {
    key = createPublicKey({ key: spki, type: 'spki', format: 'der' })
  } catch (cause) {
    throw refused('its public key cannot be read', cause)
  }
  const normal = normalKey(key)
  if (normal === null)
    throw new MeshError('MESH_PKI_CSR_REFUSED', `its key is ${describeKey(key)}`, {
      hint: 'use EC P-256 or P-384, Ed25519, or RSA of 2048 to 4096 bits with exponent 65537',
    })
  return normal
}

const HASHES: Readonly<Record<string, readonly [type: string, hash: string | null]>> = {
  [OID.ecdsaWithSha256]: ['ec', 'sha256'],
  [OID.ecdsaWithSha384]: ['ec', 'sha384'],
  [OID.ecdsaWithSha512]: ['ec', 'sha512'],
  [OID.rsaWithSha256]: ['rsa', 'sha256'],
  [OID.rsaWithSha384]: ['rsa', 'sha384'],
  [OID.rsaWithSha512]: ['rsa', 'sha512'],
  [OID.ed25519]: ['ed25519', null],
}

function signatureFits(scheme: string, signed: Buffer, key: KeyObject, signature: Buffer): boolean {
  const [type, hash = null] = HASHES[scheme] ?? []
  if (type === undefined || type !== key.asymmetricKeyType)
    throw refused('it is signed in a way that is not accepted: use SHA-256 or better')
  return verify(hash, signed, key, signature)
}

function requestedExtensions(attributes: DerValue | undefined): readonly Extension[] {
  if (attributes === undefined) return []
  return itemsOf(attributes, 0xa0).flatMap((attribute) => {
    const [type, values] = itemsOf(attribute, TAG.sequence)
    if (readOid(type) !== OID.extensionRequest) return []
    return itemsOf(values, TAG.set).flatMap(readExtensionList)
  })
}

function readCommonNames(subject: DerValue): readonly string[] {
  return itemsOf(subject, TAG.sequence)
    .flatMap((set) => itemsOf(set, TAG.set))
    .map((part) => itemsOf(part, TAG.sequence))
    .filter(([type]) => readOid(type) === OID.commonName)
    .map(([, value]) => value?.content.toString('latin1') ?? '')
}

function asksForCa(value: DerValue): boolean {
  const [ca, pathLength] = itemsOf(value, TAG.sequence)
  if (pathLength !== undefined) readSmallInteger(pathLength)
  return ca !== undefined && readBoolean(ca)
}

function refused(message: string, cause?: unknown): MeshError {
  return new MeshError('MESH_PKI_CSR_REFUSED', message, { cause })
}
