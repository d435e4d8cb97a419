/**
 * Makes a TLS 1.3 handshake in memory, of an identity with itself: the same certificate as server and as client.
 * OpenSSL in Node judges it as it would on the wire.
 */
import type { KeyObject } from 'node:crypto'
import { type Duplex, duplexPair } from 'node:stream'
import tls from 'node:tls'

export interface HandshakeQuestion {
  /** PEM: the leaf, then intermediates. */
  readonly certificateChain: string
  readonly privateKey: KeyObject
  /** PEM, one certificate each; at least one. */
  readonly roots: readonly string[]
  /** SHA-256 of the leaf, lower-case hexadecimal. */
  readonly fingerprint: string
}

const TIMEOUT_MS = 5000

/** Null when both sides accept it; otherwise the reason. */
export async function refusedByHandshake(question: HandshakeQuestion): Promise<string | null> {
  // an empty `ca` would make Node trust the public roots
  if (question.roots.length === 0) throw new TypeError('roots: must hold a certificate')
  const [near, far] = duplexPair()
  try {
    const ends = [serverEnd(question, near), clientEnd(question, far), timeout()]
    await Promise.race([Promise.all(ends.slice(0, 2)), ends[2]])
    return null
  } catch (error) {
    return reasonOf(error)
  } finally {
    near.destroy()
    far.destroy()
  }
}

function serverEnd(question: HandshakeQuestion, transport: Duplex): Promise<void> {
  const socket = new tls.TLSSocket(transport, {
    ...credentials(question),
    isServer: true,
    requestCert: true,
    rejectUnauthorized: true,
  })
  return new Promise((resolve, reject) => {
    socket.on('error', reject)
    // the first byte from the client arrives after its certificate has been accepted
    socket.once('data', () => resolve())
  })
}

function clientEnd(question: HandshakeQuestion, transport: Duplex): Promise<void> {
  const socket = tls.connect({
    ...credentials(question),
    socket: transport,
    rejectUnauthorized: true,
    // the name was checked before; here it must be exactly the checked certificate
    checkServerIdentity: (_host, { fingerprint256 }) =>
      fingerprint256.replaceAll(':', '').toLowerCase() === question.fingerprint
        ? undefined
        : new Error('another certificate was presented'),
  })
  return new Promise((resolve, reject) => {
    socket.on('error', reject)
    socket.once('secureConnect', () => {
      socket.write('.')
      resolve()
    })
  })
}

function credentials(question: HandshakeQuestion): tls.SecureContextOptions {
  return {
    cert: question.certificateChain,
    key: question.privateKey.export({ type: 'pkcs8', format: 'pem' }),
    ca: [...question.roots],
    minVersion: 'TLSv1.3',
  }
}

function timeout(): Promise<void> {
  return new Promise((_resolve, reject) => {
    setTimeout(reject, TIMEOUT_MS, new Error('the handshake did not end')).unref()
  })
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'it was refused'
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message
}
