/** Refuses to dial the gateway itself, whatever name leads there: it would call itself, and call after call. */
import { MeshError } from '@clawmesh/proto'
import { parseIp } from '../../net/ip.ts'
import { isOwnAddress } from '../../net/own-addresses.ts'
import type { ListenAddress } from '../../net/port.ts'
import type { Endpoint } from './locate.ts'

/**
 * @param configured whether the address is from delegation.peers, and not from DNS
 * @throws MeshError MESH_PEER_MISMATCH
 */
export function refuseOwnEndpoint(
  { ip, port }: Endpoint,
  own: readonly ListenAddress[],
  { host, configured }: { readonly host: string; readonly configured: boolean },
): void {
  const address = parseIp(ip)
  if (address === null || !isOwnAddress(address, port, own)) return
  const where = configured ? 'delegation.peers' : 'DNS'
  throw new MeshError('MESH_PEER_MISMATCH', `${where} names the gateway itself as ${host}`, {
    hint: `correct the address and the port of the peer in ${where}`,
  })
}
