/**
 * The schema of policy files. docs/reference/policy.schema.json is generated from it (`node scripts/json-schemas.ts`;
 * a test checks that they agree). Unknown keys are errors everywhere.
 */
import { isDnsLabel, isDnsName } from '@clawmesh/proto'
import { z } from 'zod'
import {
  cidr,
  count,
  hops,
  hostPattern,
  httpMethod,
  list,
  mode,
  pathGlob,
  port,
  rpcMethod,
  schemaKey,
  selector,
  text,
} from './schema-values.ts'

export type TenantDocument = z.infer<typeof tenantSchema>
export type GlobalDocument = z.infer<typeof globalSchema>
export type EgressRuleDocument = z.infer<typeof egressRule>
export type DelegationRuleDocument = z.infer<typeof delegationRule>

const egressRule = z
  .strictObject({
    host: hostPattern,
    methods: list(httpMethod).min(1).optional(),
    paths: list(pathGlob).min(1).optional(),
    scheme: z.enum(['https', 'http']).optional().meta({
      description:
        'What the gateway speaks to the destination in relay form, `http` being without TLS. Default https. Not looked at in the other forms',
    }),
    noServerName: z.enum(['refuse', 'allow']).optional().meta({
      description:
        'What to do about a ClientHello that names no server, in a tunnel to this host, where egress.tls.noServerName of _global.json is absent. Default refuse',
    }),
  })
  .check(({ value, issues }) => {
    const hidden = value.methods !== undefined || value.paths !== undefined
    if (value.noServerName === undefined || !hidden) return
    const message = 'has no effect beside methods or paths: such a rule never matches a tunnel'
    issues.push({ code: 'custom', message, path: ['noServerName'], input: value })
  })
  .meta({
    description:
      'A rule with methods or paths never matches a tunnel, whose inside the gateway does not see',
  })
const egressAllow = list(z.union([hostPattern, egressRule]))
const egressDeny = list(hostPattern).meta({
  description: 'Always wins. Without a port, every port is meant',
})
const bodyBytes = z.int().min(0).max(Number.MAX_SAFE_INTEGER)
const egressLimits = z.strictObject({
  requestsPerMinute: count.optional().meta({ description: 'Per agent. Absent: no limit' }),
  burst: count
    .optional()
    .meta({ description: 'At once, per agent. Absent: a tenth of requestsPerMinute' }),
  concurrentTunnels: count
    .optional()
    .meta({ description: 'Per agent, WebSockets among them. Absent: no limit' }),
  concurrentRequests: count.optional().meta({
    description:
      'Per agent: requests in absolute and relay form that are open at once, answers that still stream among them. Absent: no limit',
  }),
  maxBodyBytes: bodyBytes
    .optional()
    .meta({ description: 'Of one request. Absent: no limit of policy' }),
})
const egressTenantLimits = z
  .strictObject({
    requestsPerMinute: count.optional().meta({ description: 'Absent: no limit' }),
    burst: count.optional().meta({ description: 'At once. Absent: a tenth of requestsPerMinute' }),
    concurrentTunnels: count
      .optional()
      .meta({ description: 'WebSockets among them. Absent: no limit' }),
    concurrentRequests: count.optional().meta({ description: 'Absent: no limit' }),
    maxBodyBytes: bodyBytes.optional().meta({
      description: 'Of one request, whatever the limits of its agent say. Absent: no limit',
    }),
  })
  .meta({ description: 'Of all agents of the tenant together, beside what each may by itself' })
const egressAgent = z.strictObject({
  mode: mode.optional(),
  allow: egressAllow.optional(),
  deny: egressDeny.optional(),
  limits: egressLimits.optional(),
})

const delegationRule = z.strictObject({
  from: selector,
  to: selector,
  methods: list(rpcMethod).min(1).optional().meta({ description: 'Absent: any method' }),
})
const delegationRules = list(delegationRule)
const delegationLimits = z.strictObject({
  callsPerMinute: count.optional().meta({ description: 'Per calling agent. Absent: no limit' }),
  concurrentStreams: count
    .optional()
    .meta({ description: 'Per calling agent. Absent: delegation.limits.maxCallsPerAgent' }),
})
const tenantLimits = z
  .strictObject({
    callsPerMinute: count.optional().meta({ description: 'Absent: no limit' }),
    concurrentStreams: count.optional().meta({ description: 'Absent: no limit' }),
  })
  .meta({ description: 'Of all agents of the tenant together, as callers' })
const peerLimits = z
  .strictObject({
    concurrentTasks: count
      .optional()
      .meta({ description: 'Calls that start a task and are open at once. Absent: no limit' }),
    queueLength: z
      .int()
      .min(0)
      .max(100_000)
      .optional()
      .meta({ description: 'How many more wait for room. Default 100; 0: none' }),
    queueMs: z
      .int()
      .min(1)
      .max(3_600_000)
      .optional()
      .meta({ description: 'How long each waits, in milliseconds. Default 30000' }),
  })
  .meta({ description: 'Per agent as a callee: what it is given to do by all callers together' })
const delegationAgent = z.strictObject({
  mode: mode.optional(),
  mayOriginate: z
    .boolean()
    .optional()
    .meta({ description: 'false: may act only within a chain of delegation. Default true' }),
  limits: delegationLimits.optional(),
  peerLimits: peerLimits.optional(),
})

export const tenantSchema = z
  .strictObject({
    $schema: schemaKey.optional(),
    tenant: text((value) => (isDnsLabel(value) ? null : 'is not a lower-case DNS label')).meta({
      description: 'The same as the name of the file',
    }),
    mode: mode.optional(),
    egress: z
      .strictObject({
        allow: egressAllow.optional(),
        deny: egressDeny.optional(),
        limits: egressLimits.optional(),
        tenantLimits: egressTenantLimits.optional(),
        agents: agents(egressAgent).optional(),
      })
      .optional(),
    delegation: z
      .strictObject({
        allow: delegationRules
          .optional()
          .meta({ description: 'What agents of this tenant may call' }),
        accept: delegationRules
          .optional()
          .meta({ description: 'Which callers of other tenants may call agents of this one' }),
        deny: delegationRules
          .optional()
          .meta({ description: 'Always wins. `*` here is any agent of any tenant' }),
        maxHops: hops
          .optional()
          .meta({ description: 'Length of a chain. Absent: no limit; 0: none' }),
        maxDelegationsPerRoot: count.optional().meta({ description: 'Absent: no limit' }),
        limits: delegationLimits.optional(),
        tenantLimits: tenantLimits.optional(),
        peerLimits: peerLimits.optional(),
        agents: agents(delegationAgent).optional(),
      })
      .optional(),
  })
  .meta({ title: 'TENANT.json' })

const tunnelTls = z.strictObject({
  ports: list(port)
    .optional()
    .meta({ description: 'Where nothing but TLS passes. Default 443; an empty list: nowhere' }),
  noServerName: z.enum(['refuse', 'allow']).optional().meta({
    description:
      'What to do about a ClientHello that names no server, whatever rules say. Absent: noServerName of the rule that allows the host decides',
  }),
  echOuterNames: list(text((value) => (isDnsName(value) ? null : 'is not a lower-case DNS name')))
    .optional()
    .meta({
      description:
        'Names that a ClientHello with Encrypted Client Hello may show in place of the host of CONNECT. Default none',
    }),
  ech: z.enum(['allow', 'refuse']).optional().meta({
    description:
      'What to do about a ClientHello with Encrypted Client Hello, as browsers always send it. Default allow, under the name of the host of CONNECT',
  }),
  clearText: z.enum(['refuse', 'http', 'other', 'any']).optional().meta({
    description:
      'What may stand in a tunnel without TLS, on ports that are not in `ports`. refuse: nothing. http: HTTP/1 for the host of CONNECT. other (default): that, and protocols that are not HTTP. any: anything, HTTP for another host and HTTP/2 among it, and nothing is judged',
  }),
})

export const globalSchema = z
  .strictObject({
    $schema: schemaKey.optional(),
    egress: z
      .strictObject({
        deny: egressDeny.optional(),
        denyCidrs: list(cidr).optional(),
        allowCidrs: list(cidr)
          .optional()
          .meta({ description: 'Private and special ranges that destinations may resolve to' }),
        ports: list(port)
          .optional()
          .meta({ description: 'No tenant gets others. Default 80, 443' }),
        tls: tunnelTls.optional().meta({ description: 'What must stand in tunnels' }),
      })
      .optional(),
    delegation: z.strictObject({ deny: delegationRules.optional() }).optional(),
  })
  .meta({ title: '_global.json' })

/** The published JSON Schema. */
export function policyJsonSchema(): object {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Clawmesh policy',
    description: 'One file of a policy directory: TENANT.json, or _global.json',
    anyOf: [tenantSchema, globalSchema].map((schema) => {
      const { $schema, ...rest } = z.toJSONSchema(schema, { io: 'input', reused: 'inline' })
      return rest
    }),
  }
}

function agents<T extends z.ZodType>(agent: T) {
  const name = text((value) =>
    isDnsLabel(value) ? null : 'is not an agent; names are lower-case letters, digits and hyphens',
  )
  return z.record(name, agent).meta({ description: 'By name of the agent' })
}
