/**
 * The names in the subject alternative name extension of a certificate (RFC 5280, section 4.2.1.6), read from its DER.
 * Node's `subjectaltname` string is never parsed: it is made for eyes, and has been forged before (CVE-2021-44532).
 */
import { MeshError } from '@clawmesh/proto'
import { DER_TAG, DerError, expectDer, readDer, readDerList } from './der.ts'

export interface SubjectAltNames {
  readonly uris: readonly string[]
  /** Lower case; may begin with `*.`. */
  readonly dnsNames: readonly string[]
}

const EXTENSIONS = 0xa3
const DNS_NAME = 0x82
const URI = 0x86
/** 2.5.29.17 */
const SUBJECT_ALT_NAME = Buffer.from([0x55, 0x1d, 0x11])
const DNS_FORM =
  /^(?:\*\.)?(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$/

/** @param certificate DER. @throws MeshError MESH_IDENTITY_MALFORMED */
export function readSubjectAltNames(certificate: Uint8Array): SubjectAltNames {
  try {
    const extension = findExtension(certificate, SUBJECT_ALT_NAME)
    if (extension === null) return { uris: [], dnsNames: [] }
    return readNames(extension)
  } catch (cause) {
    if (!(cause instanceof DerError)) throw cause
    throw new MeshError(
      'MESH_IDENTITY_MALFORMED',
      'the names in the certificate are not properly encoded',
      { cause },
    )
  }
}

/** What an extension holds. @param id the content of its OBJECT IDENTIFIER. @throws DerError */
export function findExtension(certificate: Uint8Array, id: Buffer): Uint8Array | null {
  const [body] = readDerList(expectDer(readDer(certificate), DER_TAG.SEQUENCE))
  const fields = readDerList(expectDer(body, DER_TAG.SEQUENCE))
  const holders = fields.filter((field) => field.tag === EXTENSIONS)
  if (holders.length === 0) return null
  if (holders.length > 1) throw new DerError('extensions occur twice')
  const list = expectDer(readDer(expectDer(holders[0], EXTENSIONS)), DER_TAG.SEQUENCE)
  let found: Uint8Array | null = null
  for (const entry of readDerList(list)) {
    const parts = readDerList(expectDer(entry, DER_TAG.SEQUENCE))
    if (!id.equals(expectDer(parts[0], DER_TAG.OID))) continue
    // a second one would let two readers see two people
    if (found !== null) throw new DerError('the extension occurs twice')
    if (parts.length === 3) expectDer(parts[1], DER_TAG.BOOLEAN)
    else if (parts.length !== 2) throw new DerError('an extension has two or three parts')
    found = expectDer(parts.at(-1), DER_TAG.OCTET_STRING)
  }
  return found
}

function readNames(extension: Uint8Array): SubjectAltNames {
  const names = readDerList(expectDer(readDer(extension), DER_TAG.SEQUENCE))
  if (names.length === 0) throw new DerError('the extension is empty')
  const uris: string[] = []
  const dnsNames: string[] = []
  for (const { tag, content } of names) {
    if (tag === URI) uris.push(visibleAscii(content))
    if (tag === DNS_NAME) dnsNames.push(dnsName(content))
  }
  return { uris, dnsNames }
}

function dnsName(content: Uint8Array): string {
  const name = visibleAscii(content).toLowerCase()
  if (name.length > 253 || !DNS_FORM.test(name)) throw new DerError('not a DNS name')
  return name
}

/** An IA5String without blanks, control characters or NUL. */
function visibleAscii(content: Uint8Array): string {
  if (content.length === 0 || content.length > 2048) throw new DerError('a name is empty or long')
  if (content.some((byte) => byte < 0x21 || byte > 0x7e))
    throw new DerError('a name has a character that is not visible ASCII')
  return Buffer.from(content).toString('latin1')
}
