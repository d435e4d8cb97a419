/** Keeps a TLS server on the current identity: new connections use the new certificate, those open go on. */
import type { IdentityStore } from './identity-snapshot.ts'
import { type ChainServer, keepPeerChains } from './peer-chain.ts'
import { type ServerTlsChoices, type ServerTlsOptions, serverTlsOptions } from './tls-options.ts'

/** `tls.Server`, `https.Server` or `http2.Http2SecureServer`. */
export interface FollowingServer extends ChainServer {
  setSecureContext(options: ServerTlsOptions): void
  once(event: 'close', listener: () => void): unknown
}

/**
 * Sets the context of a server now and at each change of the store, always with the full options,
 * and keeps the certificates of clients for `readPeer`. Call it before the server listens.
 * Returns a function that ends it; closing the server ends it as well.
 */
export function followIdentity(
  server: FollowingServer,
  store: IdentityStore,
  choices: ServerTlsChoices = {},
): () => void {
  keepPeerChains(server)
  const apply = () => server.setSecureContext(serverTlsOptions(store.current(), choices))
  // the store may have moved on since the server was made
  apply()
  const end = store.onChange(apply)
  server.once('close', end)
  return end
}
