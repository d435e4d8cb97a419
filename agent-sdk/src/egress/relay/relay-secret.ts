/**
 * The secret by which programs of this machine use a relay. It opens this relay and nothing else, so it may stand in the proxy URL
 * of a program that can send nothing better.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { MeshError, type Secret } from '@clawmesh/proto'
import { openSecretFile, readSecretFile, type SecretFileKind } from '../../files/secret-file.ts'

const KIND: SecretFileKind = Object.freeze({
  code: 'MESH_RELAY_SECRET',
  form: /^[A-Za-z0-9_-]{43,86}$/,
  whenSpoilt:
    'remove the file, run `mesh-agent openclaw setup` again, and restart the relay and OpenClaw',
  whenKnown: 'run `mesh-agent openclaw setup --renew-secret`, and restart the relay and OpenClaw',
})

/**
 * The secret of a file, which is made when it is not there. Of two processes that make it at once both get the same one.
 * @throws MeshError MESH_RELAY_SECRET when the file cannot be used, MESH_DISK_WRITE when it cannot be made
 */
export function openRelaySecret(file: string): Promise<Secret<string>> {
  return openSecretFile(file, KIND)
}

/** The secret of a file that is there. @throws MeshError MESH_RELAY_SECRET */
export async function readRelaySecret(file: string): Promise<Secret<string>> {
  const known = await readSecretFile(file, KIND)
  if (known === null)
    throw new MeshError(
      'MESH_RELAY_SECRET',
      `the secret file ${file} cannot be used: it does not exist`,
      { hint: 'start the relay or run `mesh-agent openclaw setup`: both make it' },
    )
  return known
}

/** In a time that says nothing about how much of it is right. */
export function isRelaySecret(shown: string, secret: Secret<string>): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(shown), digest(secret.reveal()))
}
