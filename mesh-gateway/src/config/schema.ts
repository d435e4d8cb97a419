/** The shape of the configuration. Text is accepted where environment and flags bring it. */
import { isIP } from 'node:net'
import { createSpiffeTemplate, isDnsName } from '@clawmesh/proto'
import { z } from 'zod'
import { parseDuration } from './duration.ts'
import { parseListenAddress } from './listen-address.ts'

const DAY_MS = 86_400_000

const name = z.string().refine(isDnsName, 'must be a lower-case DNS name, e.g. mesh.internal')
const path = z.string().min(1, 'must not be empty')
const listen = (fallback: string) =>
  z
    .string()
    .default(fallback)
    .transform((text, context) => {
      const address = parseListenAddress(text)
      if (typeof address !== 'string') return address
      context.addIssue({ code: 'custom', message: address })
      return z.NEVER
    })
const duration = (fallbackMs: number, leastMs: number, mostMs: number) =>
  z
    .union([z.number(), z.string()], 'must be a time: 15m, 30s, or a number of milliseconds')
    .default(fallbackMs)
    .transform((value, context) => {
      const ms = typeof value === 'number' ? value : parseDuration(value)
      const fault =
        ms === null || !Number.isInteger(ms)
          ? 'must be a time: 15m, 30s, or a number of milliseconds'
          : ms < leastMs || ms > mostMs
            ? `must be from ${leastMs} to ${mostMs} milliseconds`
            : null
      if (fault === null && ms !== null) return ms
      context.addIssue({ code: 'custom', message: fault ?? '' })
      return z.NEVER
    })
const list = (item: z.ZodType<string, string>) =>
  z.preprocess(
    (value) => (typeof value === 'string' ? value.split(',').map((one) => one.trim()) : value),
    z.array(item).max(100),
  )
const dnsServer = z.string().refine((text) => {
  if (isIP(text) !== 0) return true
  const address = parseListenAddress(text)
  return typeof address !== 'string' && isIP(address.host) !== 0 && address.port !== 0
}, 'must be an IP address, with or without a port: 10.0.0.2:53 or [fd00::2]:53')

/** A section that is left out is as good as an empty one. */
const section = <T extends z.ZodRawShape>(shape: T) =>
  z.preprocess((value) => (value === undefined ? {} : value), z.strictObject(shape))

const template = (option: 'agentPath' | 'gatewayPath') =>
  z.string().superRefine((text, context) => {
    try {
      createSpiffeTemplate({ trustDomain: 'mesh.internal', [option]: text })
    } catch (error) {
      const message = error instanceof Error ? error.message.replace(`${option}: `, '') : ''
      context.addIssue({ code: 'custom', message })
    }
  })

export const configSchema = z.strictObject({
  trustDomain: name,
  meshDomain: name.optional(),
  identity: section({ dir: path }),
  policy: section({ dir: path }),
  keys: section({ dir: path, overlapMs: duration(DAY_MS, 60_000, 90 * DAY_MS) }),
  serviceAccounts: section({ file: path.nullable().default(null) }),
  revocation: section({
    crl: path.nullable().default(null),
    list: path.nullable().default(null),
    stale: z.enum(['refuse', 'keep'], 'must be refuse or keep').default('refuse'),
  }),
  audit: section({ file: path.default('stdout') }),
  egress: section({
    listen: listen('127.0.0.1:8080'),
    ca: path.nullable().default(null),
  }),
  delegation: section({
    listen: listen('127.0.0.1:8443'),
    names: list(name).default([]),
  }),
  admin: section({ listen: listen('127.0.0.1:9090') }),
  dns: section({ servers: list(dnsServer).nullable().default(null) }),
  drainMs: duration(30_000, 0, 3_600_000),
  reload: section({ pollMs: duration(10_000, 100, 3_600_000) }),
  spiffe: section({
    agentPath: template('agentPath').default('/tenant/{tenant}/agent/{agent}'),
    gatewayPath: template('gatewayPath').default('/gateway/{name}'),
  }),
  tokens: section({
    issuer: z.string().min(1).max(200).optional(),
    ttlMs: duration(900_000, 1000, DAY_MS),
    maxTtlMs: duration(3_600_000, 1000, DAY_MS),
    delegationTtlMs: duration(3_600_000, 1000, DAY_MS),
  }),
  timeouts: section({
    dnsMs: duration(5000, 100, 60_000),
    dialMs: duration(10_000, 100, 120_000),
    headerMs: duration(10_000, 100, 120_000),
    idleTunnelMs: duration(300_000, 1000, DAY_MS),
  }),
  log: section({
    level: z
      .enum(['debug', 'info', 'warn', 'error'], 'must be debug, info, warn or error')
      .default('info'),
  }),
})

type Parsed = z.output<typeof configSchema>

/** The configuration of a gateway, complete and proven. Paths are absolute. */
export interface Config extends Omit<Parsed, 'meshDomain' | 'tokens'> {
  readonly meshDomain: string
  readonly tokens: {
    readonly issuer: string
    readonly ttlMs: number
    readonly maxTtlMs: number
    readonly delegationTtlMs: number
  }
}

export function completeConfig(parsed: Parsed): Config {
  const meshDomain = parsed.meshDomain ?? parsed.trustDomain
  const issuer = parsed.tokens.issuer ?? `https://gateway.${meshDomain}`
  return { ...parsed, meshDomain, tokens: { ...parsed.tokens, issuer } }
}
