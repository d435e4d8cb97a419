/** Loads the .proto files: service definitions for servers and clients, message codecs for both. */
import { fileURLToPath } from 'node:url'
import {
  loadSync,
  type MessageTypeDefinition,
  type PackageDefinition,
  type ServiceDefinition,
} from '@grpc/proto-loader'

export const DELEGATION_SERVICE = 'clawmesh.delegation.v1.DelegationService'
export const MESH_SERVICE = 'clawmesh.mesh.v1.MeshService'
export const HEALTH_SERVICE = 'grpc.health.v1.Health'

type FileName =
  | 'clawmesh/delegation/v1/delegation.proto'
  | 'clawmesh/mesh/v1/mesh.proto'
  | 'grpc/health/v1/health.proto'
  | 'google/rpc/status.proto'
  | 'google/rpc/error_details.proto'

/** Reads .proto files of this package. Fields keep their names, enums are strings, 64-bit numbers are numbers. */
export function loadProto(...files: FileName[]): PackageDefinition {
  return loadSync(files, {
    includeDirs: [fileURLToPath(new URL('..', import.meta.url))],
    keepCase: true,
    enums: String,
    longs: Number,
    defaults: true,
    oneofs: true,
  })
}

export function serviceOf(definition: PackageDefinition, name: string): ServiceDefinition {
  const entry = definition[name]
  if (entry === undefined || 'format' in entry)
    throw new TypeError(`no service ${name} in the package definition`)
  return entry as ServiceDefinition
}

export function messageOf<T extends object>(
  definition: PackageDefinition,
  name: string,
): MessageTypeDefinition<T, T> {
  const entry = definition[name]
  if (entry === undefined || !('serialize' in entry))
    throw new TypeError(`no message ${name} in the package definition`)
  return entry as unknown as MessageTypeDefinition<T, T>
}
