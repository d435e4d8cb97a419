/**
 * Checks the size of the request headers of a call. Node's own limit is wider: over it, Node resets the stream without
 * a reason.
 */
import { MeshError } from '@clawmesh/proto'
import type { GuardLimits } from '../../config/guard-limits.ts'

/** @throws MeshError MESH_LIMIT_SIZE */
export function checkHeaderSize(
  rawHeaders: readonly string[],
  { headerCount, headerBytes }: Pick<GuardLimits, 'headerBytes' | 'headerCount'>,
): void {
  if (rawHeaders.length > headerCount * 2)
    throw new MeshError('MESH_LIMIT_SIZE', `a call may have ${headerCount} headers`)
  let bytes = 0
  for (const text of rawHeaders) bytes += text.length
  if (bytes > headerBytes)
    throw new MeshError('MESH_LIMIT_SIZE', `the headers of a call may have ${headerBytes} bytes`)
}
