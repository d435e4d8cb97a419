/** Lets one process at a time change a CA. */
import { join } from 'node:path'
import { withLock } from '@clawmesh/proto/lock'
import { LOCK_FILE } from './ca-files.ts'

/** A change of a CA reads, signs and writes several files, and may wait for a token. */
const WAIT_MS = 10_000

/** @throws MeshError MESH_DISK_WRITE when another process keeps the lock */
export function withCaLock<T>(dir: string, work: () => Promise<T>): Promise<T> {
  return withLock(join(dir, LOCK_FILE), work, WAIT_MS)
}
