/** Every setting: its key in the file, its environment variable, its flag, and whether it can change at run time. */
import { DELEGATION_SETTINGS } from './delegation-settings.ts'
import { EGRESS_SETTINGS } from './egress-settings.ts'
import { OUTSIDE_ISSUER_KEYS } from './external-issuers.ts'
import { type Setting, setting } from './setting.ts'

/** A list of objects, which no variable and no flag can give. */
export interface FileSetting extends Pick<Setting, 'key' | 'help' | 'live'> {
  /** The keys of one entry, dotted. */
  readonly entry: readonly string[]
}

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
  setting(
    'keys.pkcs11',
    '<uri>',
    'token that holds the private keys, pkcs11:token=…?module-path=…&pin-source=file:…; default none',
  ),
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
  ...EGRESS_SETTINGS,
  ...DELEGATION_SETTINGS,
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
  setting(
    'admin.console',
    '<auto|on|off>',
    'the console and /api/ on the admin port; default auto: on where it listens on loopback',
  ),
  setting('health.listen', '<host:port>', 'health port, for probes; default none'),
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
    'timeouts.answerMs',
    '<time>',
    'silence after which a request without an answer ends; default 15m',
  ),
  setting('traces.url', '<url>', 'collector that spans are posted to, by OTLP/HTTP; default none'),
  setting('traces.caFile', '<file>', 'CAs of an https collector; default the public ones', 'path'),
  setting('traces.tokenFile', '<file>', 'holds a bearer token for it; default none', 'path'),
  setting('traces.ratio', '<number>', 'share of traces that is exported, 0 to 1; default 1'),
  setting(
    'workers',
    '<number|auto>',
    'processes that share the ports; default 1, auto: one per core of the CPU limit',
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

/** The settings without a default that every gateway needs. */
export const REQUIRED = Object.freeze(['trustDomain', 'identity.dir', 'policy.dir', 'keys.dir'])

export function settingOf(key: string): Setting | undefined {
  return SETTINGS.find((one) => one.key === key)
}
