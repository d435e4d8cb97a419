/**
 * Opens a CA for issuing. Before the first certificate it proves that everything matches: manifest, fingerprints, the
 * signature of the root, key and certificate. Opens only the intermediate's key; the root's may be elsewhere.
 */
import type { Secret } from '@clawmesh/proto'
import { recordIssued } from '../revocation/issued-records.ts'
import type { RevocationReason } from '../revocation/reasons.ts'
import { readRevoked } from '../revocation/revoked-records.ts'
import { canonicalSerial } from '../revocation/serial.ts'
import { listIssuer } from '../revocation/sign-list.ts'
import { type CaInfo, caInfo } from './ca-info.ts'
import { openIntermediateKey, openKey, openRootKey } from './ca-keys.ts'
import { withCaLock } from './ca-lock.ts'
import {
  type AgentRequest,
  type GatewayRequest,
  type Issued,
  type IssuedCertificate,
  type IssuingCa,
  issueIdentity,
} from './issue.ts'
import { type LoadedCa, loadCa } from './load-ca.ts'
import { type CrlRequest, type IssuedCrl, makeCrl } from './make-crl.ts'
import { agentNames, gatewayNames } from './names.ts'
import { type Revocation, type RevocationTarget, revokeCertificates } from './revoke.ts'
import { type SignOptions, signCsr } from './sign-csr.ts'
import { readTrust } from './trusted-roots.ts'

export interface OpenCaOptions {
  readonly dir: string
  readonly passphrase: Secret
  /** The clock, in milliseconds since the epoch. Default Date.now. */
  readonly now?: () => number
}

/** An open CA: it holds the key of the intermediate in memory. */
export interface Ca {
  readonly info: CaInfo
  /** @throws MeshError MESH_PKI_NAME_REFUSED, MESH_PKI_INVALID when the intermediate has expired. */
  issueAgent(request: AgentRequest): Issued
  /** @throws as issueAgent. */
  issueGateway(request: GatewayRequest): Issued
  /**
   * Takes only the public key of a request, and the names of the policy. @throws MeshError MESH_PKI_CSR_REFUSED, and as
   * issueAgent.
   */
  sign(options: SignOptions): IssuedCertificate
  /** The current revocation lists. @throws MeshError MESH_PKI_INVALID, MESH_DISK_WRITE. */
  crl(request?: CrlRequest): Promise<IssuedCrl>
}

export interface RevokeOptions {
  /** The directory of the CA. */
  readonly dir: string
  readonly target: RevocationTarget
  /** Default `unspecified`. */
  readonly reason?: RevocationReason
  /** The clock, in milliseconds since the epoch. Default Date.now. */
  readonly now?: () => number
}

/**
 * Records certificates as revoked; the next list contains them. Needs no passphrase.
 * @throws MeshError MESH_PKI_NOT_FOUND, MESH_PKI_INVALID, MESH_DISK_WRITE.
 */
export async function revoke(options: RevokeOptions): Promise<Revocation> {
  const { target, reason = 'unspecified', now = Date.now } = options
  return revokeCertificates(await loadCa(options.dir), target, reason, now())
}

/** The facts of a CA that need no passphrase. @throws MeshError MESH_PKI_NOT_FOUND, MESH_PKI_INVALID. */
export async function readCaInfo(dir: string): Promise<CaInfo> {
  return caInfo(await loadCa(dir))
}

/** @throws MeshError MESH_PKI_NOT_FOUND, MESH_PKI_INVALID, MESH_PKI_PASSPHRASE. */
export async function openCa(options: OpenCaOptions): Promise<Ca> {
  const { now = Date.now } = options
  const { passphrase } = options
  const { loaded, privateKey } = await loadWithKey(options.dir, passphrase)
  const { dir } = loaded
  const ca: IssuingCa = {
    record: (issued) => recordIssued(dir, issued, now()),
    trustDomain: loaded.trustDomain,
    meshDomain: loaded.meshDomain,
    certificate: loaded.intermediate,
    roots: (await readTrust(dir)).map(({ pem }) => pem).join(''),
    ownKeys: [
      loaded.root,
      loaded.intermediate,
      ...loaded.former.map(({ certificate }) => certificate),
    ].map(({ publicKey }) => publicKey),
    isRevoked: await isRevoked(loaded),
    issuer: listIssuer(loaded.intermediate, privateKey),
  }
  return Object.freeze({
    info: caInfo(loaded),
    issueAgent: (request: AgentRequest) =>
      issueIdentity(ca, agentNames(ca, request), request, now()),
    issueGateway: (request: GatewayRequest) =>
      issueIdentity(ca, gatewayNames(ca, request), request, now()),
    sign: (request: SignOptions) => signCsr(ca, request, now()),
    crl: (request: CrlRequest = {}) =>
      withCaLock(dir, async () => {
        const openFormer = (file: string) => openKey(dir, file, passphrase)
        const openRoot = (file: string | undefined) => openRootKey(loaded, file, passphrase)
        return makeCrl({ loaded, privateKey, openFormer, openRoot }, request, now())
      }),
  })
}

async function loadWithKey(path: string, passphrase: Secret) {
  for (let loaded = await loadCa(path); ; ) {
    try {
      return { loaded, privateKey: await openIntermediateKey(loaded, passphrase) }
    } catch (error) {
      // a renewal may have happened in between
      const next = await loadCa(path)
      if (next.intermediate.fingerprint === loaded.intermediate.fingerprint) throw error
      loaded = next
    }
  }
}

async function isRevoked({ dir, intermediate }: LoadedCa): Promise<boolean> {
  const serial = canonicalSerial(intermediate.x509.serialNumber)
  return readRevoked(dir).then(
    (records) => records.has(serial),
    // the command that makes lists reports lost records; issuing needs none
    () => false,
  )
}
