import assert from 'node:assert/strict'
import type { VerifiedCrl } from '@clawmesh/agent-sdk/mesh'
import type { RevocationKind } from '../../../mesh-gateway/src/revocation/entry.ts'
import { judgeRevocations } from '../../../mesh-gateway/src/revocation/judge.ts'
import { indexOf } from '../../../mesh-gateway/src/revocation/revoked-index.ts'

const NOW_MS = 1_800_000_000_000
const BOT = 'spiffe://mesh.internal/tenant/acme/agent/bot'
const OTHER = 'spiffe://mesh.internal/tenant/acme/agent/other'
const leaf = { fingerprint: 'a1'.repeat(32), serial: '01', issuerKey: 'intermediate' }
const above = { fingerprint: 'b2'.repeat(32), serial: '02', issuerKey: 'root' }
const signature = { algorithm: '', parameters: null, signed: Buffer.of(), bytes: Buffer.of() }
const peer = { identity: { id: BOT }, links: [leaf, above] }

interface Setup {
  readonly revoked?: readonly [kind: RevocationKind, value: string, untilMs?: number][]
  /** By issuer: serial numbers, and how long after now the list ends. */
  readonly crls?: Readonly<Record<string, readonly [serials: string[], endsInMs: number | null]>>
  readonly stale?: 'refuse' | 'keep'
}

describe('what is revoked', () => {
  let nowMs: number
  beforeEach(() => {
    nowMs = NOW_MS
  })
  const judgeBy = ({ revoked = [], crls = {}, stale = 'refuse' }: Setup = {}) =>
    judgeRevocations(
      indexOf(
        revoked.map(([kind, value, untilMs]) => ({
          ...{ kind, value, reason: null, since: '2026-11-29T12:00:00Z', by: null },
          until: untilMs === undefined ? null : new Date(untilMs).toISOString(),
        })),
      ),
      new Map(
        Object.entries(crls).map(([issuerKey, [serials, endsInMs]]): [string, VerifiedCrl] => [
          issuerKey,
          {
            ...{
              issuer: Buffer.of(),
              signature,
              issuerKey,
              anchor: 'root',
              serials: new Set(serials),
              number: null,
            },
            ...{ thisUpdate: new Date(0), issuerNotAfter: new Date(NOW_MS + 1e9) },
            nextUpdate: endsInMs === null ? null : new Date(NOW_MS + endsInMs),
          },
        ]),
      ),
      stale,
      () => nowMs,
    )
  const codes = (setup: Setup) => {
    const { judge } = judgeBy(setup)
    return judge.certificate(peer)?.what ?? null
  }

  it('is a certificate by fingerprint or serial number, one above it, and the agent that it names', () => {
    assert.equal(codes({}), null)
    for (const value of [leaf.fingerprint, leaf.serial, above.fingerprint, above.serial])
      assert.equal(codes({ revoked: [['certificate', value]] }), 'certificate')
    assert.equal(codes({ revoked: [['certificate', '03']] }), null)
    assert.equal(codes({ revoked: [['agent', BOT]] }), 'agent')
    assert.equal(codes({ revoked: [['agent', OTHER]] }), null)
    // one kind never stands for another
    assert.equal(codes({ revoked: [['txn', leaf.serial]] }), null)
  })

  it('is a certificate that its own CA lists, and none of the same number of another CA', () => {
    const code = (setup: Setup) => judgeBy(setup).judge.certificate(peer)?.message ?? null
    const byCa = 'the certificate has been revoked by its CA'
    assert.equal(code({ crls: { intermediate: [['01'], null] } }), byCa)
    assert.equal(code({ crls: { root: [['02'], 1] } }), byCa)
    assert.equal(code({ crls: { intermediate: [['02'], null], root: [['01'], null] } }), null)
    assert.equal(code({ crls: { elsewhere: [['01', '02'], null] } }), null)
  })

  it('is every certificate of a CA whose list is out of date, unless it is to be kept', () => {
    for (const issuer of ['intermediate', 'root']) {
      const crls = { [issuer]: [[], 0] } as const satisfies Setup['crls']
      const { judge, stale } = judgeBy({ crls })
      assert.equal(stale, true)
      assert.equal(judge.certificate(peer)?.code, 'MESH_REVOCATION_STALE')
      assert.equal(judge.certificate(peer)?.what, 'list')
      const kept = judgeBy({ crls, stale: 'keep' })
      assert.deepEqual([kept.stale, kept.judge.certificate(peer)], [false, null])
    }
    assert.equal(codes({ crls: { elsewhere: [[], 0] } }), null)
    assert.equal(codes({ crls: { intermediate: [[], 1] } }), null)
    // it says more than that nobody can know
    assert.equal(codes({ crls: { intermediate: [['01'], 0] } }), 'certificate')
  })

  it('says when its answers change for a list, and which ends first', () => {
    const times = (crls: Setup['crls'] = {}, stale: 'refuse' | 'keep' = 'refuse') => {
      const { until, nextUpdateMs } = judgeBy({ crls, stale })
      return [until - NOW_MS, nextUpdateMs === null ? null : nextUpdateMs - NOW_MS]
    }
    assert.deepEqual(times(), [Infinity, null])
    assert.deepEqual(times({ a: [[], null] }), [Infinity, null])
    assert.deepEqual(times({ a: [[], 9], b: [[], 5], c: [[], null] }), [5, 5])
    assert.deepEqual(times({ a: [[], -5], b: [[], 5] }), [5, -5])
    assert.deepEqual(times({ a: [[], -5] }, 'keep'), [Infinity, -5])
  })

  it('is a tree by its root, or by an agent through whose hands it came, which is named', () => {
    const { judge } = judgeBy({
      revoked: [
        ['txn', 'tree'],
        ['agent', OTHER],
      ],
    })
    assert.deepEqual(judge.chain('tree', []), {
      ...{ code: 'MESH_CHAIN_REVOKED', what: 'txn' },
      message: 'the tree of delegations has been revoked',
    })
    assert.deepEqual(judge.chain('x', [BOT, OTHER]), {
      ...{ code: 'MESH_CHAIN_REVOKED', what: 'agent' },
      message: `${OTHER} is part of the chain, and has been revoked`,
    })
    assert.equal(judge.chain('x', [BOT]), null)
    assert.equal(judgeBy({}).judge.chain('tree', [BOT, OTHER]), null)
  })

  it('is an agent, and a token, each by its own name', () => {
    const { judge } = judgeBy({
      revoked: [
        ['agent', BOT],
        ['token', 'jti'],
      ],
    })
    assert.deepEqual(judge.agent(BOT), {
      ...{ code: 'MESH_IDENTITY_REVOKED', what: 'agent', message: 'the agent has been revoked' },
    })
    assert.deepEqual(judge.token('jti'), {
      ...{ code: 'MESH_TOKEN_REVOKED', what: 'token', message: 'the token has been revoked' },
    })
    assert.deepEqual([judge.agent(OTHER), judge.token('x')], [null, null])
  })

  it('holds until the end of an entry, though it was not swept yet', () => {
    const { judge } = judgeBy({ revoked: [['agent', BOT, NOW_MS + 1_000]] })
    nowMs += 999
    assert.equal(judge.agent(BOT)?.what, 'agent')
    nowMs += 1
    assert.equal(judge.agent(BOT), null)
    assert.equal(judge.chain('x', [BOT]), null)
  })
})
