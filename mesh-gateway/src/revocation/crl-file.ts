/**
 * Revocation lists of CAs from one file: PEM with any number of lists and, beside them, the certificates of the CAs that
 * signed them; or one list in DER. Every list is verified, or the file is not taken.
 */
import { X509Certificate } from 'node:crypto'
import {
  type Crl,
  type IdentitySnapshot,
  MAX_CRL_BYTES,
  parseCrl,
  type VerifiedCrl,
  verifyCrl,
} from '@clawmesh/agent-sdk'
import { MeshError } from '@clawmesh/proto'

/** By the key that signed them. */
export type CrlSet = ReadonlyMap<string, VerifiedCrl>

/** Base64 with its line ends takes 1.4 times as much. */
export const MAX_CRL_FILE_BYTES = Math.ceil(MAX_CRL_BYTES * 1.4)

const BLOCK = /-----BEGIN (X509 CRL|CERTIFICATE)-----([A-Za-z0-9+/=\s]*)-----END \1-----/g
const MAX_CERTIFICATES = 8
const MAX_LISTS = 16

/**
 * @param inUse a list that is older than that in use, of the same CA, is refused
 * @throws MeshError MESH_REVOCATION_INVALID
 */
export function readCrls(
  bytes: Buffer,
  identity: Pick<IdentitySnapshot, 'roots' | 'certificateChain'>,
  inUse: CrlSet,
): CrlSet {
  const { crls, certificates } = isDer(bytes)
    ? { crls: [parseCrl(bytes)], certificates: [] }
    : readPem(bytes.toString('latin1'))
  // the CA that issued the gateway's own certificate is known anyway
  const own = readPem(identity.certificateChain).certificates
  const set = new Map<string, VerifiedCrl>()
  for (const crl of crls) {
    const verified = verifyCrl(crl, [...certificates, ...own], identity.roots)
    const { issuerKey } = verified
    const before = inUse.get(issuerKey)
    if (before !== undefined && before.thisUpdate > verified.thisUpdate)
      throw invalid(
        `it is of ${verified.thisUpdate.toISOString()}, older than that in use, of ${before.thisUpdate.toISOString()}`,
      )
    if (set.has(issuerKey)) throw invalid('two lists are of the same CA')
    set.set(issuerKey, verified)
  }
  return set
}

function isDer(bytes: Buffer): boolean {
  return bytes[0] === 0x30
}

function readPem(text: string): { crls: Crl[]; certificates: X509Certificate[] } {
  const crls: Crl[] = []
  const certificates: X509Certificate[] = []
  let blocks = 0
  for (const [, label, body = ''] of text.matchAll(BLOCK)) {
    blocks += 1
    const der = Buffer.from(body, 'base64')
    if (label === 'X509 CRL') crls.push(parseCrl(der))
    else certificates.push(toCertificate(der))
    if (crls.length > MAX_LISTS || certificates.length > MAX_CERTIFICATES)
      throw invalid(`more than ${MAX_LISTS} lists or ${MAX_CERTIFICATES} certificates`)
  }
  // a block that is cut short must not pass for a comment
  if (blocks !== text.split('-----BEGIN ').length - 1)
    throw invalid('it holds a PEM block that is damaged or neither a list nor a certificate')
  if (blocks === 0 || (crls.length === 0 && certificates.length === 0))
    throw invalid('it holds no list')
  return { crls, certificates }
}

function toCertificate(der: Buffer): X509Certificate {
  try {
    return new X509Certificate(der)
  } catch (cause) {
    throw new MeshError('MESH_REVOCATION_INVALID', 'it holds a certificate that is damaged', {
      cause,
    })
  }
}

function invalid(message: string): MeshError {
  return new MeshError('MESH_REVOCATION_INVALID', `the file of revocation lists: ${message}`)
}
