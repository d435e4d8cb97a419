/**
 * Opens a CA to issue. Everything is proven to fit before the first certificate: manifest, fingerprints, the
 * signature of the root, key and certificate. Only the intermediate's key is opened; the root's may be elsewhere.
 */
import { resolve } from 'node:path'
import { MeshError, type Secret } from '@clawmesh/proto'
import { type SignOptions, signCsr } from '../csr/sign-csr.ts'
import { recordIssued } from '../revocation/issued-records.ts'
import { type CrlRequest, type IssuedCrl, makeCrl } from '../revocation/make-crl.ts'
import type { RevocationReason } from '../revocation/reasons.ts'
import { type Revocation, type RevocationTarget, revokeCertificates } from '../revocation/revoke.ts'
import { keyIdOf } from '../x509/certificate.ts'
import { type ParsedCertificate, parseCertificates } from '../x509/parse-certificate.ts'
import { type CaFileName, readCaFile, readManifest } from './ca-files.ts'
import { type CaInfo, caInfo } from './ca-info.ts'
import { decryptPrivateKey } from './encrypted-key.ts'
import {
  type AgentRequest,
  type GatewayRequest,
  type Issued,
  type IssuedCertificate,
  type IssuingCa,
  issueIdentity,
} from './issue.ts'
import { isIntermediateFor } from './make-intermediate.ts'
import { agentNames, gatewayNames } from './names.ts'

export interface OpenCaOptions {
  readonly dir: string
  readonly passphrase: Secret
  /** The clock, in milliseconds since the epoch. Default Date.now. */
  readonly now?: () => number
}

/** A CA that is open: it holds the key of the intermediate in memory. */
export interface Ca {
  readonly info: CaInfo
  /** @throws MeshError MESH_PKI_NAME_REFUSED, MESH_PKI_INVALID when the intermediate has expired. */
  issueAgent(request: AgentRequest): Issued
  /** @throws as issueAgent. */
  issueGateway(request: GatewayRequest): Issued
  /** Takes the public key of a request, and no name but those of the policy. @throws MeshError MESH_PKI_CSR_REFUSED, and as issueAgent. */
  sign(options: SignOptions): IssuedCertificate
  /** The list of what has been revoked, as of now. @throws MeshError MESH_PKI_INVALID, MESH_DISK_WRITE. */
  crl(request?: CrlRequest): Promise<IssuedCrl>
}

export interface RevokeOptions {
  /** Of the CA. */
  readonly dir: string
  readonly target: RevocationTarget
  /** Default `unspecified`. */
  readonly reason?: RevocationReason
  /** The clock, in milliseconds since the epoch. Default Date.now. */
  readonly now?: () => number
}

/**
 * Writes down that certificates are revoked; the next list says so. Needs no passphrase.
 * @throws MeshError MESH_PKI_NOT_FOUND, MESH_PKI_INVALID, MESH_DISK_WRITE.
 */
export async function revoke(options: RevokeOptions): Promise<Revocation> {
  const { target, reason = 'unspecified', now = Date.now } = options
  return revokeCertificates(await loadCertificates(options.dir), target, reason, now())
}

/** What of a CA can be read without its passphrase. @throws MeshError MESH_PKI_NOT_FOUND, MESH_PKI_INVALID. */
export async function readCaInfo(dir: string): Promise<CaInfo> {
  return caInfo(await loadCertificates(dir))
}

/** @throws MeshError MESH_PKI_NOT_FOUND, MESH_PKI_INVALID, MESH_PKI_PASSPHRASE. */
export async function openCa(options: OpenCaOptions): Promise<Ca> {
  const { now = Date.now } = options
  const loaded = await loadCertificates(options.dir)
  const name = 'intermediate.key'
  const pem = await readCaFile(loaded.dir, name)
  const privateKey = decryptPrivateKey(pem, options.passphrase, name)
  if (!loaded.intermediate.x509.checkPrivateKey(privateKey)) throw torn(loaded.dir, name)
  const ca: IssuingCa = {
    record: (issued) => recordIssued(loaded.dir, issued, now()),
    trustDomain: loaded.trustDomain,
    meshDomain: loaded.meshDomain,
    certificate: loaded.intermediate,
    roots: loaded.root.pem,
    issuer: {
      name: loaded.intermediate.subject,
      keyId: loaded.intermediate.subjectKeyId ?? keyIdOf(loaded.intermediate.publicKey),
      privateKey,
    },
  }
  return Object.freeze({
    info: caInfo(loaded),
    issueAgent: (request: AgentRequest) =>
      issueIdentity(ca, agentNames(ca, request), request, now()),
    issueGateway: (request: GatewayRequest) =>
      issueIdentity(ca, gatewayNames(ca, request), request, now()),
    sign: (request: SignOptions) => signCsr(ca, request, now()),
    crl: (request: CrlRequest = {}) => makeCrl({ ...ca, dir: loaded.dir }, request, now()),
  })
}

interface LoadedCa {
  readonly dir: string
  readonly trustDomain: string
  readonly meshDomain: string
  readonly root: ParsedCertificate
  readonly intermediate: ParsedCertificate
}

async function loadCertificates(path: string): Promise<LoadedCa> {
  const dir = resolve(path)
  const { trustDomain, meshDomain, ...fingerprints } = await readManifest(dir)
  const load = async (name: CaFileName, fingerprint: string) => {
    const [certificate, ...more] = parseCertificates(await readCaFile(dir, name))
    if (certificate?.fingerprint !== fingerprint || more.length > 0) throw torn(dir, name)
    return certificate
  }
  const root = await load('root.crt', fingerprints.root)
  const intermediate = await load('intermediate.crt', fingerprints.intermediate)
  const fits =
    isIntermediateFor(intermediate, { trustDomain, meshDomain }) &&
    intermediate.issuer.equals(root.subject) &&
    intermediate.x509.verify(root.publicKey)
  if (!fits) throw torn(dir, 'intermediate.crt')
  return { dir, trustDomain, meshDomain, root, intermediate }
}

function torn(dir: string, name: CaFileName): MeshError {
  return new MeshError('MESH_PKI_INVALID', `${name} in ${dir} does not belong to the CA there`, {
    hint: 'restore the directory from its backup',
  })
}
