/**
 * PEM files of certificates (RFC 7468), block by block. OpenSSL takes garbage for an empty bundle and says nothing;
 * here every block must be a whole certificate, and a file without one is refused.
 */
import { X509Certificate } from 'node:crypto'
import { MeshError } from '@clawmesh/proto'
import { dangerousCurve } from '../tls/key-curve.ts'

const BEGIN = /^-----BEGIN ([A-Z0-9 ]+)-----$/
/** Dashes of two bytes each, in either order. */
const UTF16 = /-\0-\0|\0-\0-/
const BASE64_LINE = /^[A-Za-z0-9+/]+={0,2}$/

/**
 * The certificates of a PEM text, at least one and at most `max`. Text between blocks is a comment.
 * @param file the name for the error
 * @throws MeshError MESH_IDENTITY_INVALID
 */
export function parseCertificates(text: string, file: string, max: number): X509Certificate[] {
  const certificates: X509Certificate[] = []
  const bad = (what: string, cause?: unknown) =>
    new MeshError('MESH_IDENTITY_INVALID', `${file}: ${what}`, { cause })
  let open: string[] | null = null
  if (UTF16.test(text))
    throw bad('is UTF-16 text, as PowerShell writes it: save it as ASCII or UTF-8')
  for (const raw of text.split('\n')) {
    // of files that were put together each may have brought a mark
    const line = withoutByteOrderMark(raw).trim()
    if (open === null) {
      if (!line.includes('-----BEGIN') && !line.includes('-----END')) continue
      const label = BEGIN.exec(line)?.[1]
      if (label !== 'CERTIFICATE') throw bad('holds a PEM block that is not a certificate')
      open = []
    } else if (line === '-----END CERTIFICATE-----') {
      if (certificates.length >= max) throw bad(`holds more than ${max} certificates`)
      certificates.push(parseBlock(open, bad))
      open = null
    } else if (line !== '') {
      if (!BASE64_LINE.test(line)) throw bad('holds a damaged PEM block')
      open.push(line)
    }
  }
  if (open !== null) throw bad('ends within a PEM block, as if half written')
  if (certificates.length === 0) throw bad('holds no certificate')
  return certificates
}

/** Without the mark that editors of Windows put before UTF-8, read as UTF-8 or as Latin-1. OpenSSL skips the block after it. */
export function withoutByteOrderMark(text: string): string {
  return text.replace(/^(?:\uFEFF|\u00EF\u00BB\u00BF)+/, '')
}

function parseBlock(
  lines: readonly string[],
  bad: (what: string, cause?: unknown) => MeshError,
): X509Certificate {
  const der = Buffer.from(lines.join(''), 'base64')
  let certificate: X509Certificate
  try {
    certificate = new X509Certificate(der)
  } catch (cause) {
    throw bad('holds a PEM block that is not a certificate', cause)
  }
  if (!certificate.raw.equals(der)) throw bad('holds a certificate with bytes after it')
  const curve = curveOf(certificate, bad)
  if (curve !== null)
    throw bad(`holds a certificate with a key on the curve ${curve}; take P-256, P-384 or P-521`)
  return certificate
}

function curveOf(
  certificate: X509Certificate,
  bad: (what: string, cause?: unknown) => MeshError,
): string | null {
  try {
    return dangerousCurve(certificate)
  } catch (cause) {
    throw bad('holds a certificate with a key that cannot be read', cause)
  }
}
