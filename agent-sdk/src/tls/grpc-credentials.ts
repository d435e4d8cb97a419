/**
 * Credentials for grpc-js that follow an identity store: each new connection uses the identity of that moment.
 * They are objects of our own on the base classes of grpc-js, since its certificate providers take neither
 * `minVersion` nor `secureOptions`, and so let TLS 1.2 and resumption in (docs/discoveries/grpc-js-and-tls.md).
 */

import type { Socket } from 'node:net'
import { connect, createSecureContext, type SecureContext } from 'node:tls'
import type { MeshError, SpiffeTemplate } from '@clawmesh/proto'
import {
  CallCredentials,
  ChannelCredentials,
  type experimental,
  ServerCredentials,
} from '@grpc/grpc-js'
import { checkOptions, optionNames } from '../check-options.ts'
import { createGonePeerWatch } from './gone-peers.ts'
import type { IdentitySnapshot, IdentityStore } from './identity-snapshot.ts'
import { KEEP_ALIVE_MS } from './keep-alive.ts'
import type { PeerCertificate } from './peer-certificate.ts'
import type { PeerCheck } from './peer-checks.ts'
import { noteShownCertificate } from './shown-certificate.ts'
import { clientTlsOptions, contextOptions, serverTlsOptions } from './tls-options.ts'
import { handshakeFailure } from './verify-errors.ts'

export interface ChannelCredentialsOptions {
  readonly spiffe: SpiffeTemplate
  /** Who the server has to be, e.g. `checkIsGateway`. */
  readonly expect: PeerCheck
  /** The server name sent (SNI). Default: none. */
  readonly servername?: string
  /** Called with the certificate of the server at each new connection. */
  readonly onPeer?: (peer: PeerCertificate) => void
  /**
   * Called when a connection is refused by either side for its certificate. grpc-js passes on words only:
   * a call that fails with UNAVAILABLE has its reason here.
   */
  readonly onRefused?: (error: MeshError) => void
  /** How long a handshake may take, in milliseconds. Default 20,000, as gRPC gives a connection. */
  readonly handshakeTimeoutMs?: number
}

const HANDSHAKE_MS = 20_000
const NAMES = optionNames<ChannelCredentialsOptions>({
  spiffe: true,
  expect: true,
  servername: true,
  onPeer: true,
  onRefused: true,
  handshakeTimeoutMs: true,
})

/**
 * For a grpc-js client. New connections use the current identity; those open go on with theirs.
 * @throws TypeError for an option that there is not
 */
export function channelCredentials(
  store: IdentityStore,
  options: ChannelCredentialsOptions,
): ChannelCredentials {
  checkOptions(options, NAMES, 'channelCredentials')
  return new FollowingChannelCredentials(store, options)
}

/**
 * For a grpc-js server that binds its own port. Who has no certificate of the mesh is cut off in the handshake and not
 * told why, and a call shows the leaf of its caller but not the root it leads to: `listenForCalls` does both.
 */
export function serverCredentials(store: IdentityStore): ServerCredentials {
  return new FollowingServerCredentials(store)
}

class FollowingChannelCredentials extends ChannelCredentials {
  readonly #store: IdentityStore
  readonly #options: ChannelCredentialsOptions
  readonly #gonePeers = createGonePeerWatch()
  #made: { readonly snapshot: IdentitySnapshot; readonly context: SecureContext } | null = null

  constructor(store: IdentityStore, options: ChannelCredentialsOptions) {
    super()
    this.#store = store
    this.#options = options
  }

  override _isSecure(): boolean {
    return true
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other
  }

  override _createSecureConnector(
    _target: unknown,
    _options: unknown,
    callCredentials: CallCredentials = CallCredentials.createEmpty(),
  ): experimental.SecureConnector {
    // grpc-js lets go of a connection only when it stands: a handshake that is never answered would outlive the client
    const handshakes = new Set<Socket>()
    let destroyed = false
    return {
      connect: async (socket) => {
        if (destroyed) throw new Error('the client is closed')
        handshakes.add(socket)
        try {
          return await this.#connect(socket)
        } finally {
          handshakes.delete(socket)
        }
      },
      waitForReady: () => Promise.resolve(),
      getCallCredentials: () => callCredentials,
      destroy() {
        destroyed = true
        for (const socket of handshakes) socket.destroy()
      },
    }
  }

  async #connect(socket: Socket): Promise<experimental.SecureConnectResult> {
    const snapshot = this.#store.current()
    const { spiffe, expect, servername, onPeer, onRefused } = this.#options
    const { handshakeTimeoutMs = HANDSHAKE_MS } = this.#options
    const options = clientTlsOptions(snapshot, spiffe, expect, {
      ...(servername === undefined ? {} : { servername }),
      ...(onPeer === undefined ? {} : { onPeer }),
    })
    if (this.#made?.snapshot !== snapshot)
      this.#made = { snapshot, context: createSecureContext(options) }
    // grpc-js asks by PING while a call is open; this finds out a dead connection without calls
    socket.setKeepAlive(true, KEEP_ALIVE_MS)
    const tls = connect({ ...options, secureContext: this.#made.context, socket })
    const shown = noteShownCertificate(tls, spiffe)
    return new Promise((resolve, reject) => {
      const fail = (cause: unknown) => {
        const failure = handshakeFailure(cause, shown())
        if (failure !== null) onRefused?.(failure)
        reject(failure ?? cause)
      }
      const timer = setTimeout(
        () => tls.destroy(new Error('the handshake was not answered in time')),
        handshakeTimeoutMs,
      )
      // with TLS 1.3 the server refuses our certificate after our side is done: the listener stays
      tls.on('error', fail)
      tls.once('close', () => {
        clearTimeout(timer)
        fail(new Error('the connection was closed'))
      })
      tls.once('secureConnect', () => {
        clearTimeout(timer)
        if (!tls.authorized) return fail(tls.authorizationError)
        this.#gonePeers.watch(tls)
        resolve({ socket: tls, secure: true })
      })
    })
  }
}

class FollowingServerCredentials extends ServerCredentials {
  readonly #store: IdentityStore
  #end: (() => void) | null = null

  constructor(store: IdentityStore) {
    // grpc-js has no gate of its own after the handshake
    super({ ...serverTlsOptions(store.current()), rejectUnauthorized: true })
    this.#store = store
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other
  }

  override _getSecureContextOptions() {
    // nothing but the context: these go over the options of the constructor
    return contextOptions(this.#store.current())
  }

  override _addWatcher(watcher: Parameters<ServerCredentials['_addWatcher']>[0]): void {
    super._addWatcher(watcher)
    this.#end ??= this.#store.onChange((snapshot) =>
      this.updateSecureContextOptions(contextOptions(snapshot)),
    )
  }

  override _removeWatcher(watcher: Parameters<ServerCredentials['_removeWatcher']>[0]): void {
    super._removeWatcher(watcher)
    if (this.getWatcherCount() > 0) return
    this.#end?.()
    this.#end = null
  }
}
