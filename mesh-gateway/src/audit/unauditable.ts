/**
 * The refusal while the audit log cannot be written, where the configuration requires a record: the same for both
 * planes.
 */
import { MeshError } from '@clawmesh/proto'

export function unauditable(): MeshError {
  return new MeshError(
    'MESH_GATEWAY_NOT_READY',
    'the audit log cannot be written, and nothing passes without it',
  )
}
