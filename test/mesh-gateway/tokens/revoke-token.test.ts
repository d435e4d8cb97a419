import assert from 'node:assert/strict'
import { type EgressClaims, MeshError, Secret } from '@clawmesh/proto'
import { createTokenRevoker } from '../../../mesh-gateway/src/tokens/revoke-token.ts'

describe('a service account that revokes a token', () => {
  const claimsOf = (tenant: string, agent: string): EgressClaims => ({
    ...{ iss: 'gateway', aud: 'clawmesh-egress', sub: 'x', tenant, agent_id: agent },
    ...{ allowed_destinations: [], iat: 0, nbf: 0, exp: 2_000_000_000 },
    jti: '01890a5d-ac96-774b-bcce-b302099a8057',
  })

  async function revoked(tenant: string, agent: string): Promise<string> {
    let changes = 0
    const revoke = createTokenRevoker({
      verify: () => claimsOf(tenant, agent),
      accounts: {
        authenticate: () => ({
          ...{ id: '0123456789abcdef', tenant: 'acme', agent: 'bot', destinations: null },
          ...{ hash: '', created: '', revoked: null },
        }),
      },
      limits: { take: () => null },
      revocations: {
        token: () => null,
        change: async () => {
          changes += 1
          return true
        },
      },
    })
    const { refused } = await revoke(new Secret('token'), new Secret('key'))
    assert.ok(refused === null || refused instanceof MeshError)
    return `${refused?.code ?? 'revoked'} ${changes}`
  }

  it('revokes those of its own agent, and none of an agent of the same name of another tenant', async () => {
    assert.equal(await revoked('acme', 'bot'), 'revoked 1')
    assert.equal(await revoked('globex', 'bot'), 'MESH_TOKEN_AGENT_MISMATCH 0')
    assert.equal(await revoked('acme', 'other'), 'MESH_TOKEN_AGENT_MISMATCH 0')
  })
})
