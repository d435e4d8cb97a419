/** Every setting: its key in the file, its environment variable, its flag, and whether it can change while running. */
import { OUTSIDE_ISSUER_KEYS } from './outside-issuers.ts'

export interface Setting {
  /** Dotted, as in the file. */
  readonly key: string
  readonly env: string
  /** Without the dashes, `identity.dir` → `identity-dir`. */
  readonly flag: string
  readonly value: string
  readonly help: string
  /** True when a running gateway takes a change over. */
  readonly live: boolean
  /** A path: relative ones are relative to the file that names them. */
  readonly path: boolean
}

/** A list of objects: no variable and no flag can hold it. */
export interface FileSetting extends Pick<Setting, 'key' | 'help' | 'live'> {
  /** The keys of one entry, dotted. */
  readonly entry: readonly string[]
}

type Trait = 'live' | 'path'

export const SETTINGS: readonly Setting[] = Object.freeze([
  setting('trustDomain', '<name>', 'trust domain of the mesh, e.g. mesh.internal'),
  setting('meshDomain', '<name>', 'suffix of peer names; default the trust domain', 'MESH_DOMAIN'),
  setting('identity.dir', '<dir>', 'holds tls.crt, tls.key and ca.crt of the gateway', 'path'),
  setting('policy.dir', '<dir>', 'holds the policy, one JSON file per tenant', 'path'),
  setting(
    'policy.tenantDirs',
    '<dir>',
    'holds TENANT/TENANT.json, each in a directory that the tenant may write; default none',
    'path',
  ),
  setting('keys.dir', '<dir>', 'holds the keys that sign tokens; made when empty', 'path'),
  setting('keys.overlapMs', '<time>', 'how long a rotated key still verifies; default 24h', 'live'),
  setting('serviceAccounts.file', '<file>', 'service accounts; default none', 'path'),
  setting('revocation.crl', '<file>', 'lists of revoked certificates by CAs; default none', 'path'),
  setting(
    'revocation.list',
    '<file>',
    'what this gateway revokes itself; must exist; default none',
    'path',
  ),
  setting('revocation.stale', '<refuse|keep>', 'when a CRL is out of date; default refuse'),
  setting('audit.file', '<file>', 'audit log, or stdout; default stdout', 'path'),
  setting(
    'audit.openAfterMs',
    '<time>',
    'how long one is open before a record says so; default 5s',
  ),
  setting('egress.listen', '<host:port>', 'egress port, or unix:/path; default 127.0.0.1:8080'),
  setting(
    'egress.tls.dir',
    '<dir>',
    'tls.crt and tls.key of the egress port; default no TLS',
    'path',
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
  setting('delegation.listen', '<host:port>', 'delegation port; default 127.0.0.1:8443'),
  setting('delegation.names', '<names>', 'own names beside those of the certificate', 'live'),
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
    'delegation.limits.bufferedBytes',
    '<number>',
    'what may wait for slow readers in all; default 268435456',
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
  setting(
    'limits.redis.url',
    '<url>',
    'redis:// or rediss:// that gateways count in; default none',
  ),
  setting('limits.redis.username', '<name>', 'user of it; default none'),
  setting('limits.redis.passwordFile', '<file>', 'holds its password; default none', 'path'),
  setting('limits.redis.caFile', '<file>', 'CAs of rediss://; default the public ones', 'path'),
  setting('limits.redis.prefix', '<text>', 'what its keys begin with; default clawmesh:'),
  setting(
    'limits.whenRedisIsAway',
    '<refuse|local>',
    'refuse what is limited, or let each gateway count by itself; default refuse',
  ),
  setting(
    'limits.refusedPerAgent',
    '<number>',
    'refused requests of one agent per minute, a sixth at once; default 600',
  ),
  setting(
    'limits.refusedPerAddress',
    '<number>',
    'the same of clients that are not known, by address; default 600',
  ),
  setting(
    'limits.maxTrees',
    '<number>',
    'trees of delegations that are counted at once; default 1000000',
  ),
  setting('admin.listen', '<host:port>', 'admin port; default 127.0.0.1:9090'),
  setting('dns.servers', '<ip:port,…>', 'DNS servers to ask; default those of the system'),
  setting('dns.maxQueries', '<number>', 'questions to them at once; default 256'),
  setting('drainMs', '<time>', 'how long calls may go on after SIGTERM; default 30s', 'live'),
  setting('reload.pollMs', '<time>', 'how often files are compared; default 10s'),
  setting('spiffe.agentPath', '<path>', 'template of SPIFFE IDs of agents'),
  setting('spiffe.gatewayPath', '<path>', 'template of SPIFFE IDs of gateways'),
  setting('tokens.issuer', '<text>', 'iss of tokens; default https://gateway.<mesh domain>'),
  setting('tokens.ttlMs', '<time>', 'life of a token unless asked otherwise; default 15m', 'live'),
  setting('tokens.maxTtlMs', '<time>', 'longest life of a token; default 1h', 'live'),
  setting(
    'tokens.delegationTtlMs',
    '<time>',
    'longest life of a delegation token; default 1h',
    'live',
  ),
  setting('timeouts.dnsMs', '<time>', 'time to resolve a name; default 5s'),
  setting('timeouts.dialMs', '<time>', 'time to connect; default 10s'),
  setting('timeouts.headerMs', '<time>', 'time to send a request header; default 10s'),
  setting('timeouts.idleTunnelMs', '<time>', 'silence after which a tunnel ends; default 5m'),
  setting(
    'workers',
    '<number|auto>',
    'processes that share the ports; default 1, auto: one per core',
  ),
  setting('log.level', '<level>', 'debug, info, warn or error; default info', 'live'),
])

export const FILE_SETTINGS: readonly FileSetting[] = Object.freeze([
  Object.freeze({
    key: 'tokens.issuers',
    help: 'other issuers of egress tokens; default none',
    live: false,
    entry: OUTSIDE_ISSUER_KEYS,
  }),
])

/** The ones without which a gateway cannot run. */
export const REQUIRED = Object.freeze(['trustDomain', 'identity.dir', 'policy.dir', 'keys.dir'])

export function settingOf(key: string): Setting | undefined {
  return SETTINGS.find((one) => one.key === key)
}

function setting(
  key: string,
  value: string,
  help: string,
  ...traits: (Trait | `MESH_${string}`)[]
): Setting {
  const words = key.split('.').flatMap((part) => part.split(/(?=[A-Z])/))
  const env = traits.find((trait) => trait.startsWith('MESH_'))
  return Object.freeze({
    key,
    env: env ?? `MESH_${words.join('_').toUpperCase()}`,
    flag: words.join('-').toLowerCase(),
    value,
    help,
    live: traits.includes('live'),
    path: traits.includes('path'),
  })
}
