/** Every setting: its key in the file, its environment variable, its flag, and whether it can change while running. */
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

type Trait = 'live' | 'path'

export const SETTINGS: readonly Setting[] = Object.freeze([
  setting('trustDomain', '<name>', 'trust domain of the mesh, e.g. mesh.internal'),
  setting('meshDomain', '<name>', 'suffix of peer names; default the trust domain', 'MESH_DOMAIN'),
  setting('identity.dir', '<dir>', 'holds tls.crt, tls.key and ca.crt of the gateway', 'path'),
  setting('policy.dir', '<dir>', 'holds the policy, one JSON file per tenant', 'path'),
  setting('keys.dir', '<dir>', 'holds the keys that sign tokens; made when empty', 'path'),
  setting('keys.overlapMs', '<time>', 'how long a rotated key still verifies; default 24h', 'live'),
  setting('serviceAccounts.file', '<file>', 'service accounts; default none', 'path'),
  setting('revocation.crl', '<file>', 'lists of revoked certificates by CAs; default none', 'path'),
  setting('revocation.list', '<file>', 'what this gateway revokes itself; default none', 'path'),
  setting('revocation.stale', '<refuse|keep>', 'when a CRL is out of date; default refuse'),
  setting('audit.file', '<file>', 'audit log, or stdout; default stdout', 'path'),
  setting('egress.listen', '<host:port>', 'egress port; default 127.0.0.1:8080'),
  setting('egress.ca', '<file>', 'CAs of destinations beside those of the system', 'path'),
  setting('delegation.listen', '<host:port>', 'delegation port; default 127.0.0.1:8443'),
  setting('delegation.names', '<names>', 'own names beside those of the certificate', 'live'),
  setting('admin.listen', '<host:port>', 'admin port; default 127.0.0.1:9090'),
  setting('dns.servers', '<ip:port,…>', 'DNS servers to ask; default those of the system'),
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
  setting('log.level', '<level>', 'debug, info, warn or error; default info', 'live'),
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
