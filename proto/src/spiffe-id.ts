/**
 * SPIFFE IDs and who they name (SPIFFE-ID specification, section 2).
 * The path templates can be changed so that SVIDs of SPIRE, Istio or cert-manager work as they are.
 */
import { isDnsLabel, isDnsName } from './dns-name.ts'

export interface AgentIdentity {
  readonly kind: 'agent'
  readonly id: string
  readonly trustDomain: string
  readonly tenant: string
  readonly agent: string
}

export interface GatewayIdentity {
  readonly kind: 'gateway'
  readonly id: string
  readonly trustDomain: string
  readonly name: string
}

export type Identity = AgentIdentity | GatewayIdentity

export interface SpiffeTemplateOptions {
  readonly trustDomain: string
  /** Holds {tenant} and {agent} once each. Default `/tenant/{tenant}/agent/{agent}`; `/ns/{tenant}/sa/{agent}` fits Kubernetes. */
  readonly agentPath?: string
  /** Holds {name} once. Default `/gateway/{name}`. */
  readonly gatewayPath?: string
}

export interface SpiffeTemplate {
  readonly trustDomain: string
  /** The identity that a URI names, or null when it is none of this trust domain. */
  parse(uri: string): Identity | null
  agent(tenant: string, agent: string): AgentIdentity
  gateway(name: string): GatewayIdentity
}

/** @throws TypeError when a template or the trust domain is unusable, or a name given is not a DNS label. */
export function createSpiffeTemplate(options: SpiffeTemplateOptions): SpiffeTemplate {
  const { trustDomain } = options
  if (!isDnsName(trustDomain))
    throw new TypeError(`trustDomain: not a lower-case DNS name: ${JSON.stringify(trustDomain)}`)
  const agentPath = options.agentPath ?? '/tenant/{tenant}/agent/{agent}'
  const gatewayPath = options.gatewayPath ?? '/gateway/{name}'
  const agentPattern = compile('agentPath', agentPath, ['tenant', 'agent'])
  const gatewayPattern = compile('gatewayPath', gatewayPath, ['name'])
  const prefix = `spiffe://${trustDomain}`

  const label = (what: string, value: string) => {
    if (!isDnsLabel(value))
      throw new TypeError(`${what}: not a lower-case DNS label: ${JSON.stringify(value)}`)
    return value
  }
  return Object.freeze({
    trustDomain,
    parse(uri: string): Identity | null {
      if (uri.length > 2048 || !uri.startsWith(`${prefix}/`)) return null
      const path = uri.slice(prefix.length)
      const gateway = gatewayPattern.exec(path)?.groups
      if (gateway?.name !== undefined && isDnsLabel(gateway.name))
        return Object.freeze({ kind: 'gateway', id: uri, trustDomain, name: gateway.name })
      const agent = agentPattern.exec(path)?.groups
      if (agent?.tenant === undefined || agent.agent === undefined) return null
      if (!isDnsLabel(agent.tenant) || !isDnsLabel(agent.agent)) return null
      return Object.freeze({
        kind: 'agent',
        id: uri,
        trustDomain,
        tenant: agent.tenant,
        agent: agent.agent,
      })
    },
    agent(tenant: string, agent: string): AgentIdentity {
      const path = agentPath
        .replace('{tenant}', label('tenant', tenant))
        .replace('{agent}', label('agent', agent))
      return Object.freeze({ kind: 'agent', id: prefix + path, trustDomain, tenant, agent })
    },
    gateway(name: string): GatewayIdentity {
      const path = gatewayPath.replace('{name}', label('gateway name', name))
      return Object.freeze({ kind: 'gateway', id: prefix + path, trustDomain, name })
    },
  })
}

function compile(option: string, template: string, holes: readonly string[]): RegExp {
  const wellFormed = template.startsWith('/') && /^[A-Za-z0-9._/{}-]+$/.test(template)
  if (!wellFormed || holes.some((hole) => template.split(`{${hole}}`).length !== 2))
    throw new TypeError(
      `${option}: must begin with / and hold ${holes.map((h) => `{${h}}`).join(' and ')} once`,
    )
  const source = template
    .replaceAll(/[.-]/g, '\\$&')
    .replaceAll(/\{([a-z]+)\}/g, (whole, hole: string) =>
      holes.includes(hole) ? `(?<${hole}>[^/]+)` : whole,
    )
  return new RegExp(`^${source}$`)
}
