/** Shows certificates in real handshakes, as a caller and as a callee, to sides that trust the roots given. */
import { once } from 'node:events'
import { isIPv4 } from 'node:net'
import tls, { type TLSSocket } from 'node:tls'
import {
  clientTlsOptions,
  followIdentity,
  handshakeFailure,
  type IdentitySnapshot,
  type IdentityStore,
  type PeerCertificate,
  readPeer,
  serverTlsOptions,
  type TrustedRoot,
} from '@clawmesh/agent-sdk/mesh'
import { Secret } from '@clawmesh/proto'
import { fingerprintOf } from '../../../agent-sdk/src/tls/fingerprint.ts'
import { spiffe } from '../../support/test-ca.ts'
import { type Minted, mint } from './mint.ts'

export const PLANNER = 'spiffe://mesh.internal/tenant/acme/agent/planner'

/** What one side makes of a certificate of the other: the certificate as it was read, or the error. */
export type Verdict = PeerCertificate | Error

export function rootsOf(...roots: readonly Minted[]): TrustedRoot[] {
  return roots.map(({ pem, certificate }) => {
    return { pem, fingerprint: fingerprintOf(certificate), notAfter: certificate.validToDate }
  })
}

/** What a snapshot of these files would be, unproven: a hostile side does not ask. */
export function snapshotOf(
  roots: readonly TrustedRoot[],
  leaf: Minted,
  ...more: readonly Minted[]
): IdentitySnapshot {
  return {
    generation: 1,
    identity: spiffe.agent('acme', 'planner'),
    dnsNames: [],
    notBefore: leaf.certificate.validFromDate,
    notAfter: leaf.certificate.validToDate,
    fingerprint: fingerprintOf(leaf.certificate),
    certificateChain: [leaf, ...more].map(({ pem }) => pem).join(''),
    privateKey: new Secret(leaf.keyPem),
    roots,
  }
}

/** The other side is good, and trusts the roots. */
export async function present(
  roots: readonly Minted[],
  ...chain: readonly [Minted, ...Minted[]]
): Promise<{ readonly asCaller: Verdict; readonly asCallee: Verdict }> {
  const trusted = rootsOf(...roots)
  // a hostile side trusts any other
  const shown = snapshotOf([...trusted, ...rootsOf(OTHER_CA)], ...chain)
  const asCaller = await callerOf(shown, otherSide(trusted))
  return { asCaller, asCallee: await asCallee(shown, trusted) }
}

/** What a caller that trusts the roots makes of a callee. */
export function asCallee(
  callee: IdentitySnapshot,
  trusted: readonly TrustedRoot[],
): Promise<Verdict> {
  const trusting = { ...callee, roots: [...callee.roots, ...rootsOf(OTHER_CA)] }
  return calleeOf(trusting, otherSide(trusted))
}

const OTHER_CA = mint({ name: 'the other side', pathLength: null })

function otherSide(trusted: readonly TrustedRoot[]): IdentitySnapshot {
  const uris = ['spiffe://mesh.internal/gateway/gw']
  return snapshotOf(trusted, mint({ issuer: OTHER_CA, uris }))
}

async function callerOf(client: IdentitySnapshot, server: IdentitySnapshot): Promise<Verdict> {
  const { port, close, accepted } = await listen(server)
  const socket = connect(port, client, () => {})
  try {
    return readPeer(await accepted, { spiffe, roots: server.roots })
  } catch (error) {
    return errorOf(error)
  } finally {
    socket.destroy()
    await close()
  }
}

async function calleeOf(server: IdentitySnapshot, client: IdentitySnapshot): Promise<Verdict> {
  const { port, close } = await listen(server)
  let seen: PeerCertificate | null = null
  const socket = connect(port, client, (peer) => {
    seen = peer
  })
  try {
    await once(socket, 'secureConnect')
    return seen ?? new Error('nobody was read')
  } catch (error) {
    return handshakeFailure(error) ?? errorOf(error)
  } finally {
    socket.destroy()
    await close()
  }
}

async function listen(snapshot: IdentitySnapshot) {
  const server = tls.createServer(serverTlsOptions(snapshot))
  followIdentity(server, fixed(snapshot))
  const sockets: TLSSocket[] = []
  const accepted = new Promise<TLSSocket>((resolve) => {
    server.on('secureConnection', (socket: TLSSocket) => {
      socket.on('error', () => {})
      sockets.push(socket)
      resolve(socket)
    })
  })
  server.on('tlsClientError', () => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string' || !isIPv4(address.address))
    throw new TypeError('not a port')
  const close = async () => {
    for (const socket of sockets) socket.destroy()
    server.close()
    await once(server, 'close')
  }
  return { port: address.port, accepted, close }
}

function connect(port: number, as: IdentitySnapshot, onPeer: (peer: PeerCertificate) => void) {
  const options = clientTlsOptions(as, spiffe, () => {}, { onPeer })
  const socket = tls.connect({ ...options, port, host: '127.0.0.1' })
  socket.on('error', () => {})
  return socket
}

/** A store of one snapshot that never changes. */
export function fixed(snapshot: IdentitySnapshot): IdentityStore {
  return {
    current: () => snapshot,
    onChange: () => () => {},
    reload: async () => true,
    onReload: () => () => {},
    lastReload: () => ({ ok: true, at: new Date(), error: null }),
    close: async () => {},
  }
}

function errorOf(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
