/** Policy and revocations that change while thousands of live tunnels are being judged, slice by slice. */
import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import type { ErrorCode } from '@clawmesh/proto'
import fc from 'fast-check'
import type { LivePlace, LiveTunnel } from '../../../../mesh-gateway/src/egress/live/live-tunnel.ts'
import { createTunnels } from '../../../../mesh-gateway/src/egress/live/live-tunnels.ts'
import { createLimits } from '../../../../mesh-gateway/src/limits/create-limits.ts'
import type { Release } from '../../../../mesh-gateway/src/limits/limits.ts'
import { waitFor } from '../../../support/wait-for.ts'

interface Policy {
  readonly forbids: 'none' | 'all' | 'odd' | 'bot-0'
  readonly perAgent: number | null
  readonly perTenant: number | null
}

interface Live {
  readonly id: number
  readonly agent: string
  readonly place: LivePlace
  readonly leave: Release[]
}

const FREE: Policy = { forbids: 'none', perAgent: null, perTenant: null }

import { admittedUntil } from '../admitted.ts'

const NONE = {
  ...{ requestsPerMinute: null, burst: null, maxBodyBytes: null },
  ...{ concurrentTunnels: null, concurrentRequests: null },
}

type World = ReturnType<typeof createWorld>

/** A registry with the port's part played by this test. A slice is eight steps: each look at the clock is five milliseconds. */
function createWorld() {
  let policy = FREE
  let generation = 1
  let revokedBelow = 0
  let clock = 0
  let time = 0
  let made = 0
  let judged = 0
  let decided = 0
  const ended: { readonly id: number; readonly code: ErrorCode }[] = []
  const live = new Map<number, Live>()
  const limits = createLimits()
  const boundsFor = ({ perAgent, perTenant }: Policy) => ({
    limits: { ...NONE, concurrentTunnels: perAgent },
    tenantLimits: perTenant === null ? null : { ...NONE, concurrentTunnels: perTenant },
  })
  const forbidden = (id: number, agent: string): boolean =>
    policy.forbids === 'all' ||
    (policy.forbids === 'odd' && id % 2 === 1) ||
    policy.forbids === agent
  const judge = ({ ip, agent }: LiveTunnel, judgedBy: number): ErrorCode | null => {
    judged += 1
    if (Number(ip) < revokedBelow) return 'MESH_TOKEN_REVOKED'
    if (judgedBy === generation) return null
    decided += 1
    return forbidden(Number(ip), agent.agent) ? 'MESH_POLICY_NOT_ALLOWED' : null
  }
  const tunnels = createTunnels({
    ...{ now: () => time, limits, onCut() {}, sweepMs: 1 },
    monotonic: () => (clock += 5),
    ...{ boundsOf: () => boundsFor(policy), judge, generation: () => generation },
  })
  const rooms = (agent: string): [key: string, most: number, mine: (one: Live) => boolean][] =>
    [
      [
        `egress-tunnels:acme/${agent}`,
        policy.perAgent,
        (one: Live) => one.agent === agent,
      ] as const,
      ['egress-tunnels:acme', policy.perTenant, () => true] as const,
    ].flatMap(([key, most, mine]) => (most === null ? [] : [[key, most, mine]]))
  const release = ({ place, leave }: Live) => {
    tunnels.remove(place)
    for (const one of leave) one()
  }
  const gone = (id: number) => {
    const one = live.get(id)
    live.delete(id)
    if (one !== undefined) release(one)
  }
  /** As a request is let in; what it returns registers it, when it has been connected. Null when limits refuse it. */
  const admit = (agent: string): (() => void) | null => {
    made += 1
    const id = made
    const counted = tunnels.settled
    const by = { generation, policy }
    if (forbidden(id, agent)) return null
    const leave: Release[] = []
    for (const [key, most] of rooms(agent)) {
      const entered = limits.enter(key, most)
      if (entered === null || entered instanceof Promise) {
        for (const one of leave) one()
        return null
      }
      leave.push(entered)
    }
    return () => {
      const tunnel: LiveTunnel = {
        agent: { tenant: 'acme', agent },
        admitted: admittedUntil(1000),
        ...{ ip: `${id}`, tunnel: true, generation: by.generation },
        ...{ bounds: boundsFor(by.policy), counted },
        end(code) {
          ended.push({ id, code })
          const one = live.get(id)
          assert.ok(one !== undefined, 'it is ended once')
          if (code === 'MESH_LIMIT_CONCURRENCY') {
            const older = [...live.values()].filter((other) => other.place.age < one.place.age)
            assert.ok(
              rooms(agent).some(([, most, mine]) => older.filter(mine).length >= most),
              `${id} is ended though there was room`,
            )
          } else if (code === 'MESH_TOKEN_EXPIRED') assert.ok(time > 1000)
          else assert.equal(code, judge(tunnel, -1), 'as things stand now')
          // later: the registry is not to rely on it
          live.delete(id)
          setImmediate(() => release(one))
        },
      }
      const place = tunnels.add(tunnel)
      live.set(id, { id, agent, place, leave })
      if (!counted || generation !== by.generation) tunnels.trimSoon()
      const code = judge(tunnel, by.generation)
      if (code !== null) tunnels.end(place, code)
    }
  }
  return {
    ...{ tunnels, live, ended, admit, gone },
    judged: () => judged,
    decided: () => decided,
    open(count: number, agent = 'bot-0') {
      for (let i = 0; i < count; i += 1) admit(agent)?.()
    },
    change(next: Policy) {
      policy = next
      generation += 1
      tunnels.judgeAndTrim()
    },
    /** The token of each ends. */
    expire() {
      time = 2000
    },
    revokeBelow(id: number) {
      revokedBelow = id
      tunnels.judge()
    },
    /** Nothing is left to be done: all that is live may be, and is counted, neither more nor less than it is. */
    right: () =>
      tunnels.settled &&
      [...live.values()].every(({ place }) => judge(place.tunnel, -1) === null) &&
      [...live.values()].every(({ agent }) =>
        rooms(agent).every(([key, most, mine]) => {
          const { length } = [...live.values()].filter(mine)
          const full = limits.enter(key, length)
          const more = limits.enter(key, length + 1)
          for (const leave of [full, more]) if (typeof leave === 'function') leave()
          return length <= most && full === null && more !== null
        }),
      ),
    close() {
      for (const id of live.keys()) gone(id)
    },
  }
}

describe('a change of policy under which many tunnels are live', () => {
  it('lets others have their turn between its slices', async () => {
    const world = createWorld()
    world.open(500)
    world.change({ ...FREE, forbids: 'all' })
    let turns = 0
    while (world.live.size > 0) {
      turns += 1
      await turn()
    }
    assert.ok(turns > 20, `${turns} turns of others`)
    assert.deepEqual(
      new Set(world.ended.map(({ code }) => code)),
      new Set(['MESH_POLICY_NOT_ALLOWED']),
    )
    assert.equal(world.ended.length, 500)
  })

  it('that is taken back in the middle ends nobody whom it had not come to', async () => {
    const world = createWorld()
    world.open(500)
    world.change({ ...FREE, forbids: 'all' })
    const { length } = world.ended
    assert.ok(length > 0 && length < 50, 'one slice')
    world.change(FREE)
    await waitFor('all to be judged', () => world.tunnels.settled)
    assert.equal(world.ended.length, length)
    world.close()
  })

  it('judges by the new policy who comes while the rest are judged', async () => {
    const world = createWorld()
    world.open(300)
    // let in, and connected only later
    const late = world.admit('bot-1')
    world.change({ ...FREE, forbids: 'odd' })
    const odd = world.admit('bot-1') ?? world.admit('bot-1')
    late?.()
    odd?.()
    await waitFor('all to be judged', world.right)
    assert.ok([...world.live.keys()].every((id) => id % 2 === 0))
    world.close()
  })

  it('counts who comes while those are counted that were not, so that no more are let in than may be', async () => {
    const world = createWorld()
    world.open(200)
    world.change({ ...FREE, perAgent: 150 })
    const came = Array.from({ length: 100 }, () => world.admit('bot-0'))
    assert.ok(came.some(Boolean), 'nobody had been counted yet')
    await waitFor('those from before to be counted', () => world.tunnels.settled)
    for (const register of came) register?.()
    await waitFor('all to be counted', world.right)
    assert.equal(world.live.size, 150)
    assert.ok(
      [...world.live.keys()].every((id) => id <= 200),
      'the youngest had to go',
    )
    world.close()
  })

  for (const [what, cause] of [
    ['leaves', (world: World, id: number) => world.gone(id)],
    ['is revoked', (world: World, id: number) => world.revokeBelow(id + 1)],
  ] as const)
    it(`leaves the room of who ${what} while they are counted to the next one`, async () => {
      for (const many of [1, 2, 50]) {
        const world = createWorld()
        world.open(300)
        world.change({ ...FREE, perTenant: 100 })
        while (world.ended.length === 0) await turn()
        assert.ok(world.ended.length < 20, 'the trim has only begun')
        for (let id = 1; id <= many; id += 1) cause(world, id)
        await waitFor('all to be judged', world.right)
        assert.equal(world.live.size, 100)
        world.close()
      }
    })

  it('ends whose token has expired before it counts on, however often something is revoked meanwhile', async () => {
    const world = createWorld()
    world.open(300)
    world.change({ ...FREE, perTenant: 100 })
    while (world.ended.length === 0) await turn()
    world.expire()
    while (world.ended.length < 300) {
      world.revokeBelow(0)
      await turn()
    }
    const counts = Map.groupBy(world.ended, ({ code }) => code)
    assert.ok((counts.get('MESH_TOKEN_EXPIRED')?.length ?? 0) > 150, 'few were left to the trim')
    world.close()
  })

  it('does not count among what may be open who may not go on at all', async () => {
    const world = createWorld()
    world.open(100, 'bot-0')
    world.open(150, 'bot-1')
    world.change({ forbids: 'bot-0', perAgent: null, perTenant: 100 })
    await waitFor('all to be judged', world.right)
    assert.equal(world.live.size, 100)
    world.close()
  })

  it('is settled only when all are counted by the last of several changes', async () => {
    const world = createWorld()
    world.open(200)
    world.change({ ...FREE, perAgent: 190 })
    while (world.ended.length === 0) await turn()
    world.change({ ...FREE, perTenant: 150 })
    while (!world.tunnels.settled) await turn()
    // those that were ended leave a turn later
    await turn()
    assert.ok(world.right())
    world.close()
  })

  it('has policy asked once for each that is live, whatever is revoked besides', async () => {
    const world = createWorld()
    world.open(300)
    world.change({ ...FREE, forbids: 'odd' })
    await waitFor('all to be judged', () => world.tunnels.settled)
    const before = world.decided()
    assert.equal(before, 300 + 150, 'and once more by this test, of each that was ended')
    world.revokeBelow(100)
    await waitFor('the revocation', () => world.ended.length === 150 + 49)
    for (let i = 0; i < 50; i += 1) await turn()
    assert.equal(world.decided(), before)
    world.close()
  })

  it('comes out right whatever changes, comes and goes in between', async () => {
    const policy = fc.record({
      forbids: fc.constantFrom<Policy['forbids']>('none', 'none', 'odd', 'bot-0', 'all'),
      perAgent: fc.constantFrom(null, 0, 5, 20, 100),
      perTenant: fc.constantFrom(null, null, 10, 30, 100),
    })
    const step = fc.oneof(
      { weight: 2, arbitrary: fc.record({ what: fc.constant('change' as const), policy }) },
      { weight: 1, arbitrary: fc.record({ what: fc.constant('revoke' as const), n: fc.nat(40) }) },
      { weight: 4, arbitrary: fc.record({ what: fc.constant('admit' as const), n: fc.nat(9) }) },
      { weight: 3, arbitrary: fc.record({ what: fc.constant('register' as const), n: fc.nat() }) },
      { weight: 3, arbitrary: fc.record({ what: fc.constant('leave' as const), n: fc.nat() }) },
      { weight: 6, arbitrary: fc.record({ what: fc.constant('turn' as const) }) },
    )
    await fc.assert(
      fc.asyncProperty(fc.nat(120), fc.array(step, { maxLength: 40 }), async (count, steps) => {
        const world = createWorld()
        for (const agent of ['bot-0', 'bot-1', 'bot-2']) world.open(Math.ceil(count / 3), agent)
        const waiting: (() => void)[] = []
        for (const one of steps) {
          if (one.what === 'change') world.change(one.policy)
          else if (one.what === 'revoke') world.revokeBelow(one.n)
          else if (one.what === 'turn') await turn()
          else if (one.what === 'admit')
            for (let i = 0; i <= one.n; i += 1) {
              const admitted = world.admit(`bot-${i % 3}`)
              if (admitted !== null) waiting.push(admitted)
            }
          else if (one.what === 'register') for (const go of waiting.splice(one.n % 7, 5)) go()
          else {
            const ids = [...world.live.keys()]
            world.gone(ids[one.n % Math.max(1, ids.length)] ?? -1)
          }
        }
        for (const register of waiting) register()
        await waitFor('all to be judged and counted', world.right)
        world.close()
      }),
      { numRuns: 150 },
    )
  })
})
