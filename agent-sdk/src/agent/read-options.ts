/** What an agent is made from, out of its options and its certificate. */
import { type AgentIdentity, createSpiffeTemplate, spiffeTemplateFaults } from '@clawmesh/proto'
import { readTrustDomain } from '../identity/load-identity.ts'
import { openIdentity } from '../identity/open-identity.ts'
import type { IdentityStore } from '../identity/snapshot.ts'
import type { Log } from '../log.ts'
import type { AgentOptions } from './agent.ts'

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

/** @throws TypeError */
export function egressUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url?.protocol !== 'http:' || url.username !== '' || url.password !== '')
    throw new TypeError('egress: must be a URL such as http://127.0.0.1:8080, without credentials')
  return url
}
