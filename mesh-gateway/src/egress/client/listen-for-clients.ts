/**
 * Accepts client connections: over TCP, over a Unix socket, and over TLS on either. A client certificate is requested
 * and not judged: the token authenticates the client. A token may be bound to a certificate (RFC 8705), and is then
 * valid on a connection with a full handshake.
 */
import { createHash, type X509Certificate } from 'node:crypto'
import { createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from 'node:tls'
import type { Secret } from '@clawmesh/proto'
import type { ConnectionGate, GatedClient } from '../../limits/connection-gate.ts'
import type { ClientAddress } from '../../net/client-address.ts'
import { TCP_KEEP_ALIVE } from '../../net/keep-alive.ts'
import { proxiesOf, receivedBy } from '../../net/proxy-protocol/proxy-receiver.ts'
import { codeOf } from '../../process/error-code.ts'
import type { ReadBuffers } from '../../process/node-internals/read-buffers.ts'
import type { RefusalLog } from '../../telemetry/refusal-log.ts'
import { acceptSocket, BufferedSocket } from '../carry/buffered-socket.ts'
import { type CertifiedKey, type PortCertificate, portSecrets } from './port-certificate.ts'

export interface ClientSocket {
  readonly socket: BufferedSocket
  readonly client: GatedClient
  readonly certificate: ShownCertificate
}

/**
 * The certificate whose key the client has proved to hold on this very connection; null without one. A resumed TLS
 * session proves nothing about the certificate of its first handshake: any holder of the ticket and its secret can
 * resume it.
 */
export type ShownCertificate =
  | {
      /** SHA-256, base64url, in the form of `x5t#S256`. */
      readonly thumbprint: string
      readonly leaf: X509Certificate
    }
  | 'resumed'
  | null

export interface ClientListener {
  /** Listens, and is closed. */
  readonly server: Server
  /** Closes the connections whose proxy has not named the client yet. */
  closeWaiting(): void
  /** Destroys all connections, including those without a request yet. */
  destroyAll(): void
  /** Stops following the certificate. */
  release(): void
}

/** The keys of TLS session tickets, for several processes that must accept each other's tickets. */
export interface TicketKeys {
  current(): Secret<Buffer>
  onChange(listener: () => void): () => void
}

export interface ClientListenerOptions {
  /** Null: no TLS. */
  readonly certificate: Pick<PortCertificate, 'current' | 'onChange'> | null
  readonly buffers: ReadBuffers
  /** Null: OpenSSL's own keys, which end with the process. */
  readonly ticketKeys: TicketKeys | null
  /** Time for a TLS handshake, and before it for a PROXY header. */
  readonly handshakeMs: number
  /** The addresses of proxies that name their clients, as CIDR ranges. */
  readonly proxiesFrom: readonly string[]
  readonly gate: ConnectionGate
  readonly refused: RefusalLog
  onClient(client: ClientSocket): void
}

export function createClientListener(options: ClientListenerOptions): ClientListener {
  const { certificate, gate, onClient, refused, ticketKeys } = options
  const proxies = proxiesOf(options.proxiesFrom, { headerMs: options.handshakeMs, refused })
  const server = createServer({ allowHalfOpen: true, noDelay: true, ...TCP_KEEP_ALIVE })
  const tls = certificate === null ? null : createTls(certificate.current(), options)
  const unfollow = [
    certificate?.onChange((value) => tls?.setSecureContext(secrets(value, ticketKeys))),
    ticketKeys?.onChange(() => tls?.setTicketKeys(ticketKeys.current().reveal())),
  ]
  const accept = (socket: Socket, address: ClientAddress) => {
    const client = gate.admit(socket, address)
    if (client === null) return
    if (tls !== null) {
      socket.on('error', () => {})
      tls.emit('connection', socket)
    } else {
      onClient({ socket: acceptSocket(socket, options.buffers), client, certificate: null })
    }
  }
  server.on('connection', receivedBy(proxies, accept))
  tls?.on('secureConnection', (socket) => {
    const client = gate.of(socket)
    if (client === null) socket.destroy()
    else
      onClient({ socket: new BufferedSocket(socket, null), client, certificate: shownBy(socket) })
  })
  // a client without a finished handshake cannot be answered
  tls?.on('tlsClientError', (err, socket) => {
    const late = codeOf(err) === 'ERR_TLS_HANDSHAKE_TIMEOUT'
    refused(late ? 'handshake-timeout' : 'tls', {
      client: gate.addressOf(socket),
      detail: codeOf(err),
    })
    socket.destroy()
  })
  return {
    server,
    closeWaiting: () => proxies?.closeWaiting(),
    destroyAll() {
      proxies?.closeWaiting()
      gate.closeAll()
    },
    release() {
      for (const end of unfollow) end?.()
    },
  }
}

function createTls(
  current: CertifiedKey,
  { handshakeMs, ticketKeys }: ClientListenerOptions,
): TlsServer {
  return createTlsServer({
    ...secrets(current, ticketKeys),
    requestCert: true,
    rejectUnauthorized: false,
    handshakeTimeout: handshakeMs,
    ALPNProtocols: ['http/1.1'],
    allowHalfOpen: true,
  })
}

/** In one place: a reload without ticket keys would end sessions. */
function secrets(pair: CertifiedKey, ticketKeys: TicketKeys | null) {
  return {
    ...portSecrets(pair),
    ...(ticketKeys === null ? {} : { ticketKeys: ticketKeys.current().reveal() }),
  }
}

function shownBy(socket: TLSSocket): ShownCertificate {
  if (socket.isSessionReused()) return 'resumed'
  const leaf = socket.getPeerX509Certificate()
  if (leaf === undefined) return null
  return { leaf, thumbprint: createHash('sha256').update(leaf.raw).digest('base64url') }
}
