/** A callee follows the trees of its tasks: what it is told, and what it cannot ask. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type ClientHttp2Session, type ClientHttp2Stream, constants } from 'node:http2'
import type { IdentityStore } from '@clawmesh/agent-sdk/mesh'
import { loadProto, messageOf } from '@clawmesh/proto/wire'
import { decodeJwt } from 'jose'
import type {
  FollowTreesRequest,
  TreeRevoked,
} from '../../../../mesh-gateway/src/delegation/own-services/follow-trees.ts'
import type { Revoked } from '../../../../mesh-gateway/src/revocation/judge.ts'
import { NO_REVOCATIONS } from '../../../../mesh-gateway/src/revocation/revocations.ts'
import { waitFor } from '../../../support/wait-for.ts'
import { call, echo, type Fixture, frame, GATEWAY, makeFixture } from '../fixture.ts'

const mesh = loadProto('clawmesh/mesh/v1/mesh.proto')
const request = messageOf<FollowTreesRequest>(mesh, 'clawmesh.mesh.v1.FollowTreesRequest')
const response = messageOf<TreeRevoked>(mesh, 'clawmesh.mesh.v1.FollowTreesResponse')
const REVOKED: Revoked = { code: 'MESH_CHAIN_REVOKED', what: 'txn', message: 'revoked'.repeat(40) }

interface Following {
  readonly stream: ClientHttp2Stream
  readonly told: TreeRevoked[]
  readonly trailers: Promise<Record<string, unknown>>
  say(key: number, token: string): void
}

describe('following trees of delegations', () => {
  let fixture: Fixture
  const stores = new Map<string, IdentityStore>()
  const revoked = new Set<string>()
  const listeners = new Set<() => void>()
  let asked = 0
  let token = ''

  before(async () => {
    const revocations = {
      ...NO_REVOCATIONS,
      chain(txn: string) {
        asked += 1
        return revoked.has(txn) ? REVOKED : null
      },
      onChange(listener: () => void) {
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
    }
    const policy = { tenant: 'acme', delegation: { allow: [{ from: '*', to: '*' }] } }
    fixture = await makeFixture(policy, { revocations })
    for (const agent of ['planner', 'researcher', 'writer', 'editor', 'reader'])
      stores.set(agent, await fixture.ca.open(await fixture.ca.agentDir({ tenant: 'acme', agent })))
    for (const callee of ['researcher', 'writer', 'editor', 'reader'])
      await fixture.peer(
        callee,
        (stream, headers) => {
          token = headers[headers.indexOf('x-mesh-delegation') + 1] ?? ''
          echo(stream)
        },
        store(callee),
      )
  })
  after(() => fixture.close())
  beforeEach(() => revoked.clear())

  const store = (agent: string) => stores.get(agent) ?? assert.fail(agent)
  const txnOf = (one: string) => String(decodeJwt(one).txn)
  const change = () => {
    for (const listener of listeners) listener()
  }

  async function task(callee = 'researcher'): Promise<string> {
    await call(await fixture.connect(store('planner')), {
      ':path': '/clawmesh.delegation.v1.DelegationService/Delegate',
      ':authority': `${callee}.acme.mesh.internal`,
    })
    return token
  }
  async function follow(agent = 'researcher', on?: ClientHttp2Session): Promise<Following> {
    const session = on ?? (await fixture.connect(store(agent)))
    const stream = session.request({
      ':method': 'POST',
      ':path': '/clawmesh.mesh.v1.MeshService/FollowTrees',
      ':authority': GATEWAY,
      'content-type': 'application/grpc',
      te: 'trailers',
    })
    const told: TreeRevoked[] = []
    let held = Buffer.alloc(0)
    stream.on('data', (chunk: Buffer) => {
      held = Buffer.concat([held, chunk])
      while (held.length >= 5 && held.length >= 5 + held.readUInt32BE(1)) {
        const end = 5 + held.readUInt32BE(1)
        told.push(response.deserialize(held.subarray(5, end)))
        held = held.subarray(end)
      }
    })
    stream.on('error', () => {})
    const trailers = new Promise<Record<string, unknown>>((resolve) => {
      stream.once('trailers', resolve)
      stream.once('response', (head) => 'grpc-status' in head && resolve(head))
    })
    const say = (key: number, one: string) =>
      stream.write(frame(request.serialize({ key, delegation_token: one })))
    return { stream, told, trailers, say }
  }
  const reached = (count: number) =>
    waitFor('the gateway to have asked', () => (asked >= count ? true : undefined))

  it('a callee is told of its own tree when it is revoked, once, and of no other', async () => {
    const [one, two] = [await task(), await task()]
    const following = await follow()
    const before = asked
    following.say(1, one)
    following.say(2, two)
    await reached(before + 2)
    revoked.add(txnOf(two))
    change()
    await waitFor('to be told', () => following.told[0])
    change()
    revoked.add(txnOf(one))
    change()
    await waitFor('to be told again', () => following.told[1])
    assert.deepEqual(
      following.told.map(({ key, code }) => `${key} ${code}`),
      ['2 MESH_CHAIN_REVOKED', '1 MESH_CHAIN_REVOKED'],
    )
    following.stream.end()
    assert.equal((await following.trailers)['grpc-status'], '0')
  })

  it('at once of one that is revoked already, and not of one that it no longer follows', async () => {
    const [one, two] = [await task(), await task()]
    const following = await follow()
    const before = asked
    following.say(1, one)
    await reached(before + 1)
    following.say(1, '')
    revoked.add(txnOf(one)).add(txnOf(two))
    following.say(2, two)
    await waitFor('to be told', () => following.told[0])
    change()
    following.stream.end()
    await following.trailers
    assert.deepEqual(
      following.told.map(({ key }) => key),
      [2],
    )
  })

  it('nobody asks with the token of another, and what is unsigned gets no answer', async () => {
    const one = await task()
    revoked.add(txnOf(one))
    const thief = await follow('writer')
    thief.say(1, one)
    thief.stream.end()
    assert.equal((await thief.trailers)['grpc-status'], '0')
    assert.deepEqual(thief.told, [])
    const following = await follow()
    following.say(1, one.slice(0, one.lastIndexOf('.') + 1))
    following.say(2, one)
    await waitFor('to be told', () => following.told[0])
    following.stream.end()
    await following.trailers
    assert.deepEqual(
      following.told.map(({ key }) => key),
      [2],
    )
  })

  it('a token that is none of this mesh keeps no other task from being followed', async () => {
    const one = await task()
    revoked.add(txnOf(one))
    const following = await follow()
    const [head = '', body = ''] = one.split('.')
    const claims = { ...decodeJwt(one), iss: 'https://gateway.before' }
    following.say(1, `${head}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.`)
    following.say(2, `${head}.${body}`)
    following.say(3, await task('editor'))
    following.say(4, one)
    await waitFor('to be told', () => following.told[0])
    following.stream.end()
    assert.equal((await following.trailers)['grpc-status'], '0')
    assert.deepEqual(
      following.told.map(({ key }) => key),
      [4],
    )
  })

  it('a stream takes 2,000 tasks', async () => {
    const one = await task()
    const following = await follow()
    for (let key = 1; key <= 2_001; key += 1) following.say(key, one)
    assert.equal((await following.trailers)['grpc-status'], '8')
  })

  it('an agent has 64 streams at once, and another when one of them has ended', async () => {
    const one = await task('writer')
    const session = await fixture.connect(store('writer'))
    const followed = async (key: number) => {
      const before = asked
      const following = await follow('writer', session)
      following.say(key, one)
      await reached(before + 1)
      return following
    }
    const streams: Following[] = []
    for (let key = 1; key <= 64; key += 1) streams.push(await followed(key))
    const over = await follow('writer', session)
    assert.equal((await over.trailers)['grpc-status'], '8')
    const [first] = streams
    first?.stream.end()
    assert.equal((await first?.trailers)?.['grpc-status'], '0')
    streams.push(await followed(65))
    assert.equal((await (await follow('writer', session)).trailers)['grpc-status'], '8')
    revoked.add(txnOf(one))
    change()
    for (const { told } of streams.slice(1)) await waitFor('to be told', () => told[0])
    for (const { stream } of streams) stream.end()
  })

  it('an agent that does not read its answers is heard no further', async () => {
    const one = await task('reader')
    revoked.add(txnOf(one))
    const following = await follow('reader')
    following.stream.pause()
    const before = asked
    for (let count = 0; count < 3_900; count += 1) following.say(1, one)
    await reached(before + 2_000)
    for (let count = 0; count < 50; count += 1) await task()
    following.stream.resume()
    assert.equal((await following.trailers)['grpc-status'], '8')
    assert.ok(asked - before < 3_500, `${asked - before} were heard`)
  })

  it('an agent is heard 4,000 times at once, and then as fast as 200 a second', async () => {
    const one = await task('editor')
    const beganMs = performance.now()
    const following = await follow('editor')
    const before = asked
    // the same task again and again: each costs a signature, and leaves nothing behind
    for (let count = 0; count < 6_000; count += 1) following.say(1, one)
    await reached(before + 3_900)
    for (let count = 0; count < 50; count += 1) await task()
    const heard = asked - before
    // the slower the machine is, the more it may hear; and another 50 by the tasks
    const most = 4_050 + (200 * (performance.now() - beganMs)) / 1_000
    assert.ok(heard <= most, `${heard} were heard, and ${most} may be`)
    following.stream.close(constants.NGHTTP2_CANCEL)
  })

  it('a gateway that drains ends the streams, and is not held up by them', async () => {
    const following = await follow()
    const before = asked
    following.say(1, await task())
    await reached(before + 1)
    const drained = fixture.port.drain(30_000)
    assert.equal((await following.trailers)['grpc-status'], '0')
    following.stream.end()
    if (!following.stream.closed) await once(following.stream, 'close')
    await drained
  })
})
