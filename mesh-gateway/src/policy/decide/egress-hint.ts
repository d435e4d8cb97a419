/** The hints after a refused egress request. Look-ups only: a refusal must not cost more than an allowed request. */

import { nearest } from '@clawmesh/proto'
import { formatHostPattern, parseHostPattern, usualPort } from '../../net/host-pattern.ts'
import { isMetadataService } from '../../net/judge-addresses.ts'
import { findRule, type HostTable } from '../compile/host-table.ts'
import type { PathGlob } from '../compile/path-glob.ts'
import { firstForPort, type HostRule, type RulesOfHost } from '../compile/rules-of-host.ts'
import type { AgentEgress, PolicySnapshot, TenantPolicy } from '../snapshot.ts'
import { type AskedRequest, MAX_PATH_LENGTH } from './asked-request.ts'
import { PATH_FAULTS } from './canonical-path.ts'
import type { EgressQuestion } from './decision.ts'

const SHOWN = 5
/** For a destination that no hint may recommend. */
const METADATA = 'the metadata service of a cloud hands out credentials: leave it out of reach'
const LOOKED_AT = 20
const TOO_LONG = `is longer than ${MAX_PATH_LENGTH} characters`

export function deniedHint(rule: HostRule): string {
  return `${rule.text} is denied by ${rule.id}; deny rules always win`
}

export function portHint(host: string, port: number, policy: PolicySnapshot): string {
  if (isMetadataService(host)) return METADATA
  const ports = some(policy.global.ports)
  return `port ${port} is not listed: egress.ports of _global.json has ${ports || 'none'}; add it there, and to a rule for the host`
}

export function costHint(host: string, { file }: TenantPolicy): string {
  return `the rules for ${host} in ${file} have too many wildcards for this path; write more of the paths out, or fewer of them`
}

export function notAllowedHint(
  { agent: peer, port, request }: EgressQuestion,
  host: string,
  tenant: TenantPolicy,
  agent: AgentEgress,
  asked: AskedRequest,
): string {
  if (isMetadataService(host)) return METADATA
  const { allow, allowedAgent, children } = tenant.egress
  const tables = [allow, agent.allow]
  const wanted = formatHostPattern({ host, wildcard: false, port: usualPort(port) ? null : port })
  const here = ruleForPort(tables, host, port)
  if (here !== null) return contentHint(here, request, asked)
  const elsewhere = lookup(tables, host, firstRule, port)
  if (elsewhere !== null)
    return `port ${port} is not listed: the rule ${elsewhere.text} is for port ${elsewhere.pattern.port ?? '80 and 443'}; a rule ${wanted} would allow it`
  const other = allowedAgent.get(host)
  if (other !== undefined && other !== peer.agent)
    return `${host} is allowed for agent ${other}, not for ${peer.agent}`
  const near =
    parentRule(tables, host) ??
    agent.allow.below.get(host)?.rules[0] ??
    allow.below.get(host)?.rules[0] ??
    children.get(host)
  if (near !== undefined && near !== null) return nearHint(host, near.text, 'allowed')
  const meant = misspelt(host, [...firstKeys(allow), ...firstKeys(agent.allow)])
  if (meant !== null) return nearHint(host, meant, 'allowed')
  return `add ${JSON.stringify(wanted)} to egress.allow of ${tenant.file}, the policy of ${peer.tenant}/${peer.agent}${strangerHint(peer.agent, tenant)}`
}

/** A tenant that names its agents but not this one may be the wrong tenant. */
function strangerHint(agent: string, { egress, tenant }: TenantPolicy): string {
  if (egress.agents.size === 0 || egress.agents.has(agent)) return ''
  return `; ${tenant} names no agent ${agent}: if it is of another tenant, its token must be too`
}

export function tokenHint(destinations: readonly string[], host: string, port: number): string {
  if (isMetadataService(host)) return METADATA
  if (destinations.length === 0)
    return 'allowed_destinations of the token is empty; ask for a token that names some'
  for (const text of destinations.slice(0, LOOKED_AT)) {
    const pattern = parseHostPattern(text)
    if (typeof pattern === 'string') continue
    const shown = formatHostPattern(pattern)
    if (pattern.wildcard ? host.endsWith(`.${pattern.host}`) : pattern.host === host)
      return `port ${port} is not listed: allowed_destinations has ${shown}; ask for a token that names ${host}:${port}`
    if (
      pattern.host === host ||
      host.endsWith(`.${pattern.host}`) ||
      pattern.host.endsWith(`.${host}`)
    )
      return nearHint(host, shown, 'in allowed_destinations')
  }
  const meant = misspelt(host, destinations.slice(0, LOOKED_AT))
  if (meant !== null) return nearHint(host, meant, 'in allowed_destinations')
  return `${host} is not in allowed_destinations of the token; ask for a token that names it`
}

/** A name that differs by a letter or two, among the first few; null when there is none. */
function misspelt(host: string, names: readonly string[]): string | null {
  const most = Math.min(2, Math.floor(host.length / 6))
  return most === 0 ? null : nearest(host, names, most)
}

function firstKeys({ exact }: HostTable): string[] {
  return exact.keys().take(LOOKED_AT).toArray()
}

function nearHint(host: string, pattern: string, where: string): string {
  const apex = pattern.startsWith('*.') && pattern.slice(2).split(':')[0] === host
  return `${host} is not ${where}; ${pattern} is${apex ? `, which does not include ${host} itself` : ''}`
}

function contentHint(
  rule: HostRule,
  request: EgressQuestion['request'],
  { fault }: AskedRequest,
): string {
  const { methods, paths } = rule
  const and = methods !== null && paths !== null ? ' and ' : ''
  const names = `${methods === null ? '' : `methods ${some(methods)}`}${and}${paths === null ? '' : `paths ${someGlobs(paths)}`}`
  if (request === null)
    return `the rule ${rule.text} matches but names ${names}, which a tunnel hides; send the request in absolute or relay form, or allow the host alone`
  if (request.override != null)
    return `the rule ${rule.text} matches but names ${names}, and the header ${request.override} lets servers read another method or path; send the request without it, or allow the host alone`
  if (methods !== null && !methods.has(request.method))
    return `the rule ${rule.text} matches but names methods ${some(methods)} only`
  if (fault !== null)
    return `the rule ${rule.text} matches but names paths, and this path ${fault === 'too-long' ? TOO_LONG : PATH_FAULTS[fault]}`
  return `the rule ${rule.text} matches but names ${names} only`
}

function parentRule(tables: readonly HostTable[], host: string): HostRule | null {
  for (let dot = host.indexOf('.'); dot !== -1; dot = host.indexOf('.', dot + 1))
    for (const table of tables) {
      const rule = table.exact.get(host.slice(dot + 1))?.rules[0]
      if (rule !== undefined) return rule
    }
  return null
}

/** The first allow rule for the host and port, whatever methods and paths it names. */
export function ruleForPort(
  tables: readonly HostTable[],
  host: string,
  port: number,
): HostRule | null {
  return lookup(tables, host, firstForPort, port)
}

function lookup(
  tables: readonly HostTable[],
  host: string,
  pick: (rules: RulesOfHost, port: number) => HostRule | null,
  port: number,
): HostRule | null {
  for (const table of tables) {
    const rule = findRule(table, host, pick, port)
    if (rule !== null) return rule
  }
  return null
}

function firstRule({ rules }: RulesOfHost): HostRule | null {
  return rules[0] ?? null
}

function someGlobs(globs: readonly PathGlob[]): string {
  return listed(
    globs.slice(0, SHOWN).map(({ text }) => text),
    globs.length,
  )
}

/** The first few values: a list may have thousands. */
function some(values: ReadonlySet<string | number>): string {
  const shown: (string | number)[] = []
  for (const value of values) {
    if (shown.length === SHOWN) break
    shown.push(value)
  }
  return listed(shown, values.size)
}

function listed(shown: readonly (string | number)[], count: number): string {
  const more = count > shown.length ? ` and ${count - shown.length} more` : ''
  return `${shown.join(', ')}${more}`
}
