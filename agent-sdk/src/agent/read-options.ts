/** What an agent is made from, out of its options and its certificate. */
import {
  type AgentIdentity,
  createSpiffeTemplate,
  MeshError,
  spiffeTemplateFaults,
} from '@clawmesh/proto'
import { readTrustDomain } from '../identity/load-identity.ts'
import { openIdentity } from '../identity/open-identity.ts'
import type { Log } from '../log.ts'
import { isLoopback } from '../model/listen-address.ts'
import type { IdentityStore } from '../tls/identity-snapshot.ts'
import type { AgentOptions } from './agent-options.ts'

/** `owned`: to be closed with the agent. @throws MeshError MESH_IDENTITY_…; TypeError for templates that make no sense */
export async function openStore(
  { identity, trustDomain, spiffe }: AgentOptions,
  log: Log,
): Promise<{ store: IdentityStore; owned: boolean }> {
  const [fault] = spiffeTemplateFaults(spiffe ?? {})
  if (fault !== undefined) throw new TypeError(`spiffe.${fault.option}: ${fault.message}`)
  if (typeof identity !== 'string') return { store: identity, owned: false }
  const domain = trustDomain ?? (await readTrustDomain(identity))
  const template = createSpiffeTemplate({ ...spiffe, trustDomain: domain })
  return { store: await openIdentity({ dir: identity, spiffe: template, log }), owned: true }
}

/** What the names of peers end in, as the agent's own name tells. */
export function meshDomainOf(
  { agent, tenant, trustDomain }: AgentIdentity,
  names: readonly string[],
) {
  const prefix = `${agent}.${tenant}.`
  return names.find((name) => name.startsWith(prefix))?.slice(prefix.length) ?? trustDomain
}

export interface EgressSettings {
  readonly url: URL
  /** Tokens are bound to the agent's certificate. */
  readonly bound: boolean
}

/**
 * Null without an egress port.
 * @throws TypeError for options that make no sense; MeshError MESH_EGRESS_PLAINTEXT for a port elsewhere without TLS
 */
export function readEgress(options: AgentOptions): EgressSettings | null {
  for (const name of ['egressCa', 'egressPortCa'] as const)
    if (options[name] === '') throw new TypeError(`${name}: is empty`)
  const { egress } = options
  if (egress === undefined) return null
  const url = URL.canParse(egress) ? new URL(egress) : null
  const secure = url?.protocol === 'https:'
  if (url === null || !(secure || url.protocol === 'http:') || url.username + url.password !== '')
    throw new TypeError(
      'egress: must be a URL such as https://egress.example:8080 or http://127.0.0.1:8080, without credentials',
    )
  const bound = options.bindEgressTokens ?? secure
  if (bound && !secure)
    throw new TypeError('bindEgressTokens: a certificate can be shown to an https:// port only')
  if (!secure && !isLoopback(url.hostname) && options.allowPlaintextEgress !== true)
    throw new MeshError('MESH_EGRESS_PLAINTEXT')
  return { url, bound }
}
