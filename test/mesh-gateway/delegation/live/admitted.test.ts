/** What a call was let in for, out of its story, and its places in the registry of live calls. */
import assert from 'node:assert/strict'
import type { PeerCertificate } from '@clawmesh/agent-sdk/mesh'
import { createSpiffeTemplate, type DelegationClaims, MeshError } from '@clawmesh/proto'
import { OpenRecord } from '../../../../mesh-gateway/src/audit/open-record.ts'
import { type Call, readCall } from '../../../../mesh-gateway/src/delegation/call.ts'
import type { PresentedClaims } from '../../../../mesh-gateway/src/delegation/chain/chain-tokens.ts'
import type { TaskTree } from '../../../../mesh-gateway/src/delegation/chain/tree-of-token.ts'
import {
  type AdmittedCall,
  admittedOf,
  hasCursor,
} from '../../../../mesh-gateway/src/delegation/live/admitted.ts'
import { CallPlaces, joinTree } from '../../../../mesh-gateway/src/delegation/live/call-places.ts'
import type { LiveCalls, Place } from '../../../../mesh-gateway/src/delegation/live/live-calls.ts'
import { type CallRecord, startRecord } from '../../../../mesh-gateway/src/delegation/record.ts'
import { routeOf } from '../../../../mesh-gateway/src/delegation/route.ts'
import { SAMPLE_DELEGATION } from '../../audit/sample-records.ts'

const spiffe = createSpiffeTemplate({ trustDomain: 'mesh.internal' })
const id = (agent: string) => spiffe.agent('acme', agent).id
const DELEGATE = 'clawmesh.delegation.v1.DelegationService/Delegate'
const WATCH = 'clawmesh.delegation.v1.DelegationService/Watch'
const GET = 'clawmesh.delegation.v1.DelegationService/Get'
const NAMES = { meshDomain: 'mesh.internal', own: new Set(['gateway.mesh.internal']) }

const certificate = (identity: PeerCertificate['identity']): PeerCertificate => ({
  ...{ identity, dnsNames: [], notBefore: new Date(0), notAfter: new Date(1e13) },
  ...{ fingerprint: 'f', serial: '01', rootFingerprint: 'r', anchor: 'r', links: [] },
})
const callOf = (method: string): Call =>
  readCall([':path', `/${method}`, ':authority', 'b.acme.mesh.internal'])
const claims = (more: Partial<DelegationClaims> = {}): DelegationClaims => ({
  ...{ iss: 'gateway', sub: id('a'), aud: id('b'), act: { sub: id('a') }, txn: 'txn' },
  ...{ hop: 1, max_hops: 5, iat: 0, exp: 1, jti: 'jti' },
  ...more,
})
const presented = (of: DelegationClaims): PresentedClaims => ({
  ...{ ...of, kid: 'kid' },
  chain: {
    ...{ txn: of.txn, actors: [of.sub] },
    certificates: [{ identity: { id: of.sub }, links: [], rootFingerprint: null }],
  },
})
const story = (more: Partial<CallRecord> = {}): CallRecord => ({
  ...startRecord(certificate(spiffe.agent('acme', 'a')), { ip: '127.0.0.1', port: 1 }),
  ...{ call: callOf(DELEGATE), route: routeOf('b.acme.mesh.internal', NAMES), callee: id('b') },
  ...more,
})
const callee = certificate(spiffe.agent('acme', 'b'))
const admitted = (of: CallRecord, begun = true) => admittedOf(of, { certificate: callee }, begun)

describe('what a call was let in for', () => {
  it('is its caller, its callee and its question to policy', () => {
    const { grounds, question } = admitted(story())
    assert.equal(grounds.agent, id('a'))
    assert.equal(grounds.caller?.identity.id, id('a'))
    assert.equal(grounds.callee, callee)
    assert.deepEqual([grounds.token, grounds.chain], [null, null])
    assert.deepEqual(
      [question?.caller.agent, question?.callee.agent, question?.method, question?.withinChain],
      ['a', 'b', DELEGATE, false],
    )
  })

  it('is no question where the gateway itself was called, or is no agent’s call', () => {
    const self = routeOf('gateway.mesh.internal', NAMES)
    assert.equal(admitted(story({ route: self })).question, null)
    assert.equal(admitted(story({ route: null })).question, null)
    const gateway = certificate(spiffe.gateway('gw'))
    assert.equal(admitted(story({ certificate: gateway })).question, null)
    assert.throws(() => admitted(story({ certificate: null })), TypeError)
    assert.throws(() => admitted(story({ call: null })), TypeError)
  })

  it('is a chain that the caller acts within, unless the chain begins with this very call', () => {
    const within = (hop: number, method: string) =>
      admitted(story({ link: claims({ hop }), call: callOf(method) })).question?.withinChain
    assert.equal(within(1, DELEGATE), false)
    assert.equal(within(2, DELEGATE), true)
    assert.equal(within(1, GET), true)
    const act = { sub: id('x'), act: { sub: id('a') } }
    const of = claims({ act })
    const { chain, token } = admitted(story({ link: of, presented: presented(of) })).grounds
    assert.deepEqual([chain?.txn, chain?.actors], ['txn', [id('a'), id('x')]])
    assert.deepEqual(
      chain?.certificates.map(({ identity }) => identity.id),
      [id('a')],
    )
    assert.deepEqual(token, {
      ...{ jti: 'jti', issuer: 'gateway', kid: 'kid', boundTo: null },
      ...{ endMs: Infinity, graceEndMs: Infinity },
    })
    assert.deepEqual(admitted(story({ link: of })).grounds.chain?.certificates, [])
  })

  it('can be resumed by Watch once it has begun, if it is a stream of events', () => {
    assert.deepEqual([DELEGATE, WATCH, GET, 'a.B/C'].map(hasCursor), [true, true, false, false])
    assert.equal(admitted(story()).resumable, true)
    assert.equal(admitted(story(), false).resumable, false)
    assert.equal(admitted(story({ call: callOf(GET) })).resumable, false)
  })
})

describe('the places of a call', () => {
  const registry = (verdict: () => MeshError | null = () => null) => {
    const places = new Set<Place>()
    const judged: AdmittedCall[] = []
    const live: Pick<LiveCalls, 'add' | 'remove' | 'judge'> = {
      judge(call) {
        judged.push(call)
        return verdict()
      },
      add(stream, call, opening) {
        const rest = { endMs: Infinity, epoch: 0, judgedBy: 0, index: 0 }
        const place: Place = { stream, call, opening, ...rest }
        places.add(place)
        return place
      },
      remove: (place) => void assert.ok(places.delete(place), 'once'),
    }
    const opening = new OpenRecord(Infinity, { write() {} }, () => SAMPLE_DELEGATION)
    return { places, judged, opening, mine: new CallPlaces(live, opening) }
  }
  const stream = { cut() {}, reset() {} }
  const tree = (signed: boolean, act: DelegationClaims['act'] = { sub: id('a') }): TaskTree => ({
    ...{ claims: claims({ act }), signed },
  })

  it('are one for itself, and one more for the tree that it is found to be of; it leaves them all', () => {
    const { places, opening, mine } = registry()
    mine.leave()
    mine.enlist(stream, admitted(story()))
    mine.enlist(stream, admitted(story()))
    assert.equal(places.size, 1, 'tried elsewhere, it has one place')
    assert.equal([...places][0]?.opening, opening)
    assert.equal(mine.join(tree(false)), null)
    assert.deepEqual(
      [...places].map(({ call, opening }) => [call.grounds.chain?.txn, opening !== undefined]),
      [
        [undefined, true],
        ['txn', false],
      ],
    )
    mine.leave()
    mine.leave()
    assert.equal(places.size, 0)
  })

  it('are judged within the tree: by the certificates that its token names, but for that of the caller itself', () => {
    const { judged, mine } = registry()
    mine.enlist(stream, admitted(story()))
    const link = ['0'.repeat(64)]
    const act = { sub: id('a'), crt: link, act: { sub: id('x'), crt: link } }
    const certificatesOf = (signed: boolean) => {
      try {
        mine.join({ ...tree(signed, act), signed })
      } catch (error) {
        return error instanceof MeshError ? error.code : assert.fail()
      }
      return judged.at(-1)?.grounds.chain?.certificates.map(({ identity }) => identity.id)
    }
    assert.deepEqual(certificatesOf(false), [], 'what nobody has signed names none')
    const signed = certificatesOf(true)
    // the form of the claim is another file's matter
    assert.ok(Array.isArray(signed) ? signed.join() === id('x') : signed === 'MESH_TOKEN_MALFORMED')
    assert.deepEqual(judged[0]?.grounds.chain?.actors, [id('x'), id('a')])
  })

  it('are not kept in a tree that was revoked, nor is one judged that is open no more', () => {
    const error = new MeshError('MESH_CHAIN_REVOKED')
    const { places, judged, mine } = registry(() => error)
    assert.equal(mine.join(tree(true)), null)
    assert.equal(judged.length, 0)
    mine.enlist(stream, admitted(story()))
    assert.equal(mine.join(tree(true)), error)
    assert.equal(places.size, 1)
  })

  describe('in a tree that a callee names', () => {
    const join = (named: TaskTree | Error, of = story(), raw = ['x-mesh-delegation', 'token']) => {
      const { mine } = registry()
      mine.enlist(stream, admitted(story()))
      const asked: string[][] = []
      const error = joinTree(raw, of, mine, {
        tree(...args) {
          asked.push(args)
          if (named instanceof Error) throw named
          return named
        },
      })
      return { error, asked, link: of.link }
    }

    it('is recorded, where a key of ours has signed its token', () => {
      const signed = tree(true)
      assert.deepEqual(join(signed), {
        ...{ error: null, asked: [['token', id('b')]], link: signed.claims },
      })
      assert.equal(join(tree(false)).link, null)
    })

    it('is none where nothing is named, or nobody is known', () => {
      const none = { error: null, asked: [], link: null }
      assert.deepEqual(join(tree(true), story(), ['grpc-status', '0']), none)
      assert.deepEqual(join(tree(true), story({ certificate: null })), none)
      assert.deepEqual(join(tree(true), story({ callee: null })), none)
    })

    it('must be the caller’s own, by a token that came with the task', () => {
      const other = join(tree(true, { sub: id('x') }))
      assert.deepEqual([other.error?.code, other.link], ['MESH_PEER_PROTOCOL', null])
      const forged = join(new MeshError('MESH_TOKEN_AUDIENCE'))
      assert.equal(forged.error?.code, 'MESH_PEER_PROTOCOL')
      assert.match(forged.error?.message ?? '', /does not name the tree of its task/)
    })
  })
})
