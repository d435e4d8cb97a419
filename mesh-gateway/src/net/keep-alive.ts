/**
 * TCP keep-alive of connections that may be silent for long: after a minute the kernel asks whether the other side is still there, and
 * firewalls on the way see that the connection is in use. For `net.connect` and for servers.
 */
export const TCP_KEEP_ALIVE = Object.freeze({ keepAlive: true, keepAliveInitialDelay: 60_000 })
