/**
 * The certificates that the other side of a TLS socket sent, kept from the moment when they can be read.
 * Reading them through Node is destructive: the first reader takes the issuers away, and on servers Node 24.21 itself is
 * that reader, before `secureConnection` (nodejs/node#65579; docs/discoveries/peer-chains-are-read-once.md).
 */
import type { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'

/** `tls.Server`, `https.Server` or `http2.Http2SecureServer`. */
export interface ChainServer {
  on(event: 'keylog', listener: (line: Buffer, socket: TLSSocket) => void): unknown
}

/** Longer chains are cut off, and then lead to no root. */
const MAX_WALK = 12
/** On the socket itself: a map by socket would miss it behind the proxy that `session.socket` of node:http2 is. */
const CHAIN = Symbol('peer chain')
const PENDING = Symbol('peer chain is awaited')

/** From now on the chain of each new connection is kept for `peerChain`. Call it before the server listens. */
export function keepPeerChains(server: ChainServer): void {
  // the one documented event that shows the socket before the handshake ends; the secrets it brings are not looked at
  server.on('keylog', (_secrets, socket) => {
    if (Reflect.has(socket, PENDING)) return
    Reflect.set(socket, PENDING, true)
    socket.prependOnceListener('secure', () => peerChain(socket))
  })
}

/** The leaf and its issuers, as sent. Empty when there is no certificate. */
export function peerChain(socket: TLSSocket): readonly X509Certificate[] {
  const kept: unknown = Reflect.get(socket, CHAIN)
  if (isChain(kept)) return kept
  const chain: X509Certificate[] = []
  let next = socket.getPeerX509Certificate()
  while (next !== undefined && chain.length < MAX_WALK) {
    chain.push(next)
    // what follows it as sent, its issuer or not; a certificate may be sent twice
    const following: X509Certificate | undefined = next.issuerCertificate
    next = following === next ? undefined : following
  }
  Reflect.set(socket, CHAIN, Object.freeze(chain))
  return chain
}

function isChain(value: unknown): value is readonly X509Certificate[] {
  return Array.isArray(value)
}
