/** Settings of the delegation port. */
import { type Setting, setting } from './setting.ts'

export const DELEGATION_SETTINGS: readonly Setting[] = Object.freeze([
  setting('delegation.listen', '<host:port>', 'delegation port; default 127.0.0.1:8443'),
  setting(
    'delegation.proxyProtocol.from',
    '<cidr,…>',
    'proxies, each connection of which begins with a PROXY header; default none',
  ),
  setting('delegation.names', '<names>', 'own names beside those of the certificate', 'live'),
  setting(
    'delegation.peers',
    '<name=host:port,…>',
    'addresses of peers that no DNS knows; default none',
    'live',
  ),
  setting(
    'delegation.peerPorts',
    '<ports>',
    'ports of peers that callers may name, beside those of SRV; default 7443',
  ),
  setting(
    'delegation.withoutAudit',
    '<what>',
    'serve, or refuse, while the audit log cannot be written; default serve',
  ),
  setting(
    'delegation.mcp',
    '<on|off>',
    'the MCP endpoint /mcp, for agents by their certificates; default on',
  ),
  setting(
    'delegation.limits.maxConnections',
    '<number>',
    'connections to the delegation port at once; default 20000',
  ),
  setting(
    'delegation.limits.maxConnectionsPerAddress',
    '<number>',
    'of them from one address, of IPv6 one /64; default 5000',
  ),
  setting(
    'delegation.limits.maxConnectionsPerAgent',
    '<number>',
    'of them by one agent; default 200',
  ),
  setting(
    'delegation.limits.maxHandshakes',
    '<number>',
    'of them yet to show a good certificate; default 1000',
  ),
  setting(
    'delegation.limits.maxHandshakesPerAddress',
    '<number>',
    'of these from one address; default 500',
  ),
  setting(
    'delegation.limits.newConnectionsPerSecond',
    '<number>',
    'new ones without a good certificate from one address, twice that in a burst; default 1000',
  ),
  setting(
    'delegation.limits.handshakeMs',
    '<time>',
    'time to show it and to send HTTP/2 settings; default 10s',
  ),
  setting(
    'delegation.limits.ownCallsPerMinute',
    '<number>',
    'calls of one caller to the gateway itself, a tenth at once; default 6000',
  ),
  setting(
    'delegation.limits.maxConcurrentStreams',
    '<number>',
    'calls at once on one connection; default 1000',
  ),
  setting('delegation.limits.maxCalls', '<number>', 'calls at once, in all; default 10000'),
  setting('delegation.limits.maxCallsPerTenant', '<number>', 'of one tenant; default 7500'),
  setting('delegation.limits.maxCallsPerAgent', '<number>', 'of one agent; default 1000'),
  setting(
    'delegation.limits.streamsPerSecond',
    '<number>',
    'new calls on one connection, twice that in a burst; default 10000',
  ),
  setting(
    'delegation.limits.resetsPerSecond',
    '<number>',
    'resets on one connection, ten times that in a burst; default 200',
  ),
  setting(
    'delegation.limits.controlFramesPerSecond',
    '<number>',
    'PING and SETTINGS on one connection, twice that in a burst; default 5000',
  ),
  setting(
    'delegation.limits.controlBytesPerSecond',
    '<number>',
    'bytes on one connection that are for no call, eight times that in a burst; default 1048576',
  ),
  setting(
    'delegation.limits.headerBytes',
    '<number>',
    'names and values of the headers of one call; default 16384',
  ),
  setting('delegation.limits.headerCount', '<number>', 'headers of one call; default 100'),
  setting(
    'delegation.limits.maxMcpRequests',
    '<number>',
    'requests to the MCP endpoint at once, in all; default 2000',
  ),
  setting('delegation.limits.maxMcpRequestsPerAgent', '<number>', 'of one agent; default 200'),
  setting(
    'delegation.limits.mcpBodyBytes',
    '<number>',
    'body of one such request; default 4194304',
  ),
  setting(
    'delegation.limits.mcpBufferedBytes',
    '<number>',
    'such bodies that are being read, in all; default 67108864',
  ),
  setting(
    'delegation.limits.bufferedBytes',
    '<number>',
    'what may wait for slow readers in all, half of it for one connection; default 268435456',
  ),
  setting(
    'delegation.limits.pingMs',
    '<time>',
    'silence after which a caller or callee is asked for a sign of life; default 30s',
  ),
  setting(
    'delegation.limits.connectionAgeMs',
    '<time>',
    'age at which a connection takes no new calls, 0 for none; default 1h',
  ),
  setting(
    'delegation.limits.connectionAgeGraceMs',
    '<time>',
    'how long its calls may go on, 0 for as long as they like; default 1h',
  ),
])
