/** DNS servers may be configured without their port. */
export function withPorts(servers: readonly string[]): string[] {
  return servers.map((server) => {
    if (/^\[.*\]:\d+$/.test(server) || /^[^:]+:\d+$/.test(server)) return server
    return server.includes(':') ? `[${server}]:53` : `${server}:53`
  })
}
