import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import type { IdentitySnapshot, PeerCertificate } from '@clawmesh/agent-sdk/mesh'
import { createSpiffeTemplate, type ErrorCode, type MeshError, Secret } from '@clawmesh/proto'
import { OpenRecord } from '../../../../mesh-gateway/src/audit/open-record.ts'
import type { AdmittedCall } from '../../../../mesh-gateway/src/delegation/live/admitted.ts'
import {
  createLiveCalls,
  type LiveCalls,
  type Place,
} from '../../../../mesh-gateway/src/delegation/live/live-calls.ts'
import { compilePolicy } from '../../../../mesh-gateway/src/policy/compile/compile.ts'
import { readPolicyFile } from '../../../../mesh-gateway/src/policy/read/read-file.ts'
import { judgeRevocations } from '../../../../mesh-gateway/src/revocation/judge.ts'
import { indexOf } from '../../../../mesh-gateway/src/revocation/revoked-index.ts'
import { waitFor } from '../../../support/wait-for.ts'

const spiffe = createSpiffeTemplate({ trustDomain: 'mesh.internal' })
const ROOT = 'ab'.repeat(32)

describe('the registry of live streams', () => {
  let nowMs = 1_000_000
  let revoked: string[] = []
  let retired: string[] = []
  let live: LiveCalls
  let cuts: ErrorCode[] = []
  const listeners = new Set<() => void>()
  const change = () => {
    for (const listener of [...listeners]) listener()
  }
  const onChange = (listener: () => void) => {
    listeners.add(listener)
    return () => listeners.delete(listener)
  }
  const identity: IdentitySnapshot = {
    generation: 1,
    identity: spiffe.gateway('gw'),
    dnsNames: [],
    notBefore: new Date(0),
    notAfter: new Date(1e13),
    fingerprint: '',
    certificateChain: '',
    privateKey: new Secret(''),
    roots: [{ pem: '', fingerprint: ROOT, notAfter: new Date(1e13) }],
  }
  const judge = () =>
    judgeRevocations(
      indexOf(
        revoked.map((value) => ({
          ...{ kind: 'agent', value, reason: null, since: '', until: null, by: null },
        })),
      ),
      new Map(),
      'refuse',
      () => nowMs,
    ).judge
  let current = judge()
  const policyOf = (tenants: Readonly<Record<string, object>>) =>
    compilePolicy(
      Object.entries(tenants).map(([tenant, delegation]) => {
        const text = JSON.stringify({ tenant, delegation })
        const reading = readPolicyFile(`${tenant}.json`, Buffer.from(text))
        assert.ok(reading.kind !== 'broken')
        return reading
      }),
      1,
    )
  let policy = policyOf({})

  beforeEach(() => {
    nowMs = 1_000_000
    revoked = []
    retired = []
    current = judge()
    cuts = []
    policy = policyOf({ acme: { allow: [{ from: '*', to: '*' }] } })
    live = createLiveCalls({
      identity: { current: () => identity, onChange },
      policy: { current: () => policy, onChange },
      revocations: {
        certificate: (peer) => current.certificate(peer),
        agent: (id) => current.agent(id),
        chain: (txn, actors) => current.chain(txn, actors),
        token: (jti) => current.token(jti),
        onChange,
      },
      keys: { verifies: (_issuer, kid) => !retired.includes(kid), onChange },
      metrics: { cut: (_plane, reason) => cuts.push(reason) },
      sweepMs: 5,
      graceMs: 20,
      now: () => nowMs,
    })
  })
  afterEach(() => {
    live.close()
    assert.equal(listeners.size, 0)
  })

  const peer = (agent: string, endsMs: number): PeerCertificate => ({
    identity: spiffe.agent('acme', agent),
    dnsNames: [],
    notBefore: new Date(0),
    notAfter: new Date(endsMs),
    fingerprint: agent,
    serial: '01',
    rootFingerprint: ROOT,
    anchor: 'anchor',
    links: [{ fingerprint: agent, serial: '01', issuerKey: 'key' }],
  })
  const grounds = (agent: string, endsMs = 1e13): AdmittedCall => ({
    grounds: {
      agent: spiffe.agent('acme', agent).id,
      caller: peer(agent, endsMs),
      ...{ callee: null, token: null, chain: null },
    },
    question: {
      caller: { tenant: 'acme', agent },
      callee: { tenant: 'acme', agent: 'researcher' },
      method: 'a.B/C',
      withinChain: false,
    },
    resumable: false,
  })
  function open(agent: string, ended: Set<number>, n: number, endsMs?: number): Place {
    const place = live.add(
      {
        cut(_error: MeshError) {
          ended.add(n)
          live.remove(place)
        },
        reset() {},
      },
      grounds(agent, endsMs),
    )
    return place
  }
  const revokeNow = (...ids: string[]) => {
    revoked = ids.map((agent) => spiffe.agent('acme', agent).id)
    current = judge()
    change()
  }
  const settle = async () => {
    for (let n = 0; n < 2_000; n += 1) await turn()
  }

  it('tells a caller the rule of its own tenant that ends its stream, and none of another', () => {
    const deny = [{ from: 'acme/*', to: '*' }]
    const acme = { allow: [{ from: '*', to: 'globex/*' }] }
    const globex = { accept: deny }
    const one = grounds('planner')
    assert.ok(one.question !== null)
    const callee = { tenant: 'globex', agent: 'researcher' }
    const crossing = { ...one, question: { ...one.question, callee } }
    policy = policyOf({ acme, globex })
    assert.equal(live.judge(crossing), null)
    policy = policyOf({ acme: { ...acme, deny: [{ from: '*', to: 'globex/*' }] }, globex })
    assert.equal(live.judge(crossing)?.facts.rule, 'acme.json#/delegation/deny/0')
    policy = policyOf({ acme, globex: { ...globex, deny } })
    const error = live.judge(crossing)
    assert.equal(error?.code, 'MESH_POLICY_DENIED')
    assert.ok(!JSON.stringify(error.facts).includes('globex.json'), JSON.stringify(error.facts))
  })

  it('counts each call once, though one within a tree has two places', () => {
    const add = (opening?: OpenRecord) =>
      live.add({ cut() {}, reset() {} }, grounds('planner'), opening)
    const record = new OpenRecord(Number.POSITIVE_INFINITY, { write() {} }, () => assert.fail())
    const [one, ofItsTree, other] = [add(record), add(), add(record)]
    assert.equal(live.open(0).count, 2)
    live.remove(one)
    live.remove(ofItsTree)
    // a call may leave more than once
    live.remove(one)
    assert.equal(live.open(0).count, 1)
    live.remove(other)
    assert.equal(live.open(0).count, 0)
  })

  it('ends whom it has to of ten thousand, misses none, and holds nobody up', async () => {
    const ended = new Set<number>()
    for (let n = 0; n < 10_000; n += 1) open(n % 3 === 0 ? 'bad' : 'good', ended, n)
    let turns = 0
    let watching = true
    const watch = (async () => {
      while (watching) {
        await turn()
        if (ended.size < 3_334) turns += 1
      }
    })()
    revokeNow('bad')
    assert.ok(ended.size < 3_334, 'one slice')
    await settle()
    watching = false
    await watch
    assert.equal(ended.size, 3_334)
    assert.equal(live.size, 6_666)
    assert.ok([...ended].every((n) => n % 3 === 0))
    assert.deepEqual([...new Set(cuts)], ['MESH_IDENTITY_REVOKED'])
    assert.ok(turns > 1, `${turns} turns of others`)
  })

  it('misses none when others come, go and are revoked in the middle of a sweep', async () => {
    const ended = new Set<number>()
    const places: Place[] = []
    for (let n = 0; n < 5_000; n += 1) places.push(open(`agent-${n % 10}`, ended, n))
    revokeNow('agent-1')
    for (let n = 0; n < 5_000; n += 7) {
      const place = places[n]
      if (place !== undefined && !ended.has(n)) {
        live.remove(place)
        ended.add(n)
      }
      if (n % 70 === 0) await turn()
      if (n % 350 === 0) open('agent-3', ended, 10_000 + n)
      if (n === 2_100) revokeNow('agent-1', 'agent-3')
    }
    await settle()
    for (let n = 0; n < 5_000; n += 1)
      if (n % 10 === 1 || n % 10 === 3) assert.ok(ended.has(n), String(n))
    for (let n = 10_000; n < 15_000; n += 350)
      // those that came after the second change were judged elsewhere, before they came
      if (n <= 12_100) assert.ok(ended.has(n), String(n))
  })

  it('ends what came by a token whose key is retired, and nothing else', () => {
    const ended = new Set<number>()
    for (const [n, kid] of ['old', 'new', null].entries()) {
      const admitted = grounds('a')
      const token = { jti: 'j', issuer: 'i', endMs: Infinity, graceEndMs: Infinity, boundTo: null }
      const within = { ...admitted.grounds, token: kid === null ? null : { ...token, kid } }
      const place = live.add(
        {
          cut(error) {
            assert.equal(error.code, 'MESH_TOKEN_KEY_UNKNOWN')
            ended.add(n)
            live.remove(place)
          },
          reset() {},
        },
        { ...admitted, grounds: within },
      )
    }
    retired = ['old']
    change()
    assert.deepEqual([...ended], [0])
  })

  it('ends by the clock, each at its time', async () => {
    const ended = new Set<number>()
    open('a', ended, 1, nowMs + 1_000)
    open('b', ended, 2, nowMs + 2_000)
    open('c', ended, 3)
    nowMs += 1_001
    await waitFor('the end of the first', () => ended.size > 0)
    assert.deepEqual([...ended], [1])
    nowMs += 1_000
    await waitFor('the end of the second', () => ended.size > 1)
    assert.deepEqual([...ended], [1, 2])
    assert.deepEqual(cuts, ['MESH_IDENTITY_EXPIRED', 'MESH_IDENTITY_EXPIRED'])
    assert.equal(live.size, 1)
  })

  it('resets who does not come to the trailers, once', async () => {
    const resets: string[] = []
    const holdOn = (agent: string) => {
      const place = live.add(
        { cut: () => live.remove(place), reset: () => void resets.push(agent) },
        grounds(agent),
      )
    }
    holdOn('bad')
    revokeNow('bad')
    assert.equal(resets.length, 0)
    await waitFor('the reset', () => resets.length > 0)
    // a second time would come before the first of another
    holdOn('worse')
    revokeNow('bad', 'worse')
    await waitFor('the next one', () => resets.includes('worse'))
    assert.deepEqual(resets, ['bad', 'worse'])
  })
})
