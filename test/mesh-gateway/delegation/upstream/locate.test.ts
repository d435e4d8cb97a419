/** Where a peer listens, as DNS and the caller say; and what DNS in trouble means. */
import assert from 'node:assert/strict'
import { MeshError } from '@clawmesh/proto'
import { locate, Unresolved } from '../../../../mesh-gateway/src/delegation/upstream/locate.ts'
import { createHolders } from '../../../../mesh-gateway/src/delegation/upstream/replica.ts'
import { ResolveFailure, type Resolver } from '../../../../mesh-gateway/src/resolve/resolver.ts'

type Service = Awaited<ReturnType<Resolver['services']>>[number]
type Failure = ConstructorParameters<typeof ResolveFailure>[0]

const HOST = 'b.acme.mesh.internal'
const service = (host: string, port: number, priority = 0, ttlMs?: number): Service => ({
  ...{ host, port, priority, weight: 0 },
  ...(ttlMs === undefined ? {} : { ttlMs }),
})

describe('where a peer listens', () => {
  const run = async (
    services: readonly Service[] | Failure,
    addresses: Readonly<Record<string, readonly string[] | Failure>>,
    port: number | null = null,
    peerPorts: readonly number[] = [],
    configured: readonly string[] | null = null,
  ) => {
    const asked: string[] = []
    const resolver: Resolver = Object.assign(Object.create(null), {
      async services(name: string) {
        asked.push(name)
        if (typeof services === 'string') throw new ResolveFailure(services)
        return services
      },
      async addresses(name: string) {
        asked.push(name)
        const found = addresses[name] ?? 'not-found'
        if (typeof found === 'string') throw new ResolveFailure(found)
        return found.map((ip, index) => ({ ip, ttlMs: 1_000 * (index + 1) }))
      },
    })
    try {
      const { endpoints, ttlMs } = await locate(resolver, HOST, port, peerPorts, configured)
      return {
        asked,
        ttlMs,
        at: endpoints.map(({ ip, port, priority }) => `${ip} ${port} ${priority}`),
      }
    } catch (error) {
      assert.ok(error instanceof MeshError)
      const gone = error instanceof Unresolved ? error.gone : null
      return { asked, code: error.code, message: error.message, gone }
    }
  }
  const SRV = `_grpc._tcp.${HOST}`

  it('is at its SRV records, as long as the shortest of them and of their addresses counts', async () => {
    const found = await run([service('x.test', 1, 5), service('y.test', 2, 0)], {
      'x.test': ['10.0.0.1'],
      'y.test': ['10.0.0.2', '10.0.0.3'],
    })
    assert.deepEqual(found, {
      ...{ asked: [SRV, 'x.test', 'y.test'], ttlMs: 1_000 },
      at: ['10.0.0.1 1 5', '10.0.0.2 2 0', '10.0.0.3 2 0'],
    })
    const short = await run([service('x.test', 1, 0, 500)], { 'x.test': ['10.0.0.1'] })
    assert.equal(short.ttlMs, 500)
  })

  it('is at the port of agents where there are none, and only then', async () => {
    const found = await run('not-found', { [HOST]: ['10.0.0.1'] })
    assert.deepEqual(found, { asked: [SRV, HOST], ttlMs: 1_000, at: ['10.0.0.1 7443 0'] })
    assert.deepEqual((await run([], { [HOST]: ['10.0.0.1'] })).at, ['10.0.0.1 7443 0'])
    for (const trouble of ['timeout', 'failed'] as const) {
      const { asked, code, gone } = await run(trouble, { [HOST]: ['10.0.0.1'] })
      assert.deepEqual([asked, code, gone], [[SRV], 'MESH_PEER_UNRESOLVED', false])
    }
  })

  it('is at a port that the caller names where SRV or the configuration has it, and at no other', async () => {
    const two = [service('x.test', 1), service('y.test', 2)]
    const addresses = { 'x.test': ['10.0.0.1'], 'y.test': ['10.0.0.2'], [HOST]: ['10.0.0.3'] }
    assert.deepEqual((await run(two, addresses, 2)).at, ['10.0.0.2 2 0'])
    const refused = await run(two, addresses, 3)
    assert.deepEqual([refused.code, refused.asked], ['MESH_PEER_PORT_REFUSED', [SRV]])
    assert.equal((await run('not-found', addresses, 7443)).code, 'MESH_PEER_PORT_REFUSED')
    const configured = await run(two, addresses, 3, [3])
    assert.deepEqual([configured.asked, configured.at], [[HOST], ['10.0.0.3 3 0']])
  })

  it('is at those of its records that can be looked up; a name of one label is whole', async () => {
    const two = [service('gone.test', 1), service('short', 2)]
    assert.deepEqual((await run(two, { 'short.': ['10.0.0.2'] })).at, ['10.0.0.2 2 0'])
    const none = await run(two, {})
    assert.deepEqual([none.code, none.gone], ['MESH_PEER_UNRESOLVED', false])
    const full = await run(two, { 'gone.test': 'timeout', 'short.': 'no-descriptors' })
    assert.equal(full.code, 'MESH_GATEWAY_NO_DESCRIPTORS')
  })

  it('is where the configuration says, and DNS is not asked', async () => {
    const all = { [HOST]: ['10.9.9.9'], box: ['10.0.0.3', 'fd00::3'] }
    const run2 = (entry: readonly string[], port: number | null = null) =>
      run([service('x.test', 1)], all, port, [7443], entry)
    const fixed = ['10.0.0.1:7443', '10.0.0.2:7444', '[fd00::1]:7443']
    assert.deepEqual(await run2(fixed), {
      ...{ asked: [], ttlMs: Number.POSITIVE_INFINITY },
      at: ['10.0.0.1 7443 0', 'fd00::1 7443 0', '10.0.0.2 7444 0'],
    })
    assert.deepEqual((await run2(fixed, 7444)).at, ['10.0.0.2 7444 0'])
    const refused = await run2(['10.0.0.2:7444'], 7443)
    assert.deepEqual([refused.code, refused.asked], ['MESH_PEER_PORT_REFUSED', []])
    const named = await run2(['box:7443', '10.0.0.1:1'])
    assert.deepEqual([named.asked, named.ttlMs], [['box'], 1_000])
    assert.deepEqual(named.at, ['10.0.0.3 7443 0', 'fd00::3 7443 0', '10.0.0.1 1 0'])
  })

  it('is at those of its configured addresses that can be looked up, and the others are asked for again soon', async () => {
    const run2 = (entry: readonly string[], addresses: Parameters<typeof run>[1] = {}) =>
      run('not-found', addresses, null, [], entry)
    const some = await run2(['gone.test:1', '10.0.0.1:1'])
    assert.deepEqual([some.at, some.ttlMs], [['10.0.0.1 1 0'], 5_000])
    const none = await run2(['gone.test:1'], { 'gone.test': 'timeout' })
    assert.deepEqual([none.code, none.gone], ['MESH_PEER_UNRESOLVED', false])
    assert.match(
      none.message ?? '',
      /by its host names in delegation\.peers, could not be looked up/,
    )
  })

  it('is asked of 64 records at most', async () => {
    const many = Array.from({ length: 70 }, (_, i) => service('x.test', i + 1))
    const found = await run(many, { 'x.test': ['10.0.0.1'] })
    assert.equal(found.at?.length, 64)
  })

  it('is nowhere when its name is not there, and that is told from trouble', async () => {
    const gone = await run('not-found', {})
    assert.deepEqual([gone.code, gone.gone], ['MESH_PEER_UNRESOLVED', true])
    assert.match(gone.message ?? '', /has no SRV, A or AAAA record/)
    const full = await run('no-descriptors', {})
    assert.deepEqual([full.code, full.gone], ['MESH_GATEWAY_NO_DESCRIPTORS', false])
  })
})

describe('which replica holds a delegation', () => {
  it('is remembered for the last ones', () => {
    const holders = createHolders(2)
    holders.remember('one', 'a')
    holders.remember('two', 'b')
    holders.remember('one', 'c')
    holders.remember('three', 'd')
    assert.deepEqual(
      ['one', 'two', 'three', 'four'].map((id) => holders.of(id)),
      ['c', null, 'd', null],
    )
  })
})
