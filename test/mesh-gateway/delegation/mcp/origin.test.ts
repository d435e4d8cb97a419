/** Pages in a browser that holds an agent's certificate do not reach the MCP endpoint. */
import assert from 'node:assert/strict'
import { MeshError } from '@clawmesh/proto'
import { checkOrigin } from '../../../../mesh-gateway/src/delegation/mcp/origin.ts'

const NAMES = new Set(['gateway.mesh.internal', 'localhost'])

describe('the Origin of a request to the MCP endpoint', () => {
  it('is absent, or the gateway itself', () => {
    for (const origin of [
      null,
      'https://gateway.mesh.internal',
      'https://gateway.mesh.internal:8443',
      'https://localhost:8443',
    ])
      checkOrigin(origin, NAMES)
  })

  it('is refused when it is any other', () => {
    for (const origin of [
      '',
      'null',
      'https://evil.example',
      'https://gateway.mesh.internal.evil.example',
      'https://evil.example@gateway.mesh.internal',
      'https://gateway.mesh.internal/',
      'https://gateway.mesh.internal, https://evil.example',
      'HTTPS://gateway.mesh.internal',
      'http://gateway.mesh.internal',
      'gateway.mesh.internal',
      'file://',
    ])
      assert.throws(
        () => checkOrigin(origin, NAMES),
        (error) => error instanceof MeshError && error.code === 'MESH_MCP_ORIGIN',
        origin,
      )
  })
})
