/**
 * Service definitions for servers and clients, message codecs for both, from the schemas in `schema/`. They are part of
 * the code, so that a bundle needs no file beside it.
 */
import {
  fromJSON,
  type MessageTypeDefinition,
  type PackageDefinition,
  type ServiceDefinition,
} from '@grpc/proto-loader'
import protobuf from 'protobufjs'
import { DELEGATION_SCHEMA } from './schema/delegation.ts'
import { HEALTH_SCHEMA, REFLECTION_SCHEMA } from './schema/grpc.ts'
import { MESH_SCHEMA } from './schema/mesh.ts'
import { ERROR_DETAILS_SCHEMA, STATUS_SCHEMA } from './schema/rpc.ts'

/** By the names of the .proto files that they are the schemas of. */
const SCHEMAS = Object.freeze({
  'clawmesh/delegation/v1/delegation.proto': DELEGATION_SCHEMA,
  'clawmesh/mesh/v1/mesh.proto': MESH_SCHEMA,
  'grpc/health/v1/health.proto': HEALTH_SCHEMA,
  'grpc/reflection/v1/reflection.proto': REFLECTION_SCHEMA,
  'google/rpc/status.proto': STATUS_SCHEMA,
  'google/rpc/error_details.proto': ERROR_DETAILS_SCHEMA,
})

/** Names of the .proto files of the mesh. */
export type ProtoFile = keyof typeof SCHEMAS

/**
 * The definition of .proto files of the mesh, without reading any. Fields keep their names, enums are strings, 64-bit
 * numbers are numbers.
 */
export function loadProto(...files: ProtoFile[]): PackageDefinition {
  const root = new protobuf.Root()
  const imported = new Set<string>()
  for (const file of files) {
    const { imports = [] } = protobuf.parse(SCHEMAS[file], root, { keepCase: true })
    for (const each of imports) imported.add(each)
  }
  // what protobufjs brings along: Timestamp, Duration, Any
  for (const each of imported) root.addJSON(protobuf.common.get(each)?.nested ?? {})
  return fromJSON(root.toJSON(), {
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
