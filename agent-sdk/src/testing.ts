/**
 * The door for tests of skills, `@clawmesh/agent-sdk/testing`: a mesh in memory, without sockets, certificates or processes.
 * Its agents are those of `createAgent`; what lies between them is not there.
 */

export type { FetchHandler } from './testing/memory-egress.ts'
export type { PolicyQuestion, PolicyRule, TestRecord } from './testing/memory-policy.ts'
export type { TestAgentOptions, TestMesh, TestMeshOptions } from './testing/test-mesh.ts'
export { createTestMesh } from './testing/test-mesh.ts'
