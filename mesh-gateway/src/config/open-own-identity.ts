/**
 * Opens the gateway's own identity. Requires the certificate of a gateway: with an agent's it would become ready, and
 * be refused by every agent.
 */
import {
  type IdentityStore,
  type OpenIdentityOptions,
  openIdentity,
} from '@clawmesh/agent-sdk/mesh'
import { MeshError } from '@clawmesh/proto'
import type { Config } from './schema.ts'

/**
 * The identity of the gateway, reloaded on change. A reload never changes its SPIFFE ID, so its kind is checked once.
 * @throws MeshError as `openIdentity` does, and MESH_IDENTITY_NOT_GATEWAY
 */
export async function openOwnIdentity(
  { identity: { dir } }: Pick<Config, 'identity'>,
  options: Omit<OpenIdentityOptions, 'dir'>,
): Promise<IdentityStore> {
  const store = await openIdentity({ ...options, dir })
  const { kind, id } = store.current().identity
  if (kind === 'gateway') return store
  await store.close()
  throw new MeshError('MESH_IDENTITY_NOT_GATEWAY', `the certificate of this gateway is ${id}'s`, {
    hint: 'let identity.dir name a directory of `mesh-pki issue gateway`',
  })
}
