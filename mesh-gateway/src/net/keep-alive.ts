/**
 * TCP keep-alive for connections that may be silent for long: after a minute the kernel probes the other side, and
 * firewalls on the path see that the connection is in use. For `net.connect` and for servers.
 */
export const TCP_KEEP_ALIVE = Object.freeze({ keepAlive: true, keepAliveInitialDelay: 60_000 })
