/** The certificates, keys and lists of a gateway, with their ends. Public facts only. */
import { X509Certificate } from 'node:crypto'
import type { IdentityStore } from '@clawmesh/agent-sdk/mesh'
import type { KeyRing } from '../../tokens/key-ring.ts'
import type { CertificateFacts } from './answer-shapes.ts'

export interface CertificateSources {
  readonly identity: Pick<IdentityStore, 'current'>
  readonly keyRing: Pick<KeyRing, 'list'>
  /** The chain of the egress port's certificate, PEM; null without TLS. */
  readonly egressChain: string | null
  /** When the list of revoked certificates must be replaced, seconds since the epoch; null or 0 without one. */
  readonly crlNextUpdate: number | null
}

const SUBJECT_CHARS = 512

export function certificatesOf(from: CertificateSources): readonly CertificateFacts[] {
  const { identity, notAfter, fingerprint, roots } = from.identity.current()
  const listed = from.crlNextUpdate ?? 0
  return [
    fact({ kind: 'certificate', name: identity.id, fingerprint, until: notAfter.toISOString() }),
    ...(from.egressChain === null ? [] : [egressCertificate(from.egressChain)]),
    ...roots.map((root) =>
      fact({
        kind: 'root',
        name: nameOf(root.pem),
        fingerprint: root.fingerprint,
        until: root.notAfter.toISOString(),
      }),
    ),
    ...from.keyRing
      .list()
      .map(({ kid, role, until }) => fact({ kind: 'signing key', name: kid, role, until })),
    ...(listed === 0
      ? []
      : [
          fact({
            kind: 'list of revoked',
            name: 'next update',
            until: new Date(listed * 1000).toISOString(),
          }),
        ]),
  ]
}

function egressCertificate(chain: string): CertificateFacts {
  const leaf = new X509Certificate(chain)
  return fact({
    kind: 'egress certificate',
    name: (leaf.subjectAltName ?? leaf.subject).slice(0, SUBJECT_CHARS),
    fingerprint: leaf.fingerprint256.replaceAll(':', '').toLowerCase(),
    until: leaf.validToDate.toISOString(),
  })
}

function fact(
  known: Pick<CertificateFacts, 'kind' | 'name' | 'until'> & Partial<CertificateFacts>,
): CertificateFacts {
  return { fingerprint: null, role: null, ...known }
}

function nameOf(pem: string): string {
  return new X509Certificate(pem).subject.replaceAll('\n', ', ').slice(0, SUBJECT_CHARS)
}
