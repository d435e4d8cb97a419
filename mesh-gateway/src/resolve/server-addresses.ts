/** Adds the default port to configured DNS servers without one. */
export function withPorts(servers: readonly string[]): string[] {
  return servers.map((server) => {
    if (/^\[.*\]:\d+$/.test(server) || /^[^:]+:\d+$/.test(server)) return server
    return server.includes(':') ? `[${server}]:53` : `${server}:53`
  })
}
