/** The one error of an issuer whose keys cannot be had: tokens of it may be good, and nobody can say so now. */
import { MeshError, type MeshErrorOptions } from '@clawmesh/proto'

/** @param message what is wrong with its keys, for its operator. Default: the words of the table, for whoever brings a token. */
export function issuerUnavailable(message?: string, options: MeshErrorOptions = {}): MeshError {
  return new MeshError('MESH_TOKEN_ISSUER_UNAVAILABLE', message, options)
}
