/**
 * Renews the intermediate of a CA, with its key or a new one. Certificates of the previous intermediate stay valid
 * until they or it expire, since they include it. Atomic, under the lock; needs the key of the root.
 */
import { MeshError, type Secret } from '@clawmesh/proto'
import { toPem } from '../der/pem.ts'
import { readRevoked } from '../revocation/revoked-records.ts'
import { canonicalSerial } from '../revocation/serial.ts'
import { issuerIdOf, listIssuer } from '../revocation/sign-list.ts'
import type { NamesPermitted } from '../x509/extensions.ts'
import { type ParsedCertificate, parseCertificate } from '../x509/parse-certificate.ts'
import { keyFits, type SigningKey } from '../x509/signing-key.ts'
import {
  finishRenewal,
  keepFormer,
  type RenewedFile,
  readCaFile,
  readManifest,
  renewCaFiles,
} from './ca-files.ts'
import { type CaInfo, caInfo } from './ca-info.ts'
import { openIntermediateKey, openRootKey } from './ca-keys.ts'
import { withCaLock } from './ca-lock.ts'
import { BACKDATE_MS, checkDomain, DEFAULT_INTERMEDIATE_DAYS, lifeMs, toRange } from './ca-terms.ts'
import { type LoadedCa, loadCa, stagedIntermediate } from './load-ca.ts'
import { makeIntermediate, newIssuer } from './make-intermediate.ts'
import { newKey as makeKey, tokenOf } from './new-key.ts'
import { renewRootList } from './root-list.ts'

export interface RenewIntermediateOptions {
  /** The directory of the CA. */
  readonly dir: string
  /** Of the keys of the CA. */
  readonly passphrase: Secret
  /** Key file of the root. Default: root.key of the CA. */
  readonly rootKeyFile?: string
  /** True gives the intermediate a new key, and with it a new name. Default false. */
  readonly newKey?: boolean
  /** Life of the new intermediate, in days; never longer than the root. Default 365. */
  readonly days?: number
  /** DNS domains allowed in certificates in addition to those of the previous intermediate. Default: none. */
  readonly permitDnsDomains?: readonly string[]
  /**
   * IP ranges allowed in certificates in addition to those of the previous intermediate, in CIDR notation. Default:
   * none.
   */
  readonly permitIpRanges?: readonly string[]
  /** Gives the new intermediate a URI name constraint, see `initCa`. Default: as before. */
  readonly constrainUris?: boolean
  /** PBKDF2 iterations for a new key, see `initCa`. Default 600,000. */
  readonly keyIterations?: number
  /** The clock, in milliseconds since the epoch. Default Date.now. */
  readonly now?: () => number
}

/**
 * @throws MeshError MESH_PKI_NOT_FOUND, MESH_PKI_INVALID, MESH_PKI_PASSPHRASE, MESH_DISK_WRITE; TypeError for unusable
 *   options.
 */
export async function renewIntermediate(options: RenewIntermediateOptions): Promise<CaInfo> {
  // a missing CA is reported before a lock file is created beside it
  const { dir } = await loadCa(options.dir)
  return withCaLock(dir, async () => renew(await loadCa(dir), options))
}

async function renew(before: LoadedCa, options: RenewIntermediateOptions): Promise<CaInfo> {
  const { dir, trustDomain, root } = before
  const { passphrase, newKey = false } = options
  const nowMs = (options.now ?? Date.now)()
  const { notBefore, notAfter } = validity(root, options, nowMs)
  const permitted = permittedBy(before, options)
  const rootKey = await openRootKey(before, options.rootKeyFile, passphrase)
  if (rootKey === null)
    throw new MeshError(
      'MESH_PKI_INVALID',
      `the key of the root is not in ${dir}, or has another passphrase`,
      {
        hint: 'name it: --root-key FILE; it has the passphrase of the CA',
      },
    )
  const oldKey = await openIntermediateKey(before, passphrase)
  if (!newKey) await mustNotBeRevoked(before)
  await finishRenewal(
    dir,
    (await stagedIntermediate(dir, before.intermediate.fingerprint)) !== null,
  )
  const { keyIterations } = options
  const token = tokenOf(await readCaFile(dir, 'intermediate.key'))
  const keys = newKey ? await makeKey('intermediate', { token, passphrase, keyIterations }) : null
  const subject =
    keys === null ? before.intermediate.subject : newIssuer('intermediate', trustDomain, keys).name
  const publicKey = keys?.publicKey ?? before.intermediate.publicKey
  const content = { subject, publicKey, notBefore, notAfter, permitted }
  const der = makeIntermediate(content, listIssuer(root, rootKey))
  const intermediate = parseCertificate(der)
  const after = { ...before, intermediate }
  await renewRootList(after, rootKey, nowMs)
  if (keys !== null) await keepAsFormer(before)
  const files: Partial<Record<RenewedFile, string>> = {
    'intermediate.crt': toPem('CERTIFICATE', der),
    ...(keys === null ? {} : { 'intermediate.key': keys.file }),
  }
  provesToFit(intermediate, keys?.privateKey ?? oldKey)
  const manifest = await readManifest(dir)
  await renewCaFiles(dir, files, { ...manifest, intermediate: intermediate.fingerprint })
  return caInfo(after)
}

function validity(root: ParsedCertificate, { days }: RenewIntermediateOptions, nowMs: number) {
  const life = lifeMs('days', days ?? DEFAULT_INTERMEDIATE_DAYS)
  const rootBegins = root.notBefore.getTime()
  const rootEnds = root.notAfter.getTime()
  if (nowMs < rootBegins || nowMs >= rootEnds)
    throw new MeshError(
      'MESH_PKI_INVALID',
      `the root of the CA is good from ${root.notBefore.toISOString()} to ${root.notAfter.toISOString()} only`,
      {
        hint: 'check the clock of this machine; if it is right, make a new CA and roll over to its root',
      },
    )
  return {
    notBefore: new Date(Math.max(nowMs - BACKDATE_MS, rootBegins)),
    notAfter: new Date(Math.min(nowMs + life, rootEnds)),
  }
}

function permittedBy(
  { intermediate, trustDomain }: LoadedCa,
  options: RenewIntermediateOptions,
): NamesPermitted {
  const { permitDnsDomains = [], permitIpRanges = [], constrainUris } = options
  for (const domain of permitDnsDomains) checkDomain('permitDnsDomains', domain)
  const before = intermediate.nameConstraints?.permitted
  const constrains = constrainUris ?? (before?.uris.length ?? 0) > 0
  const ranges = [...(before?.ipAddresses ?? []), ...permitIpRanges.map(toRange)]
  return {
    dnsDomains: [...new Set([...(before?.dnsNames ?? []), ...permitDnsDomains])],
    uriHost: constrains ? trustDomain : null,
    ipRanges: ranges.filter((one, at) => ranges.findIndex((other) => other.equals(one)) === at),
  }
}

/** A renewal with the same key would give the holder of a revoked key a valid intermediate. */
async function mustNotBeRevoked({ dir, intermediate }: LoadedCa): Promise<void> {
  const serial = canonicalSerial(intermediate.x509.serialNumber)
  if (!(await readRevoked(dir)).has(serial)) return
  throw new MeshError('MESH_PKI_INVALID', 'the intermediate is revoked, and its key with it', {
    hint: 'renew it with a new key: mesh-pki renew intermediate --new-key',
  })
}

async function keepAsFormer({ dir, intermediate }: LoadedCa): Promise<void> {
  const key = await readCaFile(dir, 'intermediate.key')
  await keepFormer(dir, issuerIdOf(intermediate), { certificate: intermediate.pem, key })
}

/** Only an intermediate that can be opened again replaces the old one. */
function provesToFit(intermediate: ParsedCertificate, key: SigningKey): void {
  if (keyFits(intermediate, key)) return
  throw new MeshError('MESH_PKI_INVALID', 'the new intermediate does not fit its key')
}
