/** What grounds are judged by, beside what the planes' own tests show. */
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { keyIdentity } from '@clawmesh/agent-sdk/mesh'
import type { Grounds, NamedCertificate } from '../../../mesh-gateway/src/live/grounds.ts'
import {
  judgeAdmitted,
  judgeChain,
  judgeGrounds,
  type PolicyFault,
  type RevokedGround,
  type Standing,
} from '../../../mesh-gateway/src/live/judge.ts'
import { createTrust } from '../../../mesh-gateway/src/live/trust.ts'
import { NO_REVOCATIONS } from '../../../mesh-gateway/src/revocation/revocations.ts'
import { makeTestCa } from '../../support/test-ca.ts'

describe('a certificate that a token names', () => {
  it('vouches for nothing once its root has expired, as that of a connection', async () => {
    await using stack = new AsyncDisposableStack()
    const ca = stack.adopt(await makeTestCa(), (one) => one.close())
    const identity = await ca.open(await ca.agentDir({ tenant: 'acme', agent: 'planner' }))
    const [root] = identity.current().roots
    assert.ok(root !== undefined)
    const issuerKey = keyIdentity(new X509Certificate(root.pem))
    const id = identity.current().identity.id
    const links = [{ fingerprint: '', serial: '', issuerKey }]
    const chain = {
      ...{ txn: 'one', actors: [id] },
      certificates: [{ identity: { id }, links, rootFingerprint: null }],
    }
    const trust = createTrust(identity)
    const judged = (nowMs: number) =>
      judgeChain(chain, { trust, revocations: NO_REVOCATIONS, nowMs })
    const endMs = root.notAfter.getTime()
    assert.equal(judged(endMs), null)
    assert.deepEqual(judged(endMs + 1), {
      ...{ ground: 'actor', id, why: { untrusted: 'MESH_IDENTITY_UNTRUSTED' } },
    })
  })
})

describe('a gateway without a bundle', () => {
  it('trusts no key and knows no issuer, and says that it has none', async () => {
    await using stack = new AsyncDisposableStack()
    const ca = stack.adopt(await makeTestCa(), (one) => one.close())
    const { certificateChain, roots } = (
      await ca.open(await ca.agentDir({ tenant: 'acme', agent: 'planner' }))
    ).current()
    const [root] = roots
    assert.ok(root !== undefined)
    const none = createTrust(null)
    assert.equal(none.current(), null)
    const leaf = new X509Certificate(certificateChain)
    assert.deepEqual(none.linkOf(leaf), {
      fingerprint: leaf.fingerprint256.replaceAll(':', '').toLowerCase(),
      serial: leaf.serialNumber.toLowerCase(),
      issuerKey: '',
    })
    assert.equal(none.hasKey(keyIdentity(new X509Certificate(root.pem)), Date.now()), false)
  })
})

describe('grounds', () => {
  const AGENT = 'spiffe://mesh.internal/tenant/acme/agent/a'
  const named = (id: string): NamedCertificate => ({
    identity: { id },
    links: [{ fingerprint: id, serial: '', issuerKey: 'root key' }],
    rootFingerprint: null,
  })
  const all: Grounds = {
    agent: AGENT,
    caller: named('caller'),
    callee: named('callee'),
    token: {
      ...{ jti: 'jti', issuer: 'issuer', kid: 'kid', endMs: 100, graceEndMs: 150 },
      boundTo: named('bound'),
    },
    chain: { txn: 'txn', actors: ['x', 'y'], certificates: [named('first'), named('second')] },
  }
  const revoked = (what: RevokedGround['what']): RevokedGround => ({
    ...{ code: 'MESH_IDENTITY_REVOKED', what, message: 'm' },
  })
  /** As things stand, where the things named are at fault. */
  const standing = (...faults: readonly string[]): Standing => {
    const given = (name: string, what: RevokedGround['what']) =>
      faults.includes(name) ? revoked(what) : null
    return {
      revocations: {
        certificate: ({ identity }) => given(identity.id, 'certificate'),
        agent: (id) => given(id, 'agent'),
        chain: (txn, actors) => given(`${txn} ${actors.join(' ')}`, 'txn'),
        token: (jti) => given(jti, 'token'),
      },
      trust: {
        current: () => (faults.includes('no bundle') ? null : { roots: [] }),
        hasKey: (key, nowMs) => key === 'root key' && nowMs < 1_000,
      },
      keys: { verifies: (issuer, kid) => !faults.includes(`${issuer} ${kid}`) },
      nowMs: faults.includes('late') ? 151 : 150,
    }
  }

  it('that hold are no fault, and each alone is found', () => {
    assert.equal(judgeGrounds(all, standing()), null)
    const certificate = (ground: 'caller' | 'callee' | 'actor', id: string) => ({
      ...{ ground, id, why: { revoked: revoked('certificate') } },
    })
    const cases: Record<string, unknown> = {
      caller: certificate('caller', 'caller'),
      jti: { ground: 'token', revoked: revoked('token') },
      bound: { ground: 'binding', revoked: revoked('certificate') },
      'issuer kid': { ground: 'key' },
      late: { ground: 'life' },
      'txn x y': { ground: 'chain', revoked: revoked('txn') },
      first: certificate('actor', 'first'),
      second: certificate('actor', 'second'),
      callee: certificate('callee', 'callee'),
    }
    for (const [fault, found] of Object.entries(cases))
      assert.deepEqual(judgeGrounds(all, standing(fault)), found, fault)
    // in the order of the checks of a new call
    const names = Object.keys(cases)
    names.forEach((name, index) => {
      assert.deepEqual(judgeGrounds(all, standing(...names.slice(index))), cases[name], name)
    })
  })

  it('that are not there are not judged: an agent without a certificate by its name alone', () => {
    const bare: Grounds = { agent: AGENT, caller: null, callee: null, token: null, chain: null }
    assert.equal(judgeGrounds(bare, standing('txn x y', 'jti', 'late', 'caller')), null)
    assert.deepEqual(judgeGrounds(bare, standing(AGENT)), {
      ...{ ground: 'agent', revoked: revoked('agent') },
    })
    assert.equal(judgeGrounds(all, standing(AGENT)), null, 'its certificate tells the agent too')
    const free = { ...all, token: { ...(all.token ?? assert.fail()), kid: null, boundTo: null } }
    assert.equal(judgeGrounds(free, standing('issuer kid', 'bound')), null)
  })

  it('by a certificate that leads to no root of the bundle are none, and without a bundle nobody asks', () => {
    const untrusted = { ground: 'caller', id: 'c', why: { untrusted: 'MESH_IDENTITY_UNTRUSTED' } }
    const of = (links: NamedCertificate['links'], ...faults: string[]) =>
      judgeGrounds({ ...all, caller: { ...named('c'), links } }, standing(...faults))
    const [link = assert.fail()] = named('c').links
    const strange = { ...link, issuerKey: 'another key' }
    assert.deepEqual(of([strange]), untrusted)
    assert.deepEqual(of([]), untrusted)
    assert.deepEqual(of([link, strange]), untrusted, 'the last one leads to the root')
    assert.equal(of([strange, link]), null)
    assert.equal(of([strange], 'no bundle'), null)
  })

  it('are asked of policy last, and only where policy has a say or has changed', () => {
    const policy: PolicyFault = { code: 'MESH_POLICY_NOT_ALLOWED', rule: null, hint: null }
    const asked: string[] = []
    const decide = (question: string) => {
      asked.push(question)
      return question === 'no' ? policy : null
    }
    const judge = (question: string | null, more: typeof decide | null, ...faults: string[]) =>
      judgeAdmitted({ grounds: all, question }, standing(...faults), more)
    assert.deepEqual(judge('no', decide), { ground: 'policy', policy })
    assert.equal(judge('yes', decide), null)
    assert.deepEqual(asked.splice(0), ['no', 'yes'])
    assert.equal(judge('no', decide, 'jti')?.ground, 'token')
    assert.equal(judge(null, decide), null)
    assert.equal(judge('no', null), null)
    assert.deepEqual(asked, [])
  })
})
