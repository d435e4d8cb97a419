/** A MeshError as grpc-js sends it. */
import {
  encodeStatusDetails,
  GRPC_STATUS,
  METADATA_STATUS_DETAILS,
  MeshError,
} from '@clawmesh/proto'
import { Metadata, type ServiceError } from '@grpc/grpc-js'

export function serviceError(cause: unknown): Partial<ServiceError> {
  const error =
    cause instanceof MeshError
      ? cause
      : new MeshError('MESH_GATEWAY_INTERNAL', undefined, { cause })
  const metadata = new Metadata()
  metadata.set(METADATA_STATUS_DETAILS, encodeStatusDetails(error))
  const details = error.publicMessage.toWellFormed()
  return { code: GRPC_STATUS[error.row.grpc], details, metadata }
}
