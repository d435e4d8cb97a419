/**
 * A TLS handshake of two ends in this process, over no network: Node has no other call that says whether TLS takes a
 * certificate and its key.
 */
import { duplexPair } from 'node:stream'
import {
  type ConnectionOptions,
  connect,
  createServer,
  type Server,
  type TLSSocket,
  type TlsOptions,
} from 'node:tls'

export interface BothEnds {
  readonly server: TLSSocket
  readonly client: TLSSocket
}

const TIMEOUT_MS = 5_000

/**
 * Both ends once they are connected; `look` is the time to ask them, since they are destroyed when it returns.
 * @throws Error what TLS says of the options, or of the handshake
 */
export async function handshakeInMemory<T>(
  serverOptions: TlsOptions,
  clientOptions: ConnectionOptions & { readonly rejectUnauthorized: boolean },
  look: (ends: BothEnds) => T,
): Promise<T> {
  const [near, far] = duplexPair()
  const open: { destroy(): unknown }[] = [near, far]
  try {
    // never listens; only a server's sockets say whether the client's certificate was good
    const listener = createServer(serverOptions)
    const accepted = acceptOne(listener)
    const { rejectUnauthorized } = clientOptions
    const connecting = connect({
      ...clientOptions,
      rejectUnauthorized,
      socket: near,
      servername: '',
    })
    const connected = finish(connecting)
    open.unshift(connecting)
    listener.emit('connection', far)
    const [server, client] = await inTime(Promise.all([accepted, connected]))
    open.unshift(server)
    return look({ server, client })
  } finally {
    for (const socket of open) socket.destroy()
  }
}

function acceptOne(server: Server): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    server.once('secureConnection', resolve)
    server.once('tlsClientError', reject)
  })
}

function finish(client: TLSSocket): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    client.once('secureConnect', () => resolve(client))
    // stays: an error after the handshake has an owner too
    client.on('error', reject)
    client.once('close', () => reject(new Error('the handshake ended early')))
  })
}

async function inTime<T>(work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error('the handshake took too long')), TIMEOUT_MS)
  try {
    return await Promise.race([work, promise])
  } finally {
    clearTimeout(timer)
  }
}
