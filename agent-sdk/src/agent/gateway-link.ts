/** The connection of an agent to its gateway, whether the gateway was ever reached, and why a handshake was refused lately. */
import { MeshError, type SpiffeTemplate } from '@clawmesh/proto'
import { type Connection, createConnection } from '../client/connection.ts'
import { createFirstContact, type FirstContact } from '../client/first-contact.ts'
import type { Log } from '../log.ts'
import { channelCredentials } from '../tls/grpc-credentials.ts'
import type { IdentityStore } from '../tls/identity-snapshot.ts'
import type { PeerCheck } from '../tls/peer-checks.ts'
import { connectionFailure } from '../wire/status-codec.ts'

export interface GatewayLinkOptions {
  /** host:port of the gateway. */
  readonly target: string
  readonly store: IdentityStore
  readonly spiffe: SpiffeTemplate
  /** What makes a certificate of the mesh good for the gateway. */
  readonly expect: PeerCheck
  /** How long calls wait for a gateway that was never reached, in milliseconds. */
  readonly giveUpMs: number
  readonly log: Log
}

export interface GatewayLink {
  readonly connection: Connection
  readonly contact: FirstContact
  /** Why a connection was refused lately, where grpc-js passes on words only; null when none was. */
  refusal(): MeshError | null
  /** Why there is no connection, as far as is known; null where nothing is, or where there is one. */
  trouble(): MeshError | null
}

// a call that fails this soon after a refused handshake fails because of it
const REFUSAL_MS = 5_000

/** Connects with the first call. */
export function createGatewayLink(options: GatewayLinkOptions): GatewayLink {
  const { target, store, spiffe, expect, giveUpMs, log } = options
  let refused: { readonly error: MeshError; readonly atMs: number } | null = null
  const refusal = () =>
    refused !== null && performance.now() - refused.atMs < REFUSAL_MS ? refused.error : null
  const contact = createFirstContact({ target, log, giveUpMs, refusal })
  let unreached: unknown = null
  const failed = (error: unknown) => {
    contact.failed(error)
    if (connectionFailure(error) !== null) unreached = error
  }
  const trouble = () => {
    const why = connectionFailure(unreached)
    if (why === null) return refusal()
    const message = `the gateway ${target} cannot be reached: ${why}`
    return refusal() ?? new MeshError('MESH_GATEWAY_UNREACHABLE', message, { cause: unreached })
  }
  const onPeer = () => {
    refused = null
    unreached = null
    contact.made()
  }
  const onRefused = (error: MeshError) => {
    refused = { error, atMs: performance.now() }
    log.warn({ code: error.code }, `the connection to the gateway is refused: ${error.message}`)
  }
  const connection = createConnection({
    ...{ target, store, contact: { ...contact, failed } },
    credentials: () => channelCredentials(store, { spiffe, expect, onPeer, onRefused }),
  })
  return { connection, contact, refusal, trouble }
}
