/**
 * Which tenants a gateway serves, by the DNS SANs of its certificate: `*.<tenant>.<mesh domain>` for each. The CA writes
 * them, any issuer can, and any verifier can ask for them. Pure; asked for every call.
 */
import { MeshError } from '@clawmesh/proto'
import type { PeerCertificate } from './peer-certificate.ts'
import { checkIsGateway, type PeerCheck } from './peer-checks.ts'

/**
 * True when the certificate has the tenant's wildcard. A certificate without any wildcard is one for all tenants; with a
 * wildcard of anything else it is not: a mistake in a name must not widen it.
 * @param dnsNames DNS SANs, lower case
 */
export function servesTenant(
  dnsNames: readonly string[],
  tenant: string,
  meshDomain: string,
): boolean {
  if (dnsNames.includes(`*.${tenant}.${meshDomain}`)) return true
  return !dnsNames.some((name) => name.startsWith('*.'))
}

/** @throws MeshError MESH_GATEWAY_NOT_FOR_TENANT */
export function checkServes(
  { identity, dnsNames }: Pick<PeerCertificate, 'identity' | 'dnsNames'>,
  tenant: string,
  meshDomain: string,
): void {
  if (servesTenant(dnsNames, tenant, meshDomain)) return
  throw new MeshError(
    'MESH_GATEWAY_NOT_FOR_TENANT',
    `the certificate of ${identity.id} does not cover tenant ${tenant}: it lacks *.${tenant}.${meshDomain}`,
  )
}

/** A client's view: the server has to be a gateway that serves the client's tenant. The check throws MESH_GATEWAY_UNTRUSTED, MESH_GATEWAY_NOT_FOR_TENANT. */
export function checkIsGatewayFor(tenant: string, meshDomain: string): PeerCheck {
  return (peer) => {
    checkIsGateway(peer)
    checkServes(peer, tenant, meshDomain)
  }
}
