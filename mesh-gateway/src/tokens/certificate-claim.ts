/** The claim `crt`: a certificate and those above it, so that the revocation of any of them also revokes the token. */
import { type CertificateLink, canonicalSerial } from '@clawmesh/agent-sdk/mesh'
import type { CertificateClaim } from '@clawmesh/proto'
import { malformed } from './claim-shapes.ts'

/** The same maximum as for the chain of a peer. */
const MAX_LINKS = 10
const LINK = /^([\w-]{43})\.([\w-]{1,28})\.([\w-]{43})$/

export function certificateClaim(links: readonly CertificateLink[]): CertificateClaim {
  return Object.freeze(
    links.map(({ fingerprint, serial, issuerKey }) =>
      [fingerprint, serial, issuerKey].map((hex) => encode(hex)).join('.'),
    ),
  )
}

/** @throws MeshError MESH_TOKEN_MALFORMED */
export function parseCertificateClaim(value: unknown): readonly CertificateLink[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > MAX_LINKS)
    throw malformed('crt')
  return Object.freeze(
    value.map((text: unknown) => {
      const [, fingerprint, serial, issuer] = (typeof text === 'string' && LINK.exec(text)) || []
      if (fingerprint === undefined || serial === undefined || issuer === undefined)
        throw malformed('crt')
      return Object.freeze({
        fingerprint: decode(fingerprint),
        serial: canonicalSerial(decode(serial)),
        issuerKey: decode(issuer),
      })
    }),
  )
}

function encode(hex: string): string {
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex').toString('base64url')
}

function decode(text: string): string {
  return Buffer.from(text, 'base64url').toString('hex')
}
