/** Decides whether an identity would be accepted, with every reason against it. */
import { createPrivateKey, type KeyObject } from 'node:crypto'
import { MeshError } from '@clawmesh/proto'
import { parsePem, withoutByteOrderMark } from '../der/pem.ts'
import { readPemFiles } from '../identity/read-identity.ts'
import { type ParsedCertificate, parseCertificates } from '../x509/parse-certificate.ts'
import { type Check, checkChain, judged } from './check-chain.ts'
import { refusedByHandshake } from './handshake.ts'

export interface VerifyOptions {
  /** An identity directory, or a PEM file with the leaf first. */
  readonly path: string
  /** PEM file of the trusted roots. Default: ca.crt of the directory. */
  readonly caFile?: string
  /**
   * The clock, in milliseconds since the epoch. Default Date.now; with another one no handshake is made, since OpenSSL
   * uses the system clock.
   */
  readonly now?: () => number
}

export interface Verification {
  readonly ok: boolean
  /** Its one URI SAN; null when it has none, or several. */
  readonly spiffeId: string | null
  readonly notAfter: Date
  readonly checks: readonly Check[]
}

/** @throws MeshError MESH_PKI_INVALID when there is nothing to judge. */
export async function verifyPath(options: VerifyOptions): Promise<Verification> {
  const files = await readPemFiles(options.path)
  if (files.kind === 'ca')
    throw new MeshError('MESH_PKI_INVALID', `${options.path} is the directory of a CA`, {
      hint: 'name the directory of an agent or gateway, or one certificate file',
    })
  const trusted =
    options.caFile === undefined ? files.roots : (await readPemFiles(options.caFile)).certificates
  if (trusted === null)
    throw new MeshError('MESH_PKI_INVALID', 'there is nothing to verify it against', {
      hint: 'name the roots: --ca FILE',
    })
  const chain = parseCertificates(files.certificates, options.path)
  const roots = parseCertificates(trusted, options.caFile ?? `ca.crt of ${options.path}`)
  const [leaf] = chain
  if (leaf === undefined) throw new MeshError('MESH_PKI_INVALID')
  const strays = [files.certificates, trusted].flatMap(strayBlocks)
  const checks = [...checkChain(chain, roots, (options.now ?? Date.now)(), strays)]
  if (files.kind === 'identity') {
    const key = readKey(files.key)
    checks.push(keyCheck(leaf, key))
    // OpenSSL would only repeat a fault that is already found
    if (typeof key !== 'string' && options.now === undefined && checks.every(({ ok }) => ok))
      checks.push(await handshakeCheck(chain, key, roots, leaf.fingerprint))
  }
  const [uri = null, ...more] = leaf.names.uris
  return {
    ok: checks.every(({ ok }) => ok),
    spiffeId: more.length === 0 ? uri : null,
    notAfter: leaf.notAfter,
    checks,
  }
}

/** Gateways and agents load only files of certificates alone. */
function strayBlocks(pem: string): string[] {
  const strays = parsePem(pem).filter(({ label }) => label !== 'CERTIFICATE')
  return strays.map(({ label }) => `beside certificates there is a block ${label} in the file`)
}

function keyCheck(leaf: ParsedCertificate, key: KeyObject | string): Check {
  const detail = 'tls.key is the key of the certificate'
  if (typeof key === 'string') return judged('key', [key], detail)
  const fits = leaf.x509.checkPrivateKey(key)
  return judged('key', fits ? [] : ['tls.key is not the key of the certificate'], detail)
}

async function handshakeCheck(
  chain: readonly ParsedCertificate[],
  privateKey: KeyObject,
  roots: readonly ParsedCertificate[],
  fingerprint: string,
): Promise<Check> {
  const refusal = await refusedByHandshake({
    certificateChain: chain.map(({ pem }) => pem).join(''),
    privateKey,
    roots: roots.map(({ pem }) => pem),
    fingerprint,
  })
  const faults = refusal === null ? [] : [`it is refused in a TLS handshake: ${refusal}`]
  return judged('handshake', faults, 'accepted in a TLS 1.3 handshake, both ways')
}

/** The key, or why there is none. */
function readKey(pem: string | null): KeyObject | string {
  if (pem === null) return 'tls.key is missing'
  try {
    if (parsePem(pem).some(({ label }) => label === 'ENCRYPTED PRIVATE KEY'))
      return 'tls.key is encrypted'
    return createPrivateKey(withoutByteOrderMark(pem))
  } catch {
    // the message of OpenSSL says less, and could quote the file
    return 'tls.key is not a private key'
  }
}
