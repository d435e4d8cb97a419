/** The names of files in a backup of a gateway: where they are in a restored directory. */

/** The configuration, whose paths lead to the other files. It makes a restored directory complete. */
export const CONFIG_NAME = 'gateway.json'
export const KEYS_DIR = 'keys'
export const POLICY_DIR = 'policy'
export const TENANTS_DIR = 'tenants'
export const IDENTITY_DIR = 'identity'
export const EGRESS_TLS_DIR = 'egress-tls'
export const INCLUDED_DIR = 'included'
export const ISSUERS_DIR = 'issuers'

/** Single files, by their setting. */
export const FILE_NAMES: Readonly<Record<string, string>> = Object.freeze({
  'serviceAccounts.file': 'accounts.json',
  'revocation.list': 'revocations.jsonl',
  'revocation.crl': 'crl.pem',
  'egress.ca': 'egress-ca.pem',
  'limits.redis.passwordFile': 'redis-password',
  'limits.redis.caFile': 'redis-ca.pem',
  'traces.caFile': 'traces-ca.pem',
  'traces.tokenFile': 'traces-token',
})
/** Directories, by their setting. */
export const DIRECTORY_NAMES: Readonly<Record<string, string>> = Object.freeze({
  'identity.dir': IDENTITY_DIR,
  'policy.dir': POLICY_DIR,
  'policy.tenantDirs': TENANTS_DIR,
  'keys.dir': KEYS_DIR,
  'egress.tls.dir': EGRESS_TLS_DIR,
})

const PAIR = '(?:tls\\.crt|tls\\.key|ca\\.crt)'
const FORMS: readonly RegExp[] = [
  new RegExp(`^(?:${IDENTITY_DIR}|${EGRESS_TLS_DIR})/${PAIR}$`),
  new RegExp(`^${KEYS_DIR}/(?:ring\\.json|[A-Za-z0-9_-]{43}\\.pem)$`),
  new RegExp(`^${POLICY_DIR}/[\\w.-]+\\.json$`),
  new RegExp(`^${TENANTS_DIR}/[\\w.-]+/[\\w.-]+\\.json$`),
  new RegExp(`^${ISSUERS_DIR}/\\d{1,2}-(?:ca\\.pem|token)$`),
  new RegExp(`^${INCLUDED_DIR}/[^/]+$`),
]

/** True for the files of a gateway, below a restored directory. */
export function isGatewayFile(name: string): boolean {
  return (
    name === CONFIG_NAME ||
    Object.values(FILE_NAMES).includes(name) ||
    FORMS.some((form) => form.test(name))
  )
}
