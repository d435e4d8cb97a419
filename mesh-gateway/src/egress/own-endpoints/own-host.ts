/** Decides whether an origin-form request is for the gateway itself: by one of its names, or by any address. */
import { parseAuthority } from '../request.ts'

/**
 * An IP address in Host means the gateway: the client knows it by that address, or by a load balancer's. Destinations
 * without a name are requested in absolute form or by CONNECT. A string says why the Host header is malformed.
 */
export function isOwnHost(host: string, ownNames: ReadonlySet<string>): boolean | string {
  const authority = parseAuthority(host)
  if (typeof authority === 'string') return authority
  return authority.isIp || ownNames.has(authority.host)
}
