/**
 * Makes the certificate of an intermediate: it may issue leaves only (pathLen 0), for TLS, and only for DNS names and
 * addresses of the mesh (critical name constraints).
 */
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { type DerValue, itemsOf, readDer, TAG } from '../der/read.ts'
import { distinguishedName, type Issuer, keyIdOf, signCertificate } from '../x509/certificate.ts'
import {
  caConstraints,
  caKeyUsage,
  type NamesPermitted,
  nameConstraints,
  tlsExtendedKeyUsage,
} from '../x509/extensions.ts'
import type { ParsedCertificate } from '../x509/parse-certificate.ts'
import type { SigningKey } from '../x509/signing-key.ts'

export interface CaKeys {
  readonly publicKey: KeyObject
  readonly privateKey: SigningKey
}

export interface IntermediateContent {
  /** The encoded name. */
  readonly subject: Buffer
  readonly publicKey: KeyObject
  readonly notBefore: Date
  readonly notAfter: Date
  readonly permitted: NamesPermitted
}

/** P-256. */
export function generateCaKeys(): {
  readonly publicKey: KeyObject
  readonly privateKey: KeyObject
} {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' })
}

/** DER of an intermediate signed by the root. */
export function makeIntermediate(content: IntermediateContent, root: Issuer): Buffer {
  const { permitted, ...rest } = content
  const extensions = [
    caConstraints(0),
    caKeyUsage(),
    tlsExtendedKeyUsage(),
    nameConstraints(permitted),
  ]
  return signCertificate({ ...rest, extensions }, root)
}

/** A CA as an issuer, with a unique name that contains its trust domain. */
export function newIssuer(
  kind: 'root' | 'intermediate',
  trustDomain: string,
  keys: CaKeys,
): Issuer {
  const keyId = keyIdOf(keys.publicKey)
  // two CAs never share a name, so verifiers that find issuers by name alone find the right one
  const commonName = `Clawmesh ${kind} CA ${keyId.toString('hex').slice(0, 8)}`
  const name = distinguishedName([
    { type: 'organization', value: trustDomain },
    { type: 'commonName', value: commonName },
  ])
  return { name, keyId, privateKey: keys.privateKey }
}

/**
 * True when an intermediate was named by `newIssuer` and made by `makeIntermediate` for these domains: the manifest is
 * trusted only as far as the certificate confirms it.
 */
export function isIntermediateFor(
  { isCa, subject, nameConstraints: constraints }: ParsedCertificate,
  { trustDomain, meshDomain }: { readonly trustDomain: string; readonly meshDomain: string },
): boolean {
  const permitted = constraints?.permitted
  if (!isCa || permitted === undefined || !permitted.dnsNames.includes(meshDomain)) return false
  if (permitted.uris.length > 0 && !permitted.uris.includes(trustDomain)) return false
  // a name longer than 64 characters does not fit into a subject (X.520), and is omitted
  const [named] = partsOf(distinguishedName([{ type: 'organization', value: trustDomain }]))
  return named === undefined || partsOf(subject)[0]?.raw.equals(named.raw) === true
}

function partsOf(name: Buffer): readonly DerValue[] {
  return itemsOf(readDer(name), TAG.sequence)
}
