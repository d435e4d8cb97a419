/**
 * SPIFFE IDs and the agents and gateways that they name (SPIFFE-ID specification, section 2).
 * The path templates can be changed so that SVIDs of SPIRE, Istio or cert-manager work as they are.
 */
import { isDnsLabel, isDnsName } from './dns-name.ts'

/** An agent, as its certificate names it. `id` is the SPIFFE ID; tenant and agent are DNS labels. */
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
  /**
   * Holds {tenant} and {agent} once, each as a whole segment. Default `/tenant/{tenant}/agent/{agent}`;
   * `/ns/{tenant}/sa/{agent}` fits Kubernetes.
   */
  readonly agentPath?: string
  /** Holds {name} once, as a whole segment. No path may fit both templates. Default `/gateway/{name}`. */
  readonly gatewayPath?: string
}

export interface SpiffeTemplate {
  readonly trustDomain: string
  /** The identity that a URI names, or null when it is none of this trust domain. */
  parse(uri: string): Identity | null
  agent(tenant: string, agent: string): AgentIdentity
  gateway(name: string): GatewayIdentity
}

export interface SpiffeTemplateFault {
  readonly option: 'agentPath' | 'gatewayPath'
  readonly message: string
}

const AGENT_PATH = '/tenant/{tenant}/agent/{agent}'
const GATEWAY_PATH = '/gateway/{name}'

/** What is wrong with path templates, each alone and both together; empty when they can be used. */
export function spiffeTemplateFaults({
  agentPath = AGENT_PATH,
  gatewayPath = GATEWAY_PATH,
}: Omit<SpiffeTemplateOptions, 'trustDomain'>): readonly SpiffeTemplateFault[] {
  const faults = [
    faultOf('agentPath', agentPath, ['tenant', 'agent']),
    faultOf('gatewayPath', gatewayPath, ['name']),
  ].filter((fault) => fault !== null)
  if (faults.length > 0 || !overlap(segmentsOf(agentPath), segmentsOf(gatewayPath))) return faults
  const option = gatewayPath === GATEWAY_PATH ? 'agentPath' : 'gatewayPath'
  const message = `one path could name an agent by ${agentPath} and a gateway by ${gatewayPath}; give them different fixed segments`
  return [{ option, message }]
}

/**
 * @throws TypeError when the trust domain or a template is unusable, when one path fits both templates, or when a name
 * given is not a DNS label; its message begins with the name of the option
 */
export function createSpiffeTemplate(options: SpiffeTemplateOptions): SpiffeTemplate {
  const { trustDomain } = options
  if (!isDnsName(trustDomain))
    throw new TypeError(`trustDomain: not a lower-case DNS name: ${JSON.stringify(trustDomain)}`)
  const [fault] = spiffeTemplateFaults(options)
  if (fault !== undefined) throw new TypeError(`${fault.option}: ${fault.message}`)
  const { agentPath = AGENT_PATH, gatewayPath = GATEWAY_PATH } = options
  const agentTemplate = segmentsOf(agentPath)
  const gatewayTemplate = segmentsOf(gatewayPath)
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
      const segments = uri.slice(prefix.length + 1).split('/')
      const gateway = match(gatewayTemplate, segments)
      if (gateway?.name !== undefined)
        return Object.freeze({ kind: 'gateway', id: uri, trustDomain, name: gateway.name })
      const { tenant, agent } = match(agentTemplate, segments) ?? {}
      if (tenant === undefined || agent === undefined) return null
      return Object.freeze({ kind: 'agent', id: uri, trustDomain, tenant, agent })
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

/** A fixed part, or a hole that one DNS label fills. */
type Segment = { readonly fixed: string } | { readonly hole: string }

/** Segments as the SPIFFE-ID specification, section 2.2, has them: neither empty nor `.` nor `..`. */
const FIXED = /^(?!\.{1,2}$)[A-Za-z0-9._-]+$/

function segmentsOf(template: string): readonly Segment[] {
  return template
    .slice(1)
    .split('/')
    .map((part) => {
      const hole = /^\{([a-z]+)\}$/.exec(part)?.[1]
      return hole === undefined ? { fixed: part } : { hole }
    })
}

function faultOf(
  option: SpiffeTemplateFault['option'],
  template: string,
  holes: readonly string[],
): SpiffeTemplateFault | null {
  const segments = segmentsOf(template)
  const found = segments.flatMap((segment) => ('hole' in segment ? [segment.hole] : []))
  const usable =
    template.startsWith('/') &&
    found.length === holes.length &&
    holes.every((hole) => found.includes(hole)) &&
    segments.every((segment) => 'hole' in segment || FIXED.test(segment.fixed))
  if (usable) return null
  const shown = holes.map((hole) => `{${hole}}`).join(' and ')
  const message = `must begin with / and hold ${shown} once, each as a whole segment between slashes; other segments are letters, digits, dots, hyphens and underscores`
  return { option, message }
}

/** Whether one path fits both: as many segments, and none in which they differ for certain. */
function overlap(one: readonly Segment[], other: readonly Segment[]): boolean {
  if (one.length !== other.length) return false
  return one.every((segment, at) => {
    const beside = other[at]
    if (beside === undefined) return false
    if ('hole' in segment) return 'hole' in beside || isDnsLabel(beside.fixed)
    return 'hole' in beside ? isDnsLabel(segment.fixed) : segment.fixed === beside.fixed
  })
}

/** What fills the holes; null when the path does not fit. */
function match(
  template: readonly Segment[],
  segments: readonly string[],
): Readonly<Record<string, string>> | null {
  if (template.length !== segments.length) return null
  const found: Record<string, string> = {}
  for (const [at, segment] of template.entries()) {
    const text = segments[at] ?? ''
    if ('fixed' in segment) {
      if (segment.fixed !== text) return null
    } else if (isDnsLabel(text)) found[segment.hole] = text
    else return null
  }
  return found
}
