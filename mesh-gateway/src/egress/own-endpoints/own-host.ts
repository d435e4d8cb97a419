/** Whether an origin-form request is for the gateway itself: by one of its names, or by any address. */
import { parseAuthority } from '../request.ts'

/**
 * An address in Host is whichever the client knows the gateway by, perhaps that of a balancer before it. Destinations that
 * have no name are asked for in absolute form or by CONNECT. A string says why the Host header is malformed.
 */
export function isOwnHost(host: string, ownNames: ReadonlySet<string>): boolean | string {
  const authority = parseAuthority(host)
  if (typeof authority === 'string') return authority
  return authority.isIp || ownNames.has(authority.host)
}
