/**
 * The one place that builds TLS options. A second one would forget `minVersion` after a reload, and TLS 1.2 would be back.
 * TLS 1.3 only; client certificates always; no tickets, since a resumed session skips the validation of the certificate.
 */

import { constants, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import {
  type ConnectionOptions,
  checkServerIdentity,
  type PeerCertificate as NodePeerCertificate,
  type SecureContextOptions,
} from 'node:tls'
import { MeshError, type SpiffeTemplate } from '@clawmesh/proto'
import { checkOptions, optionNames } from '../check-options.ts'
import type { IdentitySnapshot } from './identity-snapshot.ts'
import { type PeerCertificate, readCertificate } from './peer-certificate.ts'
import type { PeerCheck } from './peer-checks.ts'
import { propertyOf } from './property-of.ts'

export interface ContextOptions extends SecureContextOptions {
  readonly minVersion: 'TLSv1.3'
  readonly maxVersion: 'TLSv1.3'
  readonly secureOptions: number
  readonly cert: string
  readonly key: string
  readonly ca: string[]
}

export interface ServerTlsOptions extends ContextOptions {
  readonly requestCert: true
  /** The handshake accepts any certificate; `readPeer` judges it afterwards and tells the client why it is refused. */
  readonly rejectUnauthorized: false
  readonly ALPNProtocols: string[]
  readonly handshakeTimeout: number
}

export interface ClientTlsOptions
  extends ContextOptions,
    Omit<ConnectionOptions, keyof ContextOptions> {
  readonly rejectUnauthorized: true
}

export interface ServerTlsChoices {
  /** Default `['h2']`. */
  readonly alpn?: readonly string[]
  /** How long a handshake may take, in milliseconds. Default 10 000. */
  readonly handshakeTimeoutMs?: number
}

export interface ClientTlsChoices {
  /** The server name sent (SNI). Default: none. It does not decide the identity of the server. */
  readonly servername?: string
  /** Default `['h2']`. */
  readonly alpn?: readonly string[]
  /** Called with the certificate of the server once it is accepted, before any byte is sent. */
  readonly onPeer?: (peer: PeerCertificate) => void
  /** Milliseconds since the epoch. Default: now. */
  readonly now?: () => number
}

const SERVER_CHOICES = optionNames<ServerTlsChoices>({ alpn: true, handshakeTimeoutMs: true })
const CLIENT_CHOICES = optionNames<ClientTlsChoices>({
  servername: true,
  alpn: true,
  onPeer: true,
  now: true,
})
/** Longer chains are cut off, and then lead to no root. */
const MAX_WALK = 12

/** Options for `tls.createServer`, `http2.createSecureServer` and, at each change, `setSecureContext`. */
export function serverTlsOptions(
  snapshot: IdentitySnapshot,
  choices: ServerTlsChoices = {},
): ServerTlsOptions {
  checkOptions(choices, SERVER_CHOICES, 'serverTlsOptions')
  const { alpn = ['h2'], handshakeTimeoutMs = 10_000 } = choices
  return {
    ...contextOptions(snapshot),
    requestCert: true,
    rejectUnauthorized: false,
    ALPNProtocols: [...alpn],
    handshakeTimeout: handshakeTimeoutMs,
  }
}

/**
 * Options for `tls.connect`. The server is verified by chain to the trust bundle and by `check`, never by address:
 * a refusal arrives as the `error` event, with the MeshError of the check or OpenSSL's verdict (see `handshakeFailure`).
 * @param check the identity that the server must have: `checkIsGateway`, `checkAgent(…)`. There is no default.
 */
export function clientTlsOptions(
  snapshot: IdentitySnapshot,
  spiffe: SpiffeTemplate,
  check: PeerCheck,
  choices: ClientTlsChoices = {},
): ClientTlsOptions {
  checkOptions(choices, CLIENT_CHOICES, 'clientTlsOptions')
  const { servername, alpn = ['h2'], onPeer, now = Date.now } = choices
  return {
    ...contextOptions(snapshot),
    rejectUnauthorized: true,
    ALPNProtocols: [...alpn],
    // an empty name sends no SNI; without it Node would send the address
    servername: servername ?? '',
    checkServerIdentity: (_host, certificate) => {
      try {
        const options = { spiffe, roots: snapshot.roots, nowMs: now() }
        const peer = readCertificate(chainOfNode(certificate), options)
        check(peer)
        onPeer?.(peer)
        return undefined
      } catch (error) {
        // thrown from here it would end the process; returned, it ends the connection
        return error instanceof Error ? error : new MeshError('MESH_IDENTITY_UNTRUSTED')
      }
    },
  }
}

export interface EgressPortTlsChoices {
  /** Of the URL of the egress port, IPv6 without brackets. */
  readonly host: string
  /** PEM. Trusted besides the roots of the mesh. Default: none. */
  readonly ca?: string | undefined
  readonly spiffe: SpiffeTemplate
  /** What makes a certificate of the mesh good for the port, whatever host it names: `checkIsGatewayFor(…)`. */
  readonly check: PeerCheck
}

/**
 * Options for `tls.connect` to the egress port of a gateway, with the agent's certificate. Its certificate must chain to a root of
 * the mesh or to `ca`, and be good for the host; or be a gateway's, which is judged as on the delegation port.
 */
export function egressPortTlsOptions(
  snapshot: IdentitySnapshot,
  { host, ca, spiffe, check }: EgressPortTlsChoices,
): ClientTlsOptions {
  const context = contextOptions(snapshot)
  return {
    ...context,
    ca: ca === undefined ? context.ca : [...context.ca, ca],
    rejectUnauthorized: true,
    ALPNProtocols: ['http/1.1'],
    servername: isIP(host) === 0 ? host : '',
    checkServerIdentity: (name, certificate) => {
      const misnamed = checkServerIdentity(name, certificate)
      if (misnamed === undefined) return undefined
      try {
        check(readCertificate(chainOfNode(certificate), { spiffe, roots: snapshot.roots }))
        return undefined
      } catch {
        // no gateway of the mesh either: what is wrong is that it is not the host that was asked for
        return misnamed
      }
    },
  }
}

/** What both sides share: versions, own certificate, trust bundle. */
export function contextOptions(
  snapshot: Pick<IdentitySnapshot, 'certificateChain' | 'privateKey' | 'roots'>,
): ContextOptions {
  // an empty `ca` would make Node trust every public CA
  if (snapshot.roots.length === 0) throw new TypeError('snapshot: has no roots')
  return {
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    secureOptions: constants.SSL_OP_NO_TICKET,
    cert: snapshot.certificateChain,
    key: snapshot.privateKey.reveal(),
    ca: snapshot.roots.map((root) => root.pem),
  }
}

/** The chain in the form that `checkServerIdentity` is handed; a root is its own issuer there. */
function chainOfNode(certificate: NodePeerCertificate): X509Certificate[] {
  const chain: X509Certificate[] = []
  let node: unknown = certificate
  while (chain.length < MAX_WALK) {
    const raw = propertyOf(node, 'raw')
    if (!(raw instanceof Uint8Array)) break
    chain.push(new X509Certificate(raw))
    const issuer = propertyOf(node, 'issuerCertificate')
    if (issuer === node) break
    node = issuer
  }
  return chain
}
