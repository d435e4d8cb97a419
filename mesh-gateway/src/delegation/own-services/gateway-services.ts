/** What the gateway serves under its own name: health, MeshService, and reflection of both. */
import { addReflection, createHealthService, type HealthService } from '@clawmesh/agent-sdk'
import { HEALTH_SERVICE, loadProto, MESH_SERVICE } from '@clawmesh/proto'
import type { Server } from '@grpc/grpc-js'
import { addMeshService, type MeshServiceOptions } from './mesh-service.ts'

/** Returns the health service, to be stopped when the gateway drains. */
export function addGatewayServices(server: Server, options: MeshServiceOptions): HealthService {
  const health = createHealthService([MESH_SERVICE])
  server.addService(health.definition, health.implementation)
  addMeshService(server, options)
  const reflected = loadProto('clawmesh/mesh/v1/mesh.proto', 'grpc/health/v1/health.proto')
  addReflection(server, reflected, [MESH_SERVICE, HEALTH_SERVICE])
  return health
}
