import assert from 'node:assert/strict'
import { type EgressClaims, MeshError, Secret } from '@clawmesh/proto'
import type { RevocationEntry } from '../../../mesh-gateway/src/revocation/entry.ts'
import type { Edit } from '../../../mesh-gateway/src/revocation/list-writer.ts'
import { indexOf } from '../../../mesh-gateway/src/revocation/revoked-index.ts'
import {
  createTokenRevoker,
  type TokenRevokerOptions,
} from '../../../mesh-gateway/src/tokens/revoke-token.ts'

const NOW_MS = 1_800_000_000_000
const JTI = '01890a5d-ac96-774b-bcce-b302099a8057'
const BY_HOLDER: RevocationEntry = {
  ...{ kind: 'token', value: JTI, reason: 'by the holder of the token', by: 'acme/bot' },
  since: '2027-01-15T08:00:00.000Z',
  // a minute after the token has ended
  until: '2027-01-15T08:16:00.000Z',
}

const claimsOf = (tenant: string, agent: string, jti = JTI): EgressClaims => ({
  ...{ iss: 'gateway', aud: 'clawmesh-egress', sub: 'x', tenant, agent_id: agent },
  ...{ allowed_destinations: [], iat: 0, nbf: 0, exp: NOW_MS / 1000 + 900, jti },
})

interface Setup extends Partial<TokenRevokerOptions> {
  /** What the list holds before. */
  readonly before?: readonly RevocationEntry[]
  /** What the gateway knows to be revoked. */
  readonly known?: boolean
}

function revoker({ before = [], known = false, ...more }: Setup = {}) {
  const edits: ReturnType<Edit>[] = []
  const taken: unknown[] = []
  const revoke = createTokenRevoker({
    verify: () => claimsOf('acme', 'bot'),
    accounts: null,
    limits: {
      take: (...asked) => {
        taken.push(asked)
        return null
      },
    },
    revocations: {
      token: (jti) => (known && jti === JTI ? {} : null),
      change: async (edit) => {
        edits.push(edit(indexOf(before)))
        return true
      },
    },
    now: () => NOW_MS,
    ...more,
  })
  const asked = async (key: string | null = null) => {
    const { claims, refused } = await revoke(
      new Secret('token'),
      key === null ? null : new Secret(key),
    )
    return { claims, code: refused?.code ?? null, refused }
  }
  return { asked, edits, taken }
}

describe('a service account that revokes a token', () => {
  const accounts: TokenRevokerOptions['accounts'] = {
    authenticate(key) {
      if (key !== 'key') throw new MeshError('MESH_ACCOUNT_KEY_INVALID')
      return {
        ...{ id: '0123456789abcdef', tenant: 'acme', agent: 'bot', destinations: null },
        ...{ hash: '', created: '', revoked: null },
      }
    },
  }

  it('revokes those of its own agent, and none of an agent of the same name of another tenant', async () => {
    for (const [tenant, agent, code, count] of [
      ['acme', 'bot', null, 1],
      ['globex', 'bot', 'MESH_TOKEN_AGENT_MISMATCH', 0],
      ['acme', 'other', 'MESH_TOKEN_AGENT_MISMATCH', 0],
    ] as const) {
      const { asked, edits } = revoker({ accounts, verify: () => claimsOf(tenant, agent) })
      const answer = await asked('key')
      assert.equal(answer.code, code)
      assert.deepEqual(answer.claims, claimsOf(tenant, agent))
      assert.equal(edits.length, count)
    }
  })

  it('is named in the list', async () => {
    const { asked, edits } = revoker({ accounts })
    await asked('key')
    const reason = 'by service account 0123456789abcdef'
    assert.deepEqual(edits, [{ add: { ...BY_HOLDER, reason } }])
  })

  it('learns nothing of a token with a key that is wrong, or where there are no accounts', async () => {
    for (const setup of [{ accounts }, { accounts: null }]) {
      const { asked, edits } = revoker({ ...setup, verify: () => assert.fail('looked at') })
      const { claims, code } = await asked('wrong')
      assert.deepEqual([claims, code, edits], [null, 'MESH_ACCOUNT_KEY_INVALID', []])
    }
  })
})

describe('the holder of a token that revokes it', () => {
  it('enters it until a minute after its end, by the word of its agent, once it was counted', async () => {
    const { asked, edits, taken } = revoker()
    assert.equal((await asked()).code, null)
    assert.deepEqual(edits, [{ add: BY_HOLDER }])
    assert.deepEqual(taken, [['revoke:acme/bot', 60, 60]])
  })

  it('writes nothing for one that is revoked already, nor is that counted', async () => {
    const { asked, edits, taken } = revoker({ known: true })
    const { claims, code } = await asked()
    assert.deepEqual([claims?.jti, code, edits, taken], [JTI, null, [], []])
  })

  it('leaves an entry that another process or an operator made, unless it has ended', async () => {
    const operators = { ...BY_HOLDER, by: null, until: null }
    const ended = { ...BY_HOLDER, until: new Date(NOW_MS).toISOString() }
    const running = { ...BY_HOLDER, until: new Date(NOW_MS + 1).toISOString() }
    for (const [before, edit] of [
      [operators, null],
      [running, null],
      [ended, { add: BY_HOLDER }],
    ] as const) {
      const { asked, edits } = revoker({ before: [before] })
      assert.equal((await asked()).code, null)
      assert.deepEqual(edits, [edit])
    }
  })

  it('is told when there is no room in a share, which one, and that the token is still good', async () => {
    const before = ['acme/bot', 'acme/two', 'globex/x'].map((by, n) => ({
      ...{ ...BY_HOLDER, value: `t${n}`, by },
    }))
    const most = { agent: 9, tenant: 9, all: 9, reserved: 0 }
    for (const [shares, message] of [
      [{ ...most, agent: 1 }, /^the agent has/],
      [{ ...most, tenant: 2 }, /^the agents of the tenant have/],
      [{ ...most, all: 3 }, /^agents have/],
    ] as const) {
      const { refused } = await revoker({ before, shares }).asked()
      assert.equal(refused?.code, 'MESH_REVOCATION_SHARE')
      assert.match(refused.message, message)
      assert.match(refused.message, /NOT revoked, and still good$/)
      assert.match(refused.hint, /`mesh-gateway revoke agent acme\/bot`/)
      assert.equal(refused.retryAfterMs, 60_000)
    }
    for (const room of [{ agent: 2 }, { tenant: 3 }, { all: 4 }])
      assert.equal((await revoker({ before, shares: { ...most, ...room } }).asked()).code, null)
  })

  it('is told when it comes too often, or when the token has an id that no list can hold', async () => {
    const often = revoker({ limits: { take: async () => 1_500 } })
    const { refused } = await often.asked()
    assert.equal(refused?.code, 'MESH_RATE_LIMITED')
    assert.equal(refused.retryAfterMs, 1_500)
    assert.deepEqual(often.edits, [])
    for (const jti of ['a b', 'x'.repeat(129)]) {
      const odd = revoker({ verify: async () => claimsOf('acme', 'bot', jti) })
      assert.equal((await odd.asked()).code, 'MESH_REVOCATION_INVALID')
      assert.deepEqual([odd.edits, odd.taken], [[], []])
    }
  })

  it('is told nothing of one that is good for nothing, and the truth of one that cannot be judged', async () => {
    for (const [error, code] of [
      [new MeshError('MESH_TOKEN_EXPIRED'), null],
      [new MeshError('MESH_TOKEN_SIGNATURE'), null],
      [new MeshError('MESH_TOKEN_ISSUER_UNAVAILABLE'), 'MESH_TOKEN_ISSUER_UNAVAILABLE'],
      [new MeshError('MESH_POLICY_NO_TENANT'), 'MESH_POLICY_NO_TENANT'],
    ] as const) {
      const { asked, edits } = revoker({ verify: () => Promise.reject(error) })
      const answer = await asked()
      assert.deepEqual([answer.claims, answer.code, edits], [null, code, []])
    }
  })

  it('is not told that it is revoked when something broke', async () => {
    for (const work of ['verify', 'write'] as const) {
      const broken = () => Promise.reject(new TypeError('broken'))
      const { asked } = revoker(
        work === 'verify'
          ? { verify: broken }
          : { revocations: { token: () => null, change: broken } },
      )
      await assert.rejects(asked(), { message: 'broken' })
    }
  })
})
