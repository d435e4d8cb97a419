/** Names of peers and of hosts, in the one form in which they are compared. */

export interface OwnNames {
  readonly tenant: string
}

/** `tenant/agent` of `researcher`, `globex/translator` or a full name; `*` stays. A port does not count. */
export function canonicalPeer(peer: string, { tenant }: OwnNames): string {
  const name = peer.trim().toLowerCase().replace(/:\d+$/, '').replace(/\.$/, '')
  if (name === '*' || name.includes('/')) return name
  const [agent = '', of] = name.split('.')
  return `${of ?? tenant.toLowerCase()}/${agent}`
}

/** Host and port of a URL of http or https; null for anything else. */
export function hostOfUrl(url: string): { readonly host: string; readonly port: string } | null {
  try {
    const { protocol, hostname, port } = new URL(url)
    if (protocol !== 'http:' && protocol !== 'https:') return null
    const usual = protocol === 'http:' ? '80' : '443'
    return { host: hostname.replace(/\.$/, ''), port: port === '' ? usual : port }
  } catch {
    // no URL
    return null
  }
}

/** As hosts of policy: `*.example.com` is any depth below it and not itself; without a port, any. */
export function fitsHost(declared: string, host: string, port: string): boolean {
  const [, name = '', only] = /^(.*?)(?::(\d+))?$/.exec(declared.trim().toLowerCase()) ?? []
  if (only !== undefined && only !== port) return false
  if (name === '*') return true
  return name.startsWith('*.') ? host.endsWith(name.slice(1)) : host === name
}
