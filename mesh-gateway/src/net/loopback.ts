/** Hosts of URLs that only this machine reaches, so that what goes to them in the clear goes no further. */
import { isIPv4 } from 'node:net'

/** @param host as `URL.hostname` has it: IPv6 in brackets */
export function isLoopbackHost(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || (isIPv4(host) && host.startsWith('127.'))
}
