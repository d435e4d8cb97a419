/**
 * The revocation list of the root: the revoked intermediates. Verifiers that check the whole path need a list for each
 * CA in it (`openssl verify -crl_check_all`, Envoy, nginx, HAProxy). root.key signs it and is usually kept elsewhere,
 * so the list is a file, valid as long as the intermediate: at its renewal, the key is available.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parsePem, toPem } from '../der/pem.ts'
import { fileFault, hasErrorCode } from '../disk/file-fault.ts'
import { replaceFile } from '../disk/replace-file.ts'
import { readList } from '../revocation/read-list.ts'
import { type RevokedRecord, readRevoked } from '../revocation/revoked-records.ts'
import {
  isListed,
  issuerIdOf,
  listIssuer,
  nextListNumber,
  signList,
} from '../revocation/sign-list.ts'
import type { Issuer } from '../x509/certificate.ts'
import { ROOT_LIST_FILE } from './ca-files.ts'
import type { LoadedCa } from './load-ca.ts'

export interface RootList {
  /** PEM, the list alone. */
  readonly pem: string
  /** Lower-case hexadecimal. */
  readonly serials: readonly string[]
}

/** Signs and stores a new list. Call it under the lock. @throws MeshError MESH_PKI_INVALID, MESH_DISK_WRITE */
export async function renewRootList(
  ca: Pick<LoadedCa, 'dir' | 'root' | 'intermediate'>,
  rootKey: Issuer['privateKey'],
  nowMs: number,
): Promise<void> {
  const ends = [ca.root, ca.intermediate].map(({ notAfter }) => notAfter.getTime())
  const { pem } = signList({
    issuer: listIssuer(ca.root, rootKey),
    number: await nextListNumber(ca.dir, nowMs),
    nowMs,
    endsMs: Math.min(...ends),
    revoked: revokedByRoot(ca, await readRevoked(ca.dir)).filter((one) => isListed(one, nowMs)),
  })
  await replaceFile(join(ca.dir, ROOT_LIST_FILE), pem, 0o600)
}

/** The stored list; null when there is none, as in a CA of an earlier version. @throws MeshError MESH_PKI_INVALID */
export async function readRootList(dir: string): Promise<RootList | null> {
  const path = join(dir, ROOT_LIST_FILE)
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (hasErrorCode(error, 'ENOENT')) return null
    throw fileFault('MESH_PKI_INVALID', path, error)
  })
  if (text === null) return null
  const [der] = parsePem(text).flatMap((block) => (block.label === 'X509 CRL' ? [block.der] : []))
  return der === undefined ? null : { pem: toPem('X509 CRL', der), serials: readList(der).serials }
}

export function revokedByRoot(
  { root }: Pick<LoadedCa, 'root'>,
  records: ReadonlyMap<string, RevokedRecord>,
): readonly RevokedRecord[] {
  const id = issuerIdOf(root)
  return [...records.values()].filter(({ issuer }) => issuer === id)
}
