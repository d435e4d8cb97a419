/** Shows the content of a file or directory as facts. Judges nothing: see verify-path. */
import { createPrivateKey } from 'node:crypto'
import { MeshError } from '@clawmesh/proto'
import { parsePem, withoutByteOrderMark } from '../der/pem.ts'
import { readPemFiles } from '../identity/read-identity.ts'
import { formatIp } from '../x509/ip-range.ts'
import { type ParsedCertificate, parseCertificates } from '../x509/parse-certificate.ts'
import { describeKey } from '../x509/public-key.ts'
import { readCsr } from '../x509/read-csr.ts'
import { formatName } from './words.ts'

export interface CertificateFacts {
  readonly subject: string
  readonly issuer: string
  /** Its one URI, when there is exactly one and it is a SPIFFE ID. */
  readonly spiffeId: string | null
  readonly uris: readonly string[]
  readonly dnsNames: readonly string[]
  readonly ipAddresses: readonly string[]
  readonly notBefore: Date
  readonly notAfter: Date
  readonly state: 'valid' | 'expired' | 'not-yet-valid'
  /** Milliseconds until it expires; negative after that. */
  readonly remainingMs: number
  /** Hexadecimal. */
  readonly serial: string
  /** SHA-256, lower-case hexadecimal. */
  readonly fingerprint: string
  /** E.g. `EC P-256`. */
  readonly keyType: string
  readonly isCa: boolean
  readonly pathLength: number | null
  /** Names permitted below it, e.g. `DNS mesh.internal`; null without constraints. */
  readonly permits: readonly string[] | null
}

export interface KeyFacts {
  /** Null when it is encrypted. */
  readonly keyType: string | null
  readonly encrypted: boolean
  /** True for the key of the first certificate; null when unknown. */
  readonly matchesCertificate: boolean | null
}

export interface RequestFacts {
  readonly keyType: string
  readonly commonNames: readonly string[]
  readonly uris: readonly string[]
  readonly dnsNames: readonly string[]
  readonly ipAddresses: readonly string[]
}

export interface Inspection {
  readonly kind: 'identity' | 'ca' | 'certificate' | 'request' | 'key'
  /** The leaf first. */
  readonly certificates: readonly CertificateFacts[]
  readonly key: KeyFacts | null
  readonly roots: readonly CertificateFacts[]
  readonly request: RequestFacts | null
}

/** @throws MeshError MESH_PKI_INVALID when it contains nothing known; MESH_PKI_CSR_REFUSED for a bad request. */
export async function inspectPath(path: string, nowMs: number = Date.now()): Promise<Inspection> {
  const files = await readPemFiles(path)
  const labels = parsePem(files.certificates).map(({ label }) => label)
  const nothing = { certificates: [], key: null, roots: [], request: null }
  if (labels.some((label) => label.endsWith('CERTIFICATE REQUEST')))
    return { ...nothing, kind: 'request', request: requestFacts(files.certificates) }
  if (!labels.includes('CERTIFICATE') && labels.some((label) => label.endsWith('PRIVATE KEY')))
    return { ...nothing, kind: 'key', key: keyFacts(files.certificates, null) }
  if (!labels.includes('CERTIFICATE'))
    throw new MeshError('MESH_PKI_INVALID', `${path}: there is nothing known in it`, {
      hint: 'it must hold certificates, a request or a key in PEM',
    })
  const certificates = parseCertificates(files.certificates)
  const roots = files.roots === null ? [] : parseCertificates(files.roots)
  return {
    kind: files.kind === 'file' ? 'certificate' : files.kind,
    certificates: certificates.map((each) => certificateFacts(each, nowMs)),
    key: files.key === null ? null : keyFacts(files.key, certificates[0] ?? null),
    roots: roots.map((each) => certificateFacts(each, nowMs)),
    request: null,
  }
}

function certificateFacts(certificate: ParsedCertificate, nowMs: number): CertificateFacts {
  const { names, notBefore, notAfter, nameConstraints } = certificate
  const [uri = ''] = names.uris
  const remainingMs = notAfter.getTime() - nowMs
  return {
    subject: formatName(certificate.x509.subject),
    issuer: formatName(certificate.x509.issuer),
    spiffeId: names.uris.length === 1 && uri.startsWith('spiffe://') ? formatName(uri) : null,
    uris: names.uris.map(formatName),
    dnsNames: names.dnsNames.map(formatName),
    ipAddresses: names.ipAddresses.map(formatIp),
    notBefore,
    notAfter,
    state: remainingMs < 0 ? 'expired' : nowMs < notBefore.getTime() ? 'not-yet-valid' : 'valid',
    remainingMs,
    serial: certificate.x509.serialNumber.toLowerCase(),
    fingerprint: certificate.fingerprint,
    keyType: describeKey(certificate.publicKey),
    isCa: certificate.isCa,
    pathLength: certificate.pathLength,
    permits:
      nameConstraints === null
        ? null
        : [
            ...nameConstraints.permitted.dnsNames.map((domain) => `DNS ${formatName(domain)}`),
            ...nameConstraints.permitted.uris.map((host) => `URI ${formatName(host)}`),
            ...nameConstraints.permitted.ipAddresses.map((range) => `IP ${formatIpRange(range)}`),
          ],
  }
}

function formatIpRange(range: Buffer): string {
  const middle = range.length / 2
  return `${formatIp(range.subarray(0, middle))}/${formatIp(range.subarray(middle))}`
}

function keyFacts(pem: string, certificate: ParsedCertificate | null): KeyFacts {
  if (parsePem(pem).some(({ label }) => label === 'ENCRYPTED PRIVATE KEY'))
    return { keyType: null, encrypted: true, matchesCertificate: null }
  try {
    const key = createPrivateKey(withoutByteOrderMark(pem))
    const matchesCertificate = certificate?.x509.checkPrivateKey(key) ?? null
    return { keyType: describeKey(key), encrypted: false, matchesCertificate }
  } catch {
    // the message of OpenSSL says less, and could quote the file
    throw new MeshError('MESH_PKI_INVALID', 'the private key cannot be read')
  }
}

function requestFacts(pem: string): RequestFacts {
  const { keyType, commonNames, names } = readCsr(pem)
  return {
    keyType,
    commonNames: commonNames.map(formatName),
    uris: names.uris.map(formatName),
    dnsNames: names.dnsNames.map(formatName),
    ipAddresses: names.ipAddresses.map(formatIp),
  }
}
