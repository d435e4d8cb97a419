/**
 * The configuration of external issuers (trusted issuers, federated issuers) of egress tokens. Defaults are the narrow
 * choice, and the tenants of an issuer have no default.
 */
import { resolve } from 'node:path'
import { isLoopback } from '@clawmesh/agent-sdk/mesh'
import { EGRESS_AUDIENCE, isDnsLabel } from '@clawmesh/proto'
import { z } from 'zod'
import { claimPathFault } from './claim-path.ts'
import { time } from './time-value.ts'

/** Asymmetric only: with HS256 the public key would be the secret. */
export const EXTERNAL_ALGORITHMS = Object.freeze([
  ...(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'] as const),
  ...(['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'] as const),
])

const DAY_MS = 86_400_000
const MAX_ISSUERS = 50
const LABEL = 'must be a lower-case DNS label, e.g. acme'

const required = (what: string) => ({
  error: ({ input }: { readonly input?: unknown }) =>
    input === undefined ? `is missing: ${what}` : `must be ${what}`,
})
const text = (what: string) => z.string(required(what)).min(1, 'must not be empty').max(200)
const label = z.string(LABEL).refine(isDnsLabel, LABEL)
const claim = z
  .string('must be the name of a claim, or a JSON pointer')
  .superRefine(refuse(claimPathFault))

const file = z.string().min(1, 'must not be empty').nullable().default(null)

const shape = {
  /** The exact `iss` of its tokens. */
  issuer: text('the iss of its tokens'),
  jwksUri: text('the URL of its public keys').superRefine(refuse(uriFault)),
  /** PEM: the CAs of the server of jwksUri, in place of the usual ones. Null: the usual ones. */
  caFile: file,
  /** The bearer token to ask for the keys with, read each time. Null: none. */
  tokenFile: file,
  audience: text('the aud that its tokens carry for this gateway').default(EGRESS_AUDIENCE),
  algorithms: z
    .array(z.enum(EXTERNAL_ALGORITHMS, `must be one of ${EXTERNAL_ALGORITHMS.join(', ')}`))
    .min(1, 'must name one at least')
    .default([...EXTERNAL_ALGORITHMS]),
  /** The only tenants for which it may speak. */
  tenants: z
    .array(label, required('the tenants that it may speak for'))
    .min(1, 'must name one tenant at least')
    .max(1000),
  /** The tenant of all its tokens, where they name none. */
  fixedTenant: label.nullable().default(null),
  claims: z.preprocess(
    (value) => value ?? {},
    z.strictObject({
      tenant: claim.nullable().default(null),
      agent: claim.default('agent_id'),
      destinations: claim.nullable().default(null),
    }),
  ),
  /** The source of destinations: its tokens, or all that policy allows the agent. */
  destinations: z.enum(['claim', 'policy'], 'must be claim or policy').default('claim'),
  /** Null: tokens.maxTtlMs. */
  maxTtlMs: time(1000, DAY_MS).nullable().default(null),
}

/** The keys of one entry, dotted. */
export const OUTSIDE_ISSUER_KEYS: readonly string[] = Object.freeze(
  Object.keys(shape).flatMap((key) =>
    key === 'claims' ? ['claims.tenant', 'claims.agent', 'claims.destinations'] : [key],
  ),
)

const externalIssuer = z
  .strictObject(shape)
  .superRefine(({ tenants, fixedTenant, claims, destinations }, context) => {
    const fault = (key: string[], message: string) =>
      context.addIssue({ code: 'custom', path: key, message })
    if (fixedTenant !== null && (tenants.length !== 1 || tenants[0] !== fixedTenant))
      fault(['fixedTenant'], 'must be the one tenant in tenants')
    if (fixedTenant !== null && claims.tenant !== null)
      fault(['claims', 'tenant'], 'has no effect with fixedTenant')
    if (destinations === 'policy' && claims.destinations !== null)
      fault(['claims', 'destinations'], 'has no effect with destinations: policy')
  })
  .transform(({ claims, ...entry }) => ({
    ...entry,
    claims: {
      ...claims,
      tenant: entry.fixedTenant === null ? (claims.tenant ?? 'tenant') : null,
      destinations:
        entry.destinations === 'claim' ? (claims.destinations ?? 'allowed_destinations') : null,
    },
  }))

export type ExternalIssuerConfig = Readonly<z.output<typeof externalIssuer>>

export const externalIssuers = z
  .array(externalIssuer, 'must be a list of issuers')
  .max(MAX_ISSUERS, `must name ${MAX_ISSUERS} at most`)
  .default([])

/** The same entries, with paths from a base. What is no list, or no path, is for the schema to refuse. */
export function withAbsoluteFiles(issuers: unknown, base: string): unknown {
  if (!Array.isArray(issuers)) return issuers
  return issuers.map((entry: unknown) => {
    if (typeof entry !== 'object' || entry === null) return entry
    const paths = ['caFile', 'tokenFile'].flatMap((key) => {
      const path: unknown = Reflect.get(entry, key)
      return typeof path === 'string' && path !== '' ? [[key, resolve(base, path)]] : []
    })
    return { ...entry, ...Object.fromEntries(paths) }
  })
}

function refuse(fault: (text: string) => string | null) {
  return (value: string, context: z.RefinementCtx) => {
    const message = fault(value)
    if (message !== null) context.addIssue({ code: 'custom', message })
  }
}

/** An attacker who could change the keys in transit could impersonate every agent. */
function uriFault(value: string): string | null {
  const url = URL.parse(value)
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:'))
    return 'must be an https URL'
  if (url.protocol === 'http:' && !isLoopback(url.hostname))
    return 'must be https; http is for loopback hosts alone'
  if (url.username !== '' || url.password !== '') return 'must not carry credentials'
  return url.hash === '' ? null : 'must have no fragment'
}
