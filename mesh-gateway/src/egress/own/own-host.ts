/** Whether an origin-form request is for the gateway itself: by one of its names, or by an address and the port it listens on. */
import { parseAuthority } from '../target/target.ts'

/** @param localPort of the connection. A string says why the Host header is malformed. */
export function isOwnHost(
  host: string,
  ownNames: ReadonlySet<string>,
  localPort: number,
): boolean | string {
  const authority = parseAuthority(host)
  if (typeof authority === 'string') return authority
  if (authority.isIp) return (authority.port ?? 80) === localPort
  return ownNames.has(authority.host)
}
