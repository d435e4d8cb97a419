/** The schema of the configuration. Accepts text where environment and flags give text. */
import { isIP } from 'node:net'
import { isDnsName, MeshError, spiffeTemplateFaults } from '@clawmesh/proto'
import { parseTokenUri } from '@clawmesh/proto/pkcs11'
import { z } from 'zod'
import { DEFAULT_OPEN_AFTER_MS } from '../audit/open-record.ts'
import { parseListenAddress, parseListenAddressOrSocket } from '../net/listen-address.ts'
import { usableCores } from '../process/usable-cores.ts'
import { type ExternalIssuerConfig, externalIssuers } from './external-issuers.ts'
import { DEFAULT_GUARD_LIMITS, type GuardLimits } from './guard-limits.ts'
import { proxyRange } from './proxy-range.ts'
import { staticPeers } from './static-peers.ts'
import { duration } from './time-value.ts'
import { traceExport } from './trace-export.ts'

const DAY_MS = 86_400_000
const MAX_WORKERS = 64
const WORKERS = `must be a whole number from 1 to ${MAX_WORKERS}, or auto`

const name = z.string().refine(isDnsName, 'must be a lower-case DNS name, e.g. mesh.internal')
const path = z.string().min(1, 'must not be empty')
const listen = (fallback: string, parse = parseListenAddress) =>
  z
    .string()
    .default(fallback)
    .transform((text, context) => {
      const address = parse(text)
      if (typeof address !== 'string') return address
      context.addIssue({ code: 'custom', message: address })
      return z.NEVER
    })
const listenOrNone = z
  .string()
  .transform((text, context) => {
    const address = parseListenAddress(text)
    if (typeof address !== 'string') return address
    context.addIssue({ code: 'custom', message: address })
    return z.NEVER
  })
  .nullable()
  .default(null)
const consoleSwitch = z.enum(['auto', 'on', 'off'], 'must be auto, on or off').default('auto')
const withoutAudit = z.enum(['serve', 'refuse'], 'must be serve or refuse').default('serve')
const list = (item: z.ZodType<string, string>) =>
  z.preprocess(
    (value) => (typeof value === 'string' ? value.split(',').map((one) => one.trim()) : value),
    z.array(item).max(100),
  )
const PORT = 'must be a port from 1 to 65535'
const ports = z.preprocess(
  (value) => (typeof value === 'string' ? value.split(',').map(Number) : value),
  z.array(z.number(PORT).int(PORT).min(1, PORT).max(65_535, PORT)).max(100),
)
const dnsServer = z.string().refine((text) => {
  if (isIP(text) !== 0) return true
  const address = parseListenAddress(text)
  return typeof address !== 'string' && isIP(address.host) !== 0 && address.port !== 0
}, 'must be an IP address, with or without a port: 10.0.0.2:53 or [fd00::2]:53')

const tokenUri = z.string().superRefine((text, context) => {
  try {
    parseTokenUri(text)
  } catch (error) {
    const message = error instanceof MeshError ? error.message : 'must be a PKCS #11 URI'
    context.addIssue({ code: 'custom', message })
  }
})

/** A missing section equals an empty one. */
const section = <T extends z.ZodRawShape>(shape: T) =>
  z.preprocess((value) => (value === undefined ? {} : value), z.strictObject(shape))

const proxyProtocol = section({ from: list(proxyRange).default([]) })

/** The bounds keep a typing error from closing the port, or from opening it to any load. */
const guardLimits = {
  maxConnections: count('maxConnections', 10, 1_000_000),
  maxConnectionsPerAddress: count('maxConnectionsPerAddress', 1, 1_000_000),
  maxConnectionsPerAgent: count('maxConnectionsPerAgent', 1, 1_000_000),
  maxHandshakes: count('maxHandshakes', 10, 1_000_000),
  maxHandshakesPerAddress: count('maxHandshakesPerAddress', 1, 1_000_000),
  newConnectionsPerSecond: count('newConnectionsPerSecond', 1, 1_000_000),
  handshakeMs: guardTime('handshakeMs', 100, 120_000),
  ownCallsPerMinute: count('ownCallsPerMinute', 1, 100_000_000),
  maxConcurrentStreams: count('maxConcurrentStreams', 1, 100_000),
  maxCalls: count('maxCalls', 10, 10_000_000),
  maxCallsPerTenant: count('maxCallsPerTenant', 1, 10_000_000),
  maxCallsPerAgent: count('maxCallsPerAgent', 1, 10_000_000),
  streamsPerSecond: count('streamsPerSecond', 1, 10_000_000),
  resetsPerSecond: count('resetsPerSecond', 1, 1_000_000),
  controlFramesPerSecond: count('controlFramesPerSecond', 10, 10_000_000),
  controlBytesPerSecond: count('controlBytesPerSecond', 16_384, 10_000_000_000),
  headerBytes: count('headerBytes', 1_024, 65_536),
  headerCount: count('headerCount', 16, 1_000),
  maxMcpRequests: count('maxMcpRequests', 10, 1_000_000),
  maxMcpRequestsPerAgent: count('maxMcpRequestsPerAgent', 1, 1_000_000),
  mcpBodyBytes: count('mcpBodyBytes', 1_024, 16_777_216),
  mcpBufferedBytes: count('mcpBufferedBytes', 1_048_576, 1_000_000_000_000),
  bufferedBytes: count('bufferedBytes', 1_048_576, 1_000_000_000_000),
  pingMs: guardTime('pingMs', 1_000, 3_600_000),
  connectionAgeMs: guardTime('connectionAgeMs', 0, 30 * DAY_MS),
  connectionAgeGraceMs: guardTime('connectionAgeGraceMs', 0, 30 * DAY_MS),
}

const redisUrl = z.string().superRefine((text, context) => {
  const url = URL.canParse(text) ? new URL(text) : null
  const fault =
    (url?.protocol !== 'redis:' && url?.protocol !== 'rediss:') || url.hostname === ''
      ? 'must be redis://host:port/db, or rediss:// for TLS'
      : url.username !== '' || url.password !== ''
        ? 'must not carry credentials; they belong into username and passwordFile'
        : url.search !== '' || url.hash !== ''
          ? 'must end with the number of the database'
          : null
  if (fault !== null) context.addIssue({ code: 'custom', message: fault })
})

const redis = z
  .strictObject({
    url: redisUrl.nullable().default(null),
    username: z.string().min(1).max(200).nullable().default(null),
    passwordFile: path.nullable().default(null),
    caFile: path.nullable().default(null),
    prefix: z
      .string()
      .regex(/^[\w:.{}-]{1,64}$/, 'must be letters, digits and _:.-{}, 64 at most')
      .default('clawmesh:'),
  })
  .superRefine(({ url, username, passwordFile, caFile }, context) => {
    const without = (key: string, value: string | null, what: string) => {
      const message = `has no effect without ${what}`
      if (value !== null) context.addIssue({ code: 'custom', path: [key], message })
    }
    if (url === null) without('username', username, 'limits.redis.url')
    if (url === null) without('passwordFile', passwordFile, 'limits.redis.url')
    if (url?.startsWith('rediss:') !== true)
      without('caFile', caFile, 'rediss:// in limits.redis.url')
  })

export const configSchema = z.strictObject({
  trustDomain: name,
  meshDomain: name.optional(),
  identity: section({ dir: path }),
  policy: section({ dir: path, tenantDirs: path.nullable().default(null) }),
  keys: section({
    dir: path,
    overlapMs: duration(DAY_MS, 60_000, 90 * DAY_MS),
    pkcs11: tokenUri.nullable().default(null),
  }),
  serviceAccounts: section({ file: path.nullable().default(null) }),
  revocation: section({
    crl: path.nullable().default(null),
    list: path.nullable().default(null),
    stale: z.enum(['refuse', 'keep'], 'must be refuse or keep').default('refuse'),
  }),
  audit: section({
    file: path.default('stdout'),
    openAfterMs: duration(DEFAULT_OPEN_AFTER_MS, 100, DAY_MS),
  }),
  egress: section({
    listen: listen('127.0.0.1:8080', parseListenAddressOrSocket),
    tls: section({ dir: path.nullable().default(null) }),
    proxyProtocol,
    withoutAudit,
    ca: path.nullable().default(null),
    limits: section({
      maxConnections: wholeNumber(20_000, 10, 1_000_000),
      maxConnectionsPerAddress: wholeNumber(20_000, 1, 1_000_000),
      maxUnauthenticatedPerAddress: wholeNumber(1_000, 1, 1_000_000),
      newConnectionsPerSecond: wholeNumber(1_000, 1, 1_000_000),
      maxConnectionsPerDestination: wholeNumber(10_000, 1, 1_000_000),
      maxConnectionsPerAgent: wholeNumber(10_000, 1, 1_000_000),
    }),
  }).superRefine(({ listen, proxyProtocol }, context) => {
    const path = ['proxyProtocol', 'from']
    const message =
      'needs an IP address in egress.listen: a Unix socket tells no address of a proxy'
    if (listen.path !== undefined && proxyProtocol.from.length > 0)
      context.addIssue({ code: 'custom', path, message })
  }),
  delegation: section({
    listen: listen('127.0.0.1:8443'),
    proxyProtocol,
    names: list(name).default([]),
    peers: staticPeers,
    peerPorts: ports.default([7443]),
    withoutAudit,
    mcp: z.enum(['on', 'off'], 'must be on or off').default('on'),
    limits: section(guardLimits),
  }),
  limits: section({
    redis: z.preprocess((value) => value ?? {}, redis),
    whenRedisIsAway: z.enum(['refuse', 'local'], 'must be refuse or local').default('refuse'),
    refusedPerAgent: wholeNumber(600, 1, 100_000_000),
    refusedPerAddress: wholeNumber(600, 1, 100_000_000),
    maxTrees: wholeNumber(1_000_000, 100, 100_000_000),
  }),
  admin: section({ listen: listen('127.0.0.1:9090'), console: consoleSwitch }),
  health: section({ listen: listenOrNone }),
  dns: section({
    servers: list(dnsServer).nullable().default(null),
    maxQueries: wholeNumber(256, 4, 10_000),
  }),
  drainMs: duration(30_000, 0, 3_600_000),
  reload: section({ pollMs: duration(10_000, 100, 3_600_000) }),
  spiffe: section({
    agentPath: z.string().default('/tenant/{tenant}/agent/{agent}'),
    gatewayPath: z.string().default('/gateway/{name}'),
  }).superRefine((paths, context) => {
    for (const { option, message } of spiffeTemplateFaults(paths))
      context.addIssue({ code: 'custom', path: [option], message })
  }),
  tokens: section({
    issuer: z.string().min(1).max(200).optional(),
    ttlMs: duration(900_000, 1000, DAY_MS),
    maxTtlMs: duration(3_600_000, 1000, DAY_MS),
    delegationTtlMs: duration(3_600_000, 1000, DAY_MS),
    issuers: externalIssuers,
  }),
  timeouts: section({
    dnsMs: duration(5000, 100, 60_000),
    dialMs: duration(10_000, 100, 120_000),
    headerMs: duration(10_000, 100, 120_000),
    idleTunnelMs: duration(300_000, 1000, DAY_MS),
    answerMs: duration(900_000, 1000, DAY_MS),
  }),
  traces: traceExport,
  workers: z
    .union([z.literal('auto'), z.number(), z.string().regex(/^\d{1,2}$/, WORKERS)], WORKERS)
    .default(1)
    .transform((value) => (value === 'auto' ? value : Number(value)))
    .refine((value) => value === 'auto' || isWorkerCount(value), WORKERS),
  log: section({
    level: z
      .enum(['debug', 'info', 'warn', 'error'], 'must be debug, info, warn or error')
      .default('info'),
  }),
})

function guardTime(key: keyof GuardLimits, leastMs: number, mostMs: number) {
  return duration(DEFAULT_GUARD_LIMITS[key], leastMs, mostMs)
}

function count(key: keyof GuardLimits, least: number, most: number) {
  return wholeNumber(DEFAULT_GUARD_LIMITS[key], least, most)
}

function wholeNumber(fallback: number, least: number, most: number) {
  const message = `must be a whole number from ${least} to ${most}`
  return z
    .union(
      [z.number().meta({ minimum: least, maximum: most }), z.string().regex(/^\d{1,15}$/, message)],
      message,
    )
    .default(fallback)
    .transform(Number)
    .refine((value) => Number.isInteger(value) && value >= least && value <= most, message)
}

function isWorkerCount(value: number): boolean {
  return Number.isInteger(value) && value >= 1 && value <= MAX_WORKERS
}

type Parsed = z.output<typeof configSchema>

/** The number of processes that serve the ports. `auto` looks at the machine, and its answer may change. */
export function workersOf({ workers }: Pick<Config, 'workers'>): number {
  return workers === 'auto' ? Math.min(usableCores(), MAX_WORKERS) : workers
}

/** The complete, validated configuration of a gateway. Paths are absolute. */
export interface Config extends Omit<Parsed, 'meshDomain' | 'tokens'> {
  readonly meshDomain: string
  readonly tokens: {
    readonly issuer: string
    readonly ttlMs: number
    readonly maxTtlMs: number
    readonly delegationTtlMs: number
    /** External issuers whose egress tokens are accepted. */
    readonly issuers: readonly ExternalIssuerConfig[]
  }
}

export function completeConfig(parsed: Parsed): Config {
  const meshDomain = parsed.meshDomain ?? parsed.trustDomain
  const issuer = parsed.tokens.issuer ?? `https://gateway.${meshDomain}`
  return { ...parsed, meshDomain, tokens: { ...parsed.tokens, issuer } }
}
