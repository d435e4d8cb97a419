/** The services that the gateway serves under its own name: health, MeshService, and reflection of both. */
import { addReflection, createHealthService } from '@clawmesh/agent-sdk/calls'
import { HEALTH_SERVICE, MESH_SERVICE } from '@clawmesh/proto'
import { loadProto } from '@clawmesh/proto/wire'
import type { Server } from '@grpc/grpc-js'
import { addMeshService, type MeshServiceOptions } from './mesh-service.ts'

/** The long-lived streams of the gateway's own services, to be stopped when the gateway drains. */
export interface LastingServices {
  stop(): void
}

export function addGatewayServices(server: Server, options: MeshServiceOptions): LastingServices {
  const health = createHealthService([MESH_SERVICE])
  server.addService(health.definition, health.implementation)
  const mesh = addMeshService(server, options)
  addReflection(server, {
    definition: () => loadProto('clawmesh/mesh/v1/mesh.proto', 'grpc/health/v1/health.proto'),
    services: [MESH_SERVICE, HEALTH_SERVICE],
  })
  return {
    stop() {
      health.stop()
      mesh.stop()
    },
  }
}
