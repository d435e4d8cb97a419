/** Parses addresses to listen on: `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`. */
import { isIPv4, isIPv6 } from 'node:net'
import { isDnsName } from '@clawmesh/proto'
import type { ListenAddress } from './port.ts'

/** The address, or a sentence that says what is wrong with it. Port 0 takes a free one. */
export function parseListenAddress(text: string): ListenAddress | string {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? []
  if (digits === undefined) {
    if (/^\d{1,5}$/.test(text)) return `must be host:port, e.g. 127.0.0.1:${text}`
    return 'must be host:port, e.g. 127.0.0.1:8080 or [::1]:8080'
  }
  const port = Number(digits)
  if (port > 65535) return 'has a port above 65535'
  if (bracketed !== undefined)
    return isIPv6(bracketed) ? { host: bracketed, port } : 'has no IPv6 address in its brackets'
  if (plain === undefined || plain === '')
    return `names no host; every address of this machine is 0.0.0.0:${port}`
  if (isIPv4(plain) || isDnsName(plain)) return { host: plain, port }
  return 'has a host that is neither an IP address nor a lower-case host name'
}

/** The same, or `unix:/run/clawmesh/egress.sock`. */
export function parseListenAddressOrSocket(text: string): ListenAddress | string {
  if (!text.startsWith('unix:')) return parseListenAddress(text)
  const path = text.slice('unix:'.length)
  if (!path.startsWith('/'))
    return 'has a path that is not absolute: unix:/run/clawmesh/egress.sock'
  // sun_path of Linux, with its final NUL
  if (Buffer.byteLength(path) > 107) return 'has a path longer than the 107 bytes of a Unix socket'
  return { host: '', port: 0, path }
}

export function formatListenAddress({ host, port, path }: ListenAddress): string {
  if (path !== undefined) return `unix:${path}`
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
