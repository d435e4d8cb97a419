/** Connects to an egress port that speaks TLS, with the certificate that a token is bound to: the current one, or one from before. */
import { connect, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls'
import { MeshError } from '@clawmesh/proto'
import type { IdentitySnapshot, IdentityStore } from '../tls/identity-snapshot.ts'
import { KEEP_ALIVE_MS } from '../tls/keep-alive.ts'
import { type EgressPortTlsChoices, egressPortTlsOptions } from '../tls/tls-options.ts'
import { handshakeFailure } from '../tls/verify-errors.ts'
import { unreachedPort } from './reach-port.ts'

export interface PortDialerOptions extends Omit<EgressPortTlsChoices, 'host'> {
  readonly url: URL
  readonly store: IdentityStore
}

export interface PortDialer {
  /** Of the current certificate, as in `EgressToken.boundTo`. */
  certificate(): string
  /**
   * A socket that has begun to connect; how that fails is in `dialFailure`.
   * @param boundTo null: with the current certificate
   * @throws MeshError MESH_TOKEN_BINDING when the certificate is one that this agent no longer has
   */
  dial(boundTo: string | null): TLSSocket
  close(): void
}

/** A token lives for minutes and a certificate for an hour or more: no token is bound to a certificate older than the previous one. */
const MAX_SNAPSHOTS = 3

export function createPortDialer({ url, store, ...choices }: PortDialerOptions): PortDialer {
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const port = Number(url.port) || 443
  let snapshots = [store.current()]
  let made: { readonly of: IdentitySnapshot; readonly context: SecureContext } | null = null
  const stop = store.onChange((snapshot) => {
    snapshots = [snapshot, ...snapshots].slice(0, MAX_SNAPSHOTS)
  })
  return {
    certificate: () => store.current().fingerprint,
    dial(boundTo) {
      const snapshot =
        boundTo === null
          ? store.current()
          : [store.current(), ...snapshots].find(({ fingerprint }) => fingerprint === boundTo)
      if (snapshot === undefined) throw new MeshError('MESH_TOKEN_BINDING')
      const options = egressPortTlsOptions(snapshot, { ...choices, host })
      if (made?.of !== snapshot) made = { of: snapshot, context: createSecureContext(options) }
      // no session is kept: a resumed one would show no certificate
      const socket = connect({ ...options, secureContext: made.context, host, port })
      return socket.setKeepAlive(true, KEEP_ALIVE_MS)
    },
    close: stop,
  }
}

/** Why a dial failed, in the codes of the mesh. */
export function dialFailure(cause: Error): MeshError {
  if (cause instanceof MeshError) return cause
  const misnamed = 'code' in cause && cause.code === 'ERR_TLS_CERT_ALTNAME_INVALID'
  const untrusted = handshakeFailure(cause)
  if (!misnamed && untrusted === null) return unreachedPort(cause)
  const why = misnamed ? 'it is not for the host of the URL' : untrusted?.message
  return new MeshError(
    'MESH_GATEWAY_UNTRUSTED',
    `the certificate of the egress port is not trusted: ${why}`,
    { cause, hint: 'it must be good for the host, and from the mesh CA or a CA of egressPortCa' },
  )
}
