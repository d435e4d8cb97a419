/** Signing keys as a Secret of Kubernetes: the same files, so that a gateway reads the mounted Secret as its directory. */
import { join } from 'node:path'
import { Secret } from '@clawmesh/proto'
import { withLockWhereWritable } from '@clawmesh/proto/lock'
import { LOCK_FILE, readRing, readRingFiles } from './key-ring-file.ts'

export interface SecretName {
  readonly name: string
  /** Null: the namespace of the client that applies it. */
  readonly namespace: string | null
}

/** The manifest in JSON, which kubectl takes as it takes YAML. @throws MeshError MESH_KEYS_UNUSABLE, MESH_DISK_WRITE */
export async function exportRing(
  dir: string,
  { name, namespace }: SecretName,
): Promise<Secret<string>> {
  const files = await withLockWhereWritable(join(dir, LOCK_FILE), async () => {
    // proves every key
    const ring = await readRing(dir)
    ring.parse()
    return readRingFiles(dir)
  })
  const manifest = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, ...(namespace === null ? {} : { namespace }) },
    type: 'Opaque',
    data: Object.fromEntries(files.map((file) => [file.name, file.bytes.toString('base64')])),
  }
  return new Secret(`${JSON.stringify(manifest, null, 2)}\n`)
}
