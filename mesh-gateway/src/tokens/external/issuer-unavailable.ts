/** The error for an external issuer whose keys are unavailable: its tokens may be valid, and cannot be verified now. */
import { MeshError, type MeshErrorOptions } from '@clawmesh/proto'

/**
 * @param message what is wrong with its keys, for the operator. Default: the message of the error table, for the client
 */
export function issuerUnavailable(message?: string, options: MeshErrorOptions = {}): MeshError {
  return new MeshError('MESH_TOKEN_ISSUER_UNAVAILABLE', message, options)
}
