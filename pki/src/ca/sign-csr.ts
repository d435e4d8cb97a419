/**
 * Signs a certificate signing request: takes its public key only. Every name in it must be one that the policy gives
 * anyway; a request with any other name is refused as a whole, so that no requester believes that it got that name.
 */
import { MeshError } from '@clawmesh/proto'
import { formatIp } from '../x509/ip-range.ts'
import { type Csr, readCsr } from '../x509/read-csr.ts'
import {
  type AgentRequest,
  type GatewayRequest,
  type IssuedCertificate,
  type IssuingCa,
  issueCertificate,
} from './issue.ts'
import { agentNames, gatewayNames, type IssuedNames } from './names.ts'

/** The caller gives the subject, never the request. */
export type SignOptions = { readonly csrPem: string } & (AgentRequest | GatewayRequest)

/** @throws MeshError MESH_PKI_CSR_REFUSED, MESH_PKI_NAME_REFUSED, MESH_PKI_INVALID. */
export function signCsr(ca: IssuingCa, options: SignOptions, nowMs: number): IssuedCertificate {
  const names = 'agent' in options ? agentNames(ca, options) : gatewayNames(ca, options)
  const csr = readCsr(options.csrPem)
  checkNames(csr, names)
  if (ca.ownKeys.some((key) => key.equals(csr.publicKey)))
    throw new MeshError('MESH_PKI_CSR_REFUSED', 'its key is the key of the CA')
  return issueCertificate(ca, names, csr.publicKey, options, nowMs)
}

function checkNames(csr: Csr, names: IssuedNames): void {
  const addresses = names.ipAddresses.map((address) => address.toString('hex'))
  const called = [...names.dnsNames, names.spiffeId, ...commonNameOf(names)]
  const strange = [
    ...csr.names.uris.filter((uri) => uri !== names.spiffeId).map((uri) => show('URI', uri)),
    ...csr.names.dnsNames.filter((dns) => !names.dnsNames.includes(dns)).map((d) => show('DNS', d)),
    ...csr.names.ipAddresses
      .filter((ip) => !addresses.includes(ip.toString('hex')))
      .map((ip) => `IP ${formatIp(ip)}`),
    ...csr.names.others,
    ...csr.commonNames.filter((name) => !called.includes(name)).map((name) => show('CN', name)),
    ...(csr.wantsCa ? ['the right to be a CA'] : []),
  ]
  if (strange.length === 0) return
  throw new MeshError(
    'MESH_PKI_CSR_REFUSED',
    `it asks for what is not its own: ${strange.slice(0, 5).join(', ')}`,
    { hint: `it may ask for ${[names.spiffeId, ...names.dnsNames].join(', ')}, or for no name` },
  )
}

function commonNameOf(names: IssuedNames): string[] {
  return names.subject.filter(({ type }) => type === 'commonName').map(({ value }) => value)
}

/** Formats untrusted text for one line of a terminal. */
function show(kind: string, text: string): string {
  return `${kind} ${JSON.stringify(text.slice(0, 100)).replaceAll(/[^\x20-\x7e]/g, '?')}`
}
