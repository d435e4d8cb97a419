/** Where a peer listens, kept for as long as DNS says so, and longer while DNS is in trouble. */
import assert from 'node:assert/strict'
import { mock } from 'node:test'
import { silentLog } from '@clawmesh/agent-sdk/mesh'
import { createLocating } from '../../../../mesh-gateway/src/delegation/upstream/locating.ts'
import { ResolveFailure, type Resolver } from '../../../../mesh-gateway/src/resolve/resolver.ts'

describe('where DNS says that a peer listens', () => {
  let nowMs: number
  beforeEach(() => {
    nowMs = 1_000
    mock.method(performance, 'now', () => nowMs)
  })
  afterEach(() => mock.restoreAll())

  const make = () => {
    const state: {
      answer: string | ResolveFailure
      asked: number
      peers: Readonly<Record<string, readonly string[]>> | null
    } = { answer: '10.0.0.1', asked: 0, peers: null }
    const heard: string[] = []
    const resolver: Resolver = Object.assign(Object.create(null), {
      async services() {
        throw new ResolveFailure('not-found')
      },
      async addresses() {
        state.asked += 1
        if (typeof state.answer !== 'string') throw state.answer
        return [{ ip: state.answer, ttlMs: 5_000 }]
      },
    })
    const metrics: Parameters<typeof createLocating>[0]['metrics'] = Object.assign(
      Object.create(null),
      {
        dns: (plane: string) => void heard.push(`dns ${plane}`),
        dnsStale: (plane: string) => void heard.push(`stale ${plane}`),
      },
    )
    const locating = createLocating({
      ...{ resolver, metrics, host: 'b.acme.mesh.internal', port: null, peerPorts: [] },
      staticPeers: () => state.peers,
      log: { ...silentLog, warn: () => void heard.push('warn') },
      onFound: ({ endpoints }) => void heard.push(`found ${endpoints[0]?.ip}`),
    })
    const find = async () => (await locating.find()).endpoints[0]?.ip
    return { state, heard, locating, find }
  }

  it('is kept for as long as it counts, and asked once by all that ask meanwhile', async () => {
    const { state, heard, locating, find } = make()
    assert.equal(locating.current(), null)
    const both = [find(), find()]
    assert.equal(locating.underWay, true)
    assert.deepEqual(await Promise.all(both), ['10.0.0.1', '10.0.0.1'])
    assert.equal(locating.underWay, false)
    assert.equal(state.asked, 1)
    assert.deepEqual(heard, ['dns delegation', 'found 10.0.0.1'])
    state.answer = '10.0.0.2'
    nowMs += 4_999
    assert.equal(await find(), '10.0.0.1')
    assert.notEqual(locating.current(), null)
    nowMs += 1
    assert.equal(locating.current(), null)
    assert.equal(await find(), '10.0.0.2')
    assert.equal(state.asked, 2)
  })

  it('is the last answer while DNS is in trouble, which is asked again after a second', async () => {
    const { state, heard, find } = make()
    await find()
    heard.length = 0
    nowMs += 5_000
    state.answer = new ResolveFailure('timeout')
    assert.equal(await find(), '10.0.0.1')
    assert.deepEqual(heard.splice(0), ['warn', 'stale delegation'])
    nowMs += 999
    assert.equal(await find(), '10.0.0.1')
    assert.equal(state.asked, 2)
    nowMs += 1
    assert.equal(await find(), '10.0.0.1')
    assert.equal(state.asked, 3)
  })

  it('is where the configuration says from the moment that it does, and never at a mixture of both', async () => {
    const { state, heard, locating, find } = make()
    const name = 'b.acme.mesh.internal'
    assert.equal(await find(), '10.0.0.1')
    heard.length = 0
    state.peers = { 'other.acme.mesh.internal': ['10.0.0.8:1'] }
    assert.notEqual(locating.current(), null, 'another name is no news of this one')
    state.peers = { [name]: ['10.0.0.7:1'] }
    assert.equal(locating.current(), null)
    assert.equal(await find(), '10.0.0.7')
    assert.deepEqual(heard.splice(0), ['found 10.0.0.7'], 'DNS is not asked, and not counted')
    nowMs += 86_400_000
    state.peers = { [name]: ['10.0.0.7:1'] }
    assert.notEqual(locating.current(), null, 'read again, it is the same')
    state.peers = { [name]: ['10.0.0.6:1'] }
    assert.equal(await find(), '10.0.0.6')
    state.peers = null
    state.answer = new ResolveFailure('timeout')
    await assert.rejects(find(), { code: 'MESH_PEER_UNRESOLVED' })
    state.answer = '10.0.0.2'
    assert.equal(await find(), '10.0.0.2')
    assert.equal(state.asked, 3)
  })

  it('is nowhere where the name is gone, or was never known', async () => {
    const { state, find, locating } = make()
    state.answer = new ResolveFailure('timeout')
    await assert.rejects(find(), { code: 'MESH_PEER_UNRESOLVED' })
    assert.equal(locating.underWay, false)
    state.answer = '10.0.0.1'
    await find()
    nowMs += 5_000
    state.answer = new ResolveFailure('not-found')
    await assert.rejects(find(), { code: 'MESH_PEER_UNRESOLVED' })
  })
})
