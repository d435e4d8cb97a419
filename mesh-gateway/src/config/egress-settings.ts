/** Settings of the egress port. */
import { type Setting, setting } from './setting.ts'

export const EGRESS_SETTINGS: readonly Setting[] = Object.freeze([
  setting('egress.listen', '<host:port>', 'egress port, or unix:/path; default 127.0.0.1:8080'),
  setting(
    'egress.tls.dir',
    '<dir>',
    'tls.crt and tls.key of the egress port; default no TLS',
    'path',
  ),
  setting(
    'egress.proxyProtocol.from',
    '<cidr,…>',
    'proxies, each connection of which begins with a PROXY header; default none',
  ),
  setting(
    'egress.withoutAudit',
    '<what>',
    'serve, or refuse, while the audit log cannot be written; default serve',
  ),
  setting('egress.ca', '<file>', 'CAs of destinations beside those of the system', 'path'),
  setting(
    'egress.limits.maxConnections',
    '<number>',
    'connections to the egress port at once; default 20000',
  ),
  setting(
    'egress.limits.maxConnectionsPerAddress',
    '<number>',
    'of them from one address, of IPv6 one /64; default 20000',
  ),
  setting(
    'egress.limits.maxUnauthenticatedPerAddress',
    '<number>',
    'of these without a good token; default 1000',
  ),
  setting(
    'egress.limits.newConnectionsPerSecond',
    '<number>',
    'new ones without a good token from one address, twice that in a burst; default 1000',
  ),
  setting(
    'egress.limits.maxConnectionsPerDestination',
    '<number>',
    'connections to one host and port at once, of all agents; default 10000',
  ),
  setting(
    'egress.limits.maxConnectionsPerAgent',
    '<number>',
    'connections to destinations at once, of one agent; default 10000',
  ),
])
