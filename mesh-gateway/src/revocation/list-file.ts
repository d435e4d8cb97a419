/**
 * The gateway's own revocation list for commands: create, read, change once. A running gateway follows it with
 * revocations.ts.
 */
import { lstat } from 'node:fs/promises'
import { diskError } from '@clawmesh/agent-sdk/mesh'
import { MeshError, uuidV7 } from '@clawmesh/proto'
import { withLock } from '@clawmesh/proto/lock'
import { hasEnded, type NewEntry, type RevocationEntry, readEntry } from './entry.ts'
import { firstMark } from './journal-lines.ts'
import { createListReader } from './list-reader.ts'
import { createListWriter, type Edit } from './list-writer.ts'
import type { RevokedIndex } from './revoked-index.ts'
import { writeWhole } from './write-whole.ts'

/**
 * Creates a list that revokes nothing.
 * @throws MeshError MESH_REVOCATION_INVALID when the file already exists, MESH_DISK_WRITE
 */
export async function beginList(path: string, nowMs: number): Promise<void> {
  await withLock(`${path}.lock`, async () => {
    const found = await lstat(path).then(
      () => true,
      () => false,
    )
    if (found)
      throw new MeshError('MESH_REVOCATION_INVALID', `there is ${path} already; it is as it was`, {
        hint: '`mesh-gateway revoke --list` shows what it revokes; --new begins a list where there never was one',
      })
    const list = uuidV7()
    const position = { list, begunMs: nowMs, seq: 0, mark: firstMark(list) }
    await writeWhole(path, position, []).catch((error: unknown) => {
      throw diskError(path, error)
    })
  })
}

/** @throws MeshError MESH_REVOCATION_MISSING, MESH_REVOCATION_INVALID */
export async function readIndex(path: string): Promise<RevokedIndex> {
  const reader = createListReader(path)
  await reader.catchUp()
  return reader.index()
}

/** The entries in force. @throws MeshError MESH_REVOCATION_MISSING, MESH_REVOCATION_INVALID */
export async function readList(path: string, nowMs: number): Promise<readonly RevocationEntry[]> {
  return [...(await readIndex(path)).entries()].filter((one) => !hasEnded(one, nowMs))
}

/**
 * Adds an entry, or replaces the one for the same value.
 * @throws MeshError MESH_REVOCATION_MISSING, MESH_REVOCATION_INVALID, MESH_DISK_WRITE
 */
export async function addToList(path: string, added: NewEntry, nowMs: number): Promise<void> {
  const add = readEntry({ by: null, ...added })
  // an entry that a gateway would refuse must not be written
  if (typeof add === 'string') throw new MeshError('MESH_REVOCATION_INVALID', add)
  await changeList(path, () => ({ add }), nowMs)
}

/** True when it was there. @throws MeshError as `addToList` */
export async function removeFromList(
  path: string,
  { kind, value }: Pick<RevocationEntry, 'kind' | 'value'>,
  nowMs: number,
): Promise<boolean> {
  const undo = { kind, value }
  return changeList(
    path,
    (index) => (index.get(kind, value) === undefined ? null : { undo }),
    nowMs,
  )
}

async function changeList(path: string, edit: Edit, nowMs: number): Promise<boolean> {
  const reader = createListReader(path)
  // before a lock file is created beside it
  await reader.catchUp()
  return createListWriter({ path, reader, now: () => nowMs }).change(edit)
}
