/** The trust bundle for judging grounds: roots by fingerprint, and by key for certificates in tokens. */
import { X509Certificate } from 'node:crypto'
import {
  type CertificateLink,
  canonicalSerial,
  fingerprintOf,
  type IdentitySnapshot,
  keyIdentity,
  parseCertificates,
} from '@clawmesh/agent-sdk/mesh'
import type { Trust } from './judge.ts'

type Bundle = Pick<IdentitySnapshot, 'roots' | 'certificateChain'>

export interface BundleTrust extends Trust {
  /** The revocable link of a client's leaf certificate; its issuer is known when it is a CA of this mesh. */
  linkOf(leaf: X509Certificate): CertificateLink
}

const MAX_CHAIN = 10

/** @param identity null: there is no bundle, and nothing is checked against one */
export function createTrust(identity: { current(): Bundle } | null): BundleTrust {
  let seen: Bundle['roots'] | null = null
  /** By key: when the last root with that key expires, milliseconds since the epoch. */
  let keys: ReadonlyMap<string, number> = new Map()
  const links = new WeakMap<X509Certificate, CertificateLink>()
  return {
    current: () => identity?.current() ?? null,
    hasKey(key, nowMs) {
      const roots = identity?.current().roots ?? []
      if (roots !== seen) keys = endsByKey(roots)
      seen = roots
      return (keys.get(key) ?? Number.NEGATIVE_INFINITY) >= nowMs
    },
    linkOf(leaf) {
      const known = links.get(leaf)
      if (known !== undefined) return known
      const issuer =
        identity === null ? undefined : issuersOf(identity.current()).find(issued(leaf))
      const link = Object.freeze({
        fingerprint: fingerprintOf(leaf),
        serial: canonicalSerial(leaf.serialNumber),
        issuerKey: issuer === undefined ? '' : keyIdentity(issuer),
      })
      links.set(leaf, link)
      return link
    },
  }
}

function endsByKey(roots: Bundle['roots']): ReadonlyMap<string, number> {
  const ends = new Map<string, number>()
  for (const { pem, notAfter } of roots) {
    const key = keyIdentity(new X509Certificate(pem))
    ends.set(key, Math.max(ends.get(key) ?? Number.NEGATIVE_INFINITY, notAfter.getTime()))
  }
  return ends
}

/** The CAs that this gateway knows: the roots, and those in its own certificate chain. */
function issuersOf({ roots, certificateChain }: Bundle): X509Certificate[] {
  const own = parseCertificates(certificateChain, 'tls.crt', MAX_CHAIN).slice(1)
  return [...own, ...roots.map(({ pem }) => new X509Certificate(pem))]
}

function issued(leaf: X509Certificate) {
  return (issuer: X509Certificate) => leaf.checkIssued(issuer) && leaf.verify(issuer.publicKey)
}
