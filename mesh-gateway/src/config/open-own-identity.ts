/** A gateway runs with the certificate of a gateway: with an agent's it would be ready, and refused by every agent. */
import {
  type IdentityStore,
  type OpenIdentityOptions,
  openIdentity,
} from '@clawmesh/agent-sdk/mesh'
import { MeshError } from '@clawmesh/proto'
import type { Config } from './schema.ts'

/**
 * The identity of the gateway, followed. A reload never changes whose it is, so that the kind is asked once.
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
