/** The names in a certificate. The CA derives them from tenant and agent; further requested names must be permitted. */
import {
  createSpiffeTemplate,
  formatPeerName,
  isDnsLabel,
  isDnsName,
  MeshError,
} from '@clawmesh/proto'
import type { NamePart } from '../x509/certificate.ts'
import { ipBytes, ipInRange } from '../x509/ip-range.ts'
import type { ParsedCertificate } from '../x509/parse-certificate.ts'

export interface IssuedNames {
  readonly spiffeId: string
  /** The first one is the holder's main name. */
  readonly dnsNames: readonly string[]
  /** 4 or 16 bytes each. */
  readonly ipAddresses: readonly Buffer[]
  readonly subject: readonly NamePart[]
}

export interface NamingCa {
  readonly trustDomain: string
  readonly meshDomain: string
  /** Its name constraints give the permitted names. */
  readonly certificate: ParsedCertificate
}

export interface AgentNameRequest {
  /** Lower-case DNS label. */
  readonly tenant: string
  /** Lower-case DNS label. */
  readonly agent: string
  /** Further names, below its own name or outside the mesh domain, where the CA permits them. Default: none. */
  readonly extraDnsNames?: readonly string[]
  /** Addresses in a range that the CA permits. Default: none. */
  readonly ipAddresses?: readonly string[]
}

export interface GatewayNameRequest {
  /** Lower-case DNS label. */
  readonly name: string
  /** Tenants for whose peers it answers: *.<tenant>.<mesh domain> each. */
  readonly tenants: readonly string[]
  /** Further names, outside the names of agents, where the CA permits them. Default: none. */
  readonly dnsNames?: readonly string[]
  /** Addresses in a range that the CA permits. Default: none. */
  readonly ipAddresses?: readonly string[]
}

/** @throws MeshError MESH_PKI_NAME_REFUSED. */
export function agentNames(ca: NamingCa, request: AgentNameRequest): IssuedNames {
  const tenant = label('tenant', request.tenant)
  const agent = label('agent', request.agent)
  const peerName = fitting(formatPeerName({ tenant, agent }, ca.meshDomain))
  const extra = (request.extraDnsNames ?? []).map((name) => permittedDnsName(ca, name))
  for (const name of extra)
    if (isOrBelow(name, ca.meshDomain) && !isOrBelow(name, peerName))
      throw refused(`${JSON.stringify(name)} could be the name of another agent`)
  return {
    spiffeId: createSpiffeTemplate(ca).agent(tenant, agent).id,
    dnsNames: [...new Set([peerName, ...extra])],
    ipAddresses: (request.ipAddresses ?? []).map((address) => permittedIp(ca, address)),
    subject: [
      { type: 'organization', value: tenant },
      { type: 'commonName', value: agent },
    ],
  }
}

/** @throws MeshError MESH_PKI_NAME_REFUSED. */
export function gatewayNames(ca: NamingCa, request: GatewayNameRequest): IssuedNames {
  const name = label('gateway name', request.name)
  const tenants = request.tenants.map((tenant) => label('tenant', tenant))
  const extra = (request.dnsNames ?? []).map((each) => permittedDnsName(ca, each))
  const own = fitting(`${name}.${ca.meshDomain}`)
  return {
    spiffeId: createSpiffeTemplate(ca).gateway(name).id,
    dnsNames: [
      ...new Set([
        own,
        fitting(`gateway.${ca.meshDomain}`),
        ...tenants.map((tenant) => `*.${fitting(`${tenant}.${ca.meshDomain}`)}`),
        ...extra,
      ]),
    ],
    ipAddresses: (request.ipAddresses ?? []).map((address) => permittedIp(ca, address)),
    subject: [
      { type: 'organization', value: 'gateway' },
      { type: 'commonName', value: name },
    ],
  }
}

export function isOrBelow(name: string, domain: string): boolean {
  return name === domain || name.endsWith(`.${domain}`)
}

function permittedDnsName(ca: NamingCa, name: string): string {
  if (!isDnsName(name)) throw refused(`${JSON.stringify(name)} is not a lower-case DNS name`)
  const domains = ca.certificate.nameConstraints?.permitted.dnsNames ?? []
  if (domains.some((domain) => isOrBelow(name, domain))) return name
  throw new MeshError('MESH_PKI_NAME_REFUSED', `the CA does not permit the name ${name}`, {
    hint: `it permits ${domains.join(', ')} and what is below; others are named when it is made: mesh-pki init --permit-dns`,
  })
}

function permittedIp(ca: NamingCa, address: string): Buffer {
  const bytes = ipBytes(address)
  if (bytes === null) throw refused(`${JSON.stringify(address)} is not an IP address`)
  const ranges = ca.certificate.nameConstraints?.permitted.ipAddresses ?? []
  if (ranges.some((range) => ipInRange(bytes, range))) return bytes
  throw new MeshError('MESH_PKI_NAME_REFUSED', `the CA does not permit the address ${address}`, {
    hint: 'ranges of addresses are permitted when it is made: mesh-pki init --permit-ip',
  })
}

function label(what: string, value: string): string {
  if (typeof value === 'string' && isDnsLabel(value)) return value
  throw refused(`${what}: ${JSON.stringify(value)} is not a lower-case DNS label`)
}

function fitting(name: string): string {
  if (isDnsName(name)) return name
  throw refused(`${name} is too long for a DNS name`)
}

function refused(message: string): MeshError {
  return new MeshError('MESH_PKI_NAME_REFUSED', message)
}
