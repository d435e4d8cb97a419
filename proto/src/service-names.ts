/** Full names of the services of a mesh. Policy and metrics use them without any gRPC library. */
export const DELEGATION_SERVICE = 'clawmesh.delegation.v1.DelegationService'
export const MESH_SERVICE = 'clawmesh.mesh.v1.MeshService'
export const HEALTH_SERVICE = 'grpc.health.v1.Health'
