/**
 * Reads certificate revocation lists (CRLs) of CAs from one file: PEM with any number of lists, and optionally the
 * certificates of the CAs that signed them; or one list in DER. A file with a list that does not verify is refused.
 */
import { X509Certificate } from 'node:crypto'
import {
  anchorOf,
  type Crl,
  createCrlVerifier,
  type IdentitySnapshot,
  MAX_CRL_BYTES,
  parseCrl,
  type VerifiedCrl,
} from '@clawmesh/agent-sdk/mesh'
import { MeshError } from '@clawmesh/proto'

/** By the key that signed them. */
export type CrlSet = ReadonlyMap<string, VerifiedCrl>

/** Base64 with its line ends takes 1.4 times as much. */
export const MAX_CRL_FILE_BYTES = Math.ceil(MAX_CRL_BYTES * 1.4)

const BLOCK = /-----BEGIN (X509 CRL|CERTIFICATE)-----([A-Za-z0-9+/=\s]*)-----END \1-----/g
/** A list and a certificate for each CA of a mesh, old ones included; each costs a signature check or two. */
const MAX_CERTIFICATES = 64
const MAX_LISTS = 64
/** How far the clock of a CA may be ahead of this one. */
const MAX_SKEW_MS = 5 * 60_000

/** The thisUpdate of a list is in the future. The list may be valid later. */
export class EarlyCrlError extends MeshError {
  /** When to look at it again, milliseconds since the epoch. */
  readonly fromMs: number

  constructor(thisUpdate: Date) {
    const message = `the file of revocation lists: a list is of ${thisUpdate.toISOString()}, which lies ahead`
    super('MESH_REVOCATION_INVALID', message, {
      hint: 'check the clocks of the CA and of this machine; the list is read again when its time has come',
    })
    this.fromMs = thisUpdate.getTime() - MAX_SKEW_MS
  }
}

/**
 * The lists of a file, each verified and none from the future.
 * @param inUse a list of the same CA that is older than the one in use is refused, and so is a file without it
 * @param nowMs milliseconds since the epoch
 * @throws MeshError MESH_REVOCATION_INVALID; EarlyCrlError
 */
export function readCrls(
  bytes: Buffer,
  identity: Pick<IdentitySnapshot, 'roots' | 'certificateChain'>,
  inUse: CrlSet,
  nowMs: number = Date.now(),
): CrlSet {
  const { crls, certificates } = isDer(bytes)
    ? { crls: [parseCrl(bytes)], certificates: [] }
    : readPem(bytes.toString('latin1'))
  // the certificates of CAs alone would revoke nothing, which nobody names a file for
  if (crls.length === 0) throw invalid('it holds no list')
  // the gateway's own certificate chain gives the CA that issued it
  const own = readPem(identity.certificateChain).certificates
  const verify = createCrlVerifier([...certificates, ...own], identity.roots)
  const set = new Map<string, VerifiedCrl>()
  for (const crl of crls) {
    if (crl.thisUpdate.getTime() > nowMs + MAX_SKEW_MS) throw new EarlyCrlError(crl.thisUpdate)
    const verified = verify(crl)
    const { issuerKey } = verified
    const before = inUse.get(issuerKey)
    if (before !== undefined) checkNotOlder(verified, before, nowMs)
    if (set.has(issuerKey))
      throw invalid(
        'two lists are of the same CA; lists about parts of its certificates are not taken',
      )
    set.set(issuerKey, verified)
  }
  checkNoneMissing(set, inUse, identity, nowMs)
  return set
}

/**
 * Numbers only grow, and lists of different times have different numbers (RFC 5280, section 5.2.3): the number decides
 * which list is newer, the time when a list has no number or both have the same.
 * @throws MeshError MESH_REVOCATION_INVALID
 */
function checkNotOlder(next: VerifiedCrl, before: VerifiedCrl, nowMs: number): void {
  // a wrong clock has admitted it, so its time says nothing about the order
  if (before.thisUpdate.getTime() > nowMs + MAX_SKEW_MS) return
  const grown = numberOf(next) - numberOf(before)
  if (next.number !== null && before.number !== null && grown > 0n) return
  const of = ({ number, thisUpdate }: VerifiedCrl) =>
    `${number === null ? '' : `number ${BigInt(`0x${number}`)} of `}${thisUpdate.toISOString()}`
  if (next.number !== null && before.number !== null && grown < 0n)
    throw invalid(
      `it is ${of(next)}, older than that in use, ${of(before)}`,
      next.thisUpdate > before.thisUpdate
        ? 'its time is later but its number went back, as when a CA is restored from a backup: have the CA go on from the higher number'
        : undefined,
    )
  if (next.thisUpdate < before.thisUpdate)
    throw invalid(`it is ${of(next)}, older than that in use, ${of(before)}`)
}

function numberOf({ number }: VerifiedCrl): bigint {
  return number === null ? 0n : BigInt(`0x${number}`)
}

/** A missing list would admit what it revokes, unless its CA is no longer trusted or has expired. */
function checkNoneMissing(
  set: CrlSet,
  inUse: CrlSet,
  identity: Pick<IdentitySnapshot, 'roots'>,
  nowMs: number,
): void {
  for (const [issuerKey, { anchor, issuerNotAfter }] of inUse) {
    if (set.has(issuerKey) || issuerNotAfter.getTime() < nowMs) continue
    if (!identity.roots.some((root) => anchorOf(root) === anchor)) continue
    throw invalid(
      'the list of a CA is missing that is in use',
      'put the lists of all CAs into the file; a gateway that starts anew takes what there is',
    )
  }
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
    if (crls.length > MAX_LISTS) throw invalid(`it holds more than ${MAX_LISTS} lists`)
    if (certificates.length > MAX_CERTIFICATES)
      throw invalid(
        `it holds more than ${MAX_CERTIFICATES} certificates`,
        'beside the lists it needs the certificates of the CAs that signed them, and no others',
      )
  }
  // a truncated block must not pass for a comment
  if (blocks !== text.split('-----BEGIN ').length - 1)
    throw invalid('it holds a PEM block that is damaged or neither a list nor a certificate')
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

function invalid(message: string, hint?: string): MeshError {
  return new MeshError(
    'MESH_REVOCATION_INVALID',
    `the file of revocation lists: ${message}`,
    hint === undefined ? {} : { hint },
  )
}
