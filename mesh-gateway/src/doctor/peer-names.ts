/** Checks whether the gateway's certificate covers the names of the peers for which it answers. */
import { type CheckResult, result, shellWord } from './finding.ts'

export interface PeerNameFacts {
  readonly dir: string
  readonly dnsNames: readonly string[]
  /** The tenants with policy. */
  readonly tenants: readonly string[]
  readonly meshDomain: string
}

export function checkPeerNames(facts: PeerNameFacts): CheckResult {
  const { dir, dnsNames, tenants, meshDomain } = facts
  const lacking = tenants.filter((tenant) => !dnsNames.includes(`*.${tenant}.${meshDomain}`))
  const about = tenants.length === 0 ? 'no tenant has policy' : tenants.join(', ')
  if (lacking.length === 0) return result('peer names', about)
  // a certificate with names of some tenants means a gateway for these only
  const scoped = dnsNames.some((name) => name.startsWith('*.'))
  const names = lacking.map((tenant) => `*.${tenant}.${meshDomain}`)
  return result('peer names', about, {
    what: `the certificate of the gateway does not cover ${names.join(', ')}`,
    why: `${scoped ? 'agents of these tenants refuse the gateway, and ' : ''}tools that tie :authority to the TLS name, grpcurl among them, cannot call those peers by name`,
    todo: `mesh-pki issue gateway --name NAME --tenant ${tenants.join(' ')} --out ${shellWord(dir)}; until then, -authority gateway.${meshDomain} with -H 'x-mesh-target: PEER'`,
  })
}
