/** The secret that clients of `mesh-agent mcp --listen` send. A person may choose it. */
import { openSecretFile, type SecretFileKind } from '@clawmesh/agent-sdk/mesh'
import type { Secret } from '@clawmesh/proto'

const KIND: SecretFileKind = Object.freeze({
  code: 'MESH_CONFIG_INVALID',
  form: /^[\x21-\x7e]{20,1000}$/,
  whenSpoilt: 'write one word of at least 20 characters, or remove the file: a new one is made',
  whenKnown: 'remove it: a new one is made',
})

/** Made when the file is missing. @throws MeshError MESH_CONFIG_INVALID, MESH_DISK_WRITE */
export function openMcpSecret(file: string): Promise<Secret<string>> {
  return openSecretFile(file, KIND)
}
