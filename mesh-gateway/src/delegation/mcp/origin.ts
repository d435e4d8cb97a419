/**
 * Judges the Origin header (RFC 6454). A browser that holds an agent's certificate would show it for any page, so a
 * request that a page makes is refused, unless the page came from the gateway itself. Agents send no Origin.
 */
import { MeshError } from '@clawmesh/proto'

/**
 * @param origin null without one
 * @param names the gateway's own, lower case
 * @throws MeshError MESH_MCP_ORIGIN
 */
export function checkOrigin(origin: string | null, names: ReadonlySet<string>): void {
  if (origin === null) return
  const url = URL.canParse(origin) ? new URL(origin) : null
  // of another scheme, with anything behind the host, or `null`: no origin of ours
  if (url?.protocol === 'https:' && url.origin === origin && names.has(url.hostname)) return
  throw new MeshError('MESH_MCP_ORIGIN')
}
