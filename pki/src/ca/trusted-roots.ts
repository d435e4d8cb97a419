/**
 * Further roots that a CA includes in ca.crt besides its own, while one CA replaces another: every certificate that it
 * issues then comes with both.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MeshError } from '@clawmesh/proto'
import { fileFault, hasErrorCode } from '../disk/file-fault.ts'
import { readBounded } from '../disk/read-bounded.ts'
import { replaceFile } from '../disk/replace-file.ts'
import { MAX_PEM_BYTES } from '../identity/read-identity.ts'
import { type ParsedCertificate, parseCertificates } from '../x509/parse-certificate.ts'
import { withCaLock } from './ca-lock.ts'
import { loadCa } from './load-ca.ts'

export interface TrustChange {
  /** The directory of the CA. */
  readonly dir: string
  /** PEM file of roots to include. */
  readonly add?: string
  /** PEM file of roots to remove. */
  readonly remove?: string
}

export const ALSO_TRUSTED_FILE = 'also-trusted.crt'

/** All roots that the CA hands out, its own first. @throws MeshError MESH_PKI_NOT_FOUND, MESH_PKI_INVALID */
export async function readTrust(dir: string): Promise<readonly ParsedCertificate[]> {
  const ca = await loadCa(dir)
  return [ca.root, ...(await readAlsoTrusted(ca.dir))]
}

/** Returns all roots after the change. @throws MeshError MESH_PKI_NOT_FOUND, MESH_PKI_INVALID, MESH_DISK_WRITE */
export async function changeTrust(change: TrustChange): Promise<readonly ParsedCertificate[]> {
  const { dir, root } = await loadCa(change.dir)
  const added = change.add === undefined ? [] : await readRoots(change.add)
  const removed = change.remove === undefined ? [] : await readRoots(change.remove)
  if (removed.some(({ der }) => der.equals(root.der)))
    throw new MeshError('MESH_PKI_INVALID', 'a CA always hands out its own root', {
      hint: 'issue from the CA that takes its place: --dir',
    })
  return withCaLock(dir, async () => {
    const has = (among: readonly ParsedCertificate[], one: ParsedCertificate) =>
      among.some(({ der }) => der.equals(one.der))
    const before = await readAlsoTrusted(dir)
    const missing = removed.find((one) => !has(before, one))
    if (missing !== undefined)
      throw new MeshError('MESH_PKI_NOT_FOUND', `the CA does not hand out ${missing.fingerprint}`, {
        hint: '`mesh-pki trust` lists the roots that it hands out',
      })
    const kept = before.filter((one) => !has(removed, one))
    const next = [...kept, ...added.filter((one) => !has(kept, one) && !one.der.equals(root.der))]
    await replaceFile(join(dir, ALSO_TRUSTED_FILE), next.map(({ pem }) => pem).join(''), 0o600)
    return [root, ...next]
  })
}

async function readAlsoTrusted(dir: string): Promise<readonly ParsedCertificate[]> {
  const path = join(dir, ALSO_TRUSTED_FILE)
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (hasErrorCode(error, 'ENOENT')) return ''
    throw fileFault('MESH_PKI_INVALID', path, error)
  })
  return text.trim() === '' ? [] : parseCertificates(text)
}

/** Gateways and agents accept only such certificates in their ca.crt. */
async function readRoots(path: string): Promise<readonly ParsedCertificate[]> {
  const roots = parseCertificates(await readBounded(path, MAX_PEM_BYTES, 'MESH_PKI_INVALID'))
  for (const root of roots) {
    const isRoot = root.isCa && root.issuer.equals(root.subject) && root.x509.verify(root.publicKey)
    if (!isRoot)
      throw new MeshError('MESH_PKI_INVALID', `${path} holds a certificate that is not a root`, {
        hint: 'name the root.crt of a CA: intermediates belong into tls.crt',
      })
  }
  return roots
}
