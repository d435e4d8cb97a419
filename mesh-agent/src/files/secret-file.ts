/** A secret of this machine alone, in a file that only this user can read; made when it is missing. */
import { randomBytes } from 'node:crypto'
import { mkdir, open, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { readWhole } from '@clawmesh/agent-sdk/mesh'
import { MeshError, Secret } from '@clawmesh/proto'
import { diskError } from './write-private.ts'

const SECRET_BYTES = 32
const MAX_BYTES = 4_096
const MIN_LENGTH = 20

/** @throws MeshError MESH_CONFIG_INVALID for a file that others can read or that holds no secret; MESH_DISK_WRITE */
export async function readSecretFile(path: string): Promise<Secret> {
  await makeSecretFile(path)
  const { mode } = await stat(path)
  if ((mode & 0o077) !== 0)
    throw new MeshError('MESH_CONFIG_INVALID', `${path} can be read by others`, {
      hint: `chmod 600 ${path}, or remove it: a new one is made`,
    })
  const text = (await readWhole(path, { maxBytes: MAX_BYTES })).toString('utf8').trim()
  if (!/^[\x21-\x7e]+$/.test(text) || text.length < MIN_LENGTH)
    throw new MeshError('MESH_CONFIG_INVALID', `${path} holds no secret`, {
      hint: `write one word of at least ${MIN_LENGTH} characters, or remove it: a new one is made`,
    })
  return new Secret(text)
}

async function makeSecretFile(path: string): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    const file = await open(path, 'wx', 0o600)
    try {
      await file.writeFile(`${randomBytes(SECRET_BYTES).toString('base64url')}\n`)
    } finally {
      await file.close()
    }
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return
    throw diskError(path, error)
  }
}
