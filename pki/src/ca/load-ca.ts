/**
 * Loads the certificates of a CA, and proves that they belong together: manifest, fingerprints, the signature of the
 * root. A renewal replaces several files; the manifest makes it atomic, and the files that it names are found under
 * either name (see ca-files.ts).
 */
import { resolve } from 'node:path'
import { MeshError } from '@clawmesh/proto'
import { type ParsedCertificate, parseCertificates } from '../x509/parse-certificate.ts'
import {
  type CaFileName,
  type CaManifest,
  readCaFile,
  readFormer,
  readManifest,
  readStagedFile,
} from './ca-files.ts'
import { isIntermediateFor } from './make-intermediate.ts'

export interface LoadedCa {
  readonly dir: string
  readonly trustDomain: string
  readonly meshDomain: string
  readonly root: ParsedCertificate
  readonly intermediate: ParsedCertificate
  /** Intermediates with former keys: their certificates and lists stay valid after a renewal with a new key. */
  readonly former: readonly FormerIntermediate[]
}

export interface FormerIntermediate {
  readonly certificate: ParsedCertificate
  /** Name of its encrypted key in the directory of the CA. */
  readonly keyFile: string
}

/** A renewal may replace the files during the reading. */
const ATTEMPTS = 3

/** @throws MeshError MESH_PKI_NOT_FOUND, MESH_PKI_INVALID. */
export async function loadCa(path: string): Promise<LoadedCa> {
  const dir = resolve(path)
  let manifest = await readManifest(dir)
  for (let attempt = 1; ; attempt += 1)
    try {
      return await load(dir, manifest)
    } catch (error) {
      const next = await readManifest(dir)
      if (attempt === ATTEMPTS || next.intermediate === manifest.intermediate) throw error
      manifest = next
    }
}

async function load(dir: string, manifest: CaManifest): Promise<LoadedCa> {
  const { trustDomain, meshDomain } = manifest
  const root = await certificateOf(dir, 'root.crt', manifest.root)
  const intermediate =
    (await stagedIntermediate(dir, manifest.intermediate)) ??
    (await certificateOf(dir, 'intermediate.crt', manifest.intermediate))
  const isOurs = (one: ParsedCertificate) =>
    isIntermediateFor(one, { trustDomain, meshDomain }) &&
    one.issuer.equals(root.subject) &&
    one.x509.verify(root.publicKey)
  if (!isOurs(intermediate)) throw torn(dir, 'intermediate.crt')
  const former: FormerIntermediate[] = []
  for (const { name, pem, keyFile } of await readFormer(dir)) {
    const [certificate, ...more] = parseCertificates(pem)
    if (certificate === undefined || more.length > 0 || !isOurs(certificate)) throw torn(dir, name)
    // a killed renewal has kept a copy of the intermediate that is still in use
    if (!certificate.publicKey.equals(intermediate.publicKey)) former.push({ certificate, keyFile })
  }
  return { dir, trustDomain, meshDomain, root, intermediate, former }
}

async function certificateOf(
  dir: string,
  name: CaFileName,
  fingerprint: string,
): Promise<ParsedCertificate> {
  const [certificate, ...more] = parseCertificates(await readCaFile(dir, name))
  if (certificate?.fingerprint !== fingerprint || more.length > 0) throw torn(dir, name)
  return certificate
}

/** The staged intermediate of a killed renewal, when the manifest names it; null otherwise. */
export async function stagedIntermediate(
  dir: string,
  fingerprint: string,
): Promise<ParsedCertificate | null> {
  const staged = await readStagedFile(dir, 'intermediate.crt')
  // a partly written file is not in use: the manifest names complete files only
  const [certificate] = staged === null ? [] : tryParse(staged)
  return certificate?.fingerprint === fingerprint ? certificate : null
}

function tryParse(pem: string): readonly ParsedCertificate[] {
  try {
    return parseCertificates(pem)
  } catch (error) {
    if (error instanceof MeshError) return []
    throw error
  }
}

export function torn(dir: string, name: string): MeshError {
  return new MeshError('MESH_PKI_INVALID', `${name} in ${dir} does not belong to the CA there`, {
    hint: 'restore the directory from its backup',
  })
}
