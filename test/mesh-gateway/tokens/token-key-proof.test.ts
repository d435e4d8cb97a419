import assert from 'node:assert/strict'
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { MeshError } from '@clawmesh/proto'
import type { TokenLink } from '@clawmesh/proto/pkcs11'
import { type RingKey, thumbprint } from '../../../mesh-gateway/src/tokens/key-ring-file.ts'
import { tokenKeyProof } from '../../../mesh-gateway/src/tokens/sign-jwt.ts'

function keyInToken(role: RingKey['role']): RingKey {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const id = randomBytes(16).toString('hex')
  const uri = { token: 'mesh', modulePath: '/module.so', pinFile: '/pin' }
  return {
    ...{ kid: thumbprint(publicKey), role, created: '2026-01-01T00:00:00.000Z', until: null },
    ...{ privateKey: null, publicKey, untilMs: null },
    token: { uri, id, publicKey, secret: null },
  }
}

describe('a ring whose keys are in a token', () => {
  let isAway = false
  let asked: string[] = []
  const link: TokenLink = {
    async sign(id) {
      asked.push(id)
      if (isAway) throw new MeshError('MESH_HSM_UNAVAILABLE')
      return Buffer.alloc(64)
    },
    problem: () => null,
    close: async () => {},
  }
  const found = (keys: readonly RingKey[]) => ({
    digest: keys.map(({ kid, role, token }) => `${kid} ${role} ${token?.id}`).join(),
    parse: () => keys,
  })
  const idOf = ({ token }: RingKey) => token?.id ?? ''
  beforeEach(() => {
    isAway = false
    asked = []
  })

  it('loses a key that was retired also while the token is away', async () => {
    const [active, next, old] = [keyInToken('active'), keyInToken('next'), keyInToken('verifying')]
    const prove = tokenKeyProof('keys', link)
    await prove(found([active, next, old]))
    assert.deepEqual(asked, [active, next].map(idOf))
    isAway = true
    const kept = await prove(found([active, next]))
    assert.deepEqual(kept.parse(), [active, next])
  })

  it('does not get a key that has not signed yet, nor the old key in another place of the token', async () => {
    const [active, next, fresh] = [keyInToken('active'), keyInToken('next'), keyInToken('next')]
    const prove = tokenKeyProof('keys', link)
    await prove(found([active, next]))
    isAway = true
    const rotated = [{ ...next, role: 'active' as const }, fresh]
    await assert.rejects(prove(found(rotated)), { code: 'MESH_HSM_UNAVAILABLE' })
    const moved = { ...active, token: keyInToken('active').token }
    await assert.rejects(prove(found([moved, next])), { code: 'MESH_HSM_UNAVAILABLE' })
    isAway = false
    asked = []
    await prove(found(rotated))
    assert.deepEqual(asked, [idOf(fresh)])
    // with each further reading the key that signs is tried
    await prove(found(rotated))
    assert.deepEqual(asked, [fresh, next].map(idOf))
  })
})
