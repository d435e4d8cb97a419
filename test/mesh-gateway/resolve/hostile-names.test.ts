/** Thousands of names, names that hang, names asked for once: what one agent does with them, the others do not feel. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { createAnswers } from '../../../mesh-gateway/src/resolve/answers.ts'
import {
  createResolver,
  type ResolverOptions,
} from '../../../mesh-gateway/src/resolve/create-resolver.ts'
import { createLookupQueue } from '../../../mesh-gateway/src/resolve/lookup-queue.ts'
import { ResolveFailure } from '../../../mesh-gateway/src/resolve/resolver.ts'
import { type DnsAnswer, type DnsDouble, startDnsDouble } from '../../support/dns-double.ts'
import { waitFor } from '../../support/wait-for.ts'

const IP = '192.0.2.1'
const EVIL = 'acme/evil'
const GOOD = 'acme/good'

describe('the resolver, of names that are asked for in bad faith', () => {
  const closing: (() => unknown)[] = []
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close()
  })

  async function open(answer: (name: string) => DnsAnswer, options: ResolverOptions = {}) {
    const dns = await startDnsDouble(answer)
    const resolver = createResolver({ servers: [dns.server], timeoutMs: 500, ...options })
    closing.push(
      () => dns.close(),
      () => resolver.close(),
    )
    return { dns, resolver }
  }
  const kindOf = (error: unknown) => (error instanceof ResolveFailure ? error.kind : String(error))
  const flood = (resolver: ReturnType<typeof createResolver>, count: number, asker = EVIL) =>
    Array.from({ length: count }, (_, i) =>
      resolver.addresses(`n${i}.${asker.replace('/', '-')}.evil.test`, asker).then(
        () => 'answered',
        (error: unknown) => kindOf(error),
      ),
    )
  const distinct = ({ asked }: DnsDouble, domain: string) =>
    new Set(asked.filter((name) => name.endsWith(domain))).size

  it('refuses at once what is beyond the share of one agent, while DNS hangs, and lets others through', async () => {
    const { dns, resolver } = await open(
      (name) => (name.endsWith('.evil.test') ? null : { ips: [IP], ttl: 30 }),
      { maxQueries: 16 },
    )
    await resolver.addresses('kept.good.test', GOOD)
    const outcomes = flood(resolver, 5_000)
    // what is kept is not held up, and neither are names that are new
    assert.equal((await resolver.addresses('kept.good.test', GOOD))[0]?.ip, IP)
    for (let i = 0; i < 20; i += 1)
      assert.equal((await resolver.addresses(`new${i}.good.test`, GOOD))[0]?.ip, IP)
    assert.ok(distinct(dns, '.evil.test') <= 4, 'a quarter of what may run')
    const counts = Map.groupBy(await Promise.all(outcomes), (outcome) => outcome)
    assert.equal(counts.get('too-many')?.length, 5_000 - 256 - 4)
    assert.equal(counts.get('timeout')?.length, 256 + 4)
  })

  it('never asks for what nobody waits for any more', async () => {
    let mute = true
    const { dns, resolver } = await open(() => (mute ? null : { ips: [IP], ttl: 30 }), {
      maxQueries: 4,
      timeoutMs: 200,
    })
    const outcomes = await Promise.all(flood(resolver, 100))
    assert.ok(outcomes.every((outcome) => outcome === 'timeout'))
    mute = false
    await waitFor('DNS to be asked again', () =>
      resolver.addresses('after.evil.test', EVIL).then(
        () => true,
        () => false,
      ),
    )
    assert.ok(distinct(dns, 'evil.test') < 20, 'those that ran, and the one after')
  })

  it('bounds what waits for all together, whoever asks', async () => {
    const { resolver } = await open(() => null, { maxQueries: 4, timeoutMs: 300 })
    const outcomes = await Promise.all(
      Array.from({ length: 40 }, (_, n) => flood(resolver, 200, `tenant-${n % 8}/bot-${n}`)).flat(),
    )
    const counts = Map.groupBy(outcomes, (outcome) => outcome)
    assert.equal(counts.get('timeout')?.length, 4_096 + 4)
    assert.equal(counts.get('busy')?.length, 40 * 200 - 4_096 - 4)
  })

  it('bounds what waits for one tenant, whose agents are many, and leaves room for others', async () => {
    const { resolver } = await open(
      (name) => (name === 'good.test' ? { ips: [IP], ttl: 9 } : null),
      {
        ...{ maxQueries: 8, timeoutMs: 60_000 },
      },
    )
    const floods = Array.from({ length: 40 }, (_, n) => flood(resolver, 200, `acme/bot-${n}`))
    assert.equal((await resolver.addresses('good.test', 'globex/good'))[0]?.ip, IP)
    resolver.close()
    const counts = Map.groupBy(await Promise.all(floods.flat()), (outcome) => outcome)
    assert.equal(counts.get('timeout')?.length, 4, 'half of the turns')
    assert.equal(counts.get('failed')?.length, 1_024, 'a quarter of who waits')
    assert.equal(counts.get('busy')?.length, 40 * 200 - 1_024 - 4)
  })

  for (const maxQueries of [3, 4, 8])
    it(`keeps a turn of ${maxQueries} for other tenants, and one for other agents, while names of several hang`, async () => {
      const { dns, resolver } = await open(
        (name) => (name.endsWith('.evil.test') ? null : { ips: [IP], ttl: 30 }),
        { maxQueries, timeoutMs: 60_000 },
      )
      const evil = flood(resolver, 20)
      const share = maxQueries > 4 ? 2 : maxQueries - 2
      await waitFor('its share to be asked', () => distinct(dns, '.evil.test') === share)
      assert.equal((await resolver.addresses('of-its-tenant.good.test', GOOD))[0]?.ip, IP)
      const more = [0, 1, 2, 3].map((n) =>
        Promise.all(
          [0, 1, 2, 3].map((i) =>
            resolver.addresses(`${n}-${i}.evil.test`, `acme/${n}`).catch(kindOf),
          ),
        ),
      )
      for (let i = 0; i < 5; i += 1)
        assert.equal((await resolver.addresses(`${i}.good.test`, 'globex/good'))[0]?.ip, IP)
      const tenantShare = maxQueries > 4 ? 4 : maxQueries - 1
      assert.equal(distinct(dns, '.evil.test'), tenantShare)
      resolver.close()
      await Promise.all([...evil, ...more])
    })

  it('takes no turn of who asks for what is being asked already', async () => {
    const { resolver } = await open(
      (name) => (name === 'slow.test' ? null : { ips: [IP], ttl: 30 }),
      {
        ...{ maxQueries: 3, timeoutMs: 60_000 },
      },
    )
    const slow = ['a/1', 'b/1', 'c/1', 'd/1', EVIL, GOOD].map((asker) =>
      resolver.addresses('slow.test', asker).catch(kindOf),
    )
    assert.equal((await resolver.addresses('quick.test', GOOD))[0]?.ip, IP)
    resolver.close()
    assert.ok((await Promise.all(slow)).every((kind) => kind === 'timeout'))
  })

  it('gives a turn back that has come only after another asked the same', async () => {
    let firstAsked = 0
    const { dns, resolver } = await open(
      (name) => {
        if (name === 'slow.test') return null
        // answered when it is asked again, after half of the time
        if (name === 'first.test') firstAsked += 1
        return name === 'first.test' && firstAsked <= 2 ? null : { ips: [IP], ttl: 30 }
      },
      { maxQueries: 3, timeoutMs: 4_000 },
    )
    const first = resolver.addresses('first.test', GOOD)
    const slow = resolver.addresses('slow.test', GOOD).catch(kindOf)
    const quick = resolver.addresses('quick.test', GOOD)
    const other = resolver.addresses('slow.test', EVIL).catch(kindOf)
    await Promise.all([first, quick])
    assert.equal(distinct(dns, 'quick.test'), 1)
    resolver.close()
    await Promise.all([slow, other])
  })

  it('does not let an agent wait in the queue of another for a name that both want', async () => {
    const { resolver } = await open(
      (name) => (name === 'both.test' ? { ips: [IP], ttl: 30 } : null),
      { maxQueries: 8, timeoutMs: 5_000 },
    )
    const evil = [...flood(resolver, 100), resolver.addresses('both.test', EVIL).catch(kindOf)]
    assert.equal((await resolver.addresses('both.test', GOOD))[0]?.ip, IP)
    resolver.close()
    await Promise.all(evil)
  })

  it('keeps what others use while one asks for ten thousand names', async () => {
    const { dns, resolver } = await open(() => ({ ips: [IP], ttl: 3_600 }), {
      maxAnswers: 500,
      maxQueries: 512,
      timeoutMs: 30_000,
    })
    const names = Array.from({ length: 50 }, (_, i) => `${i}.good.test`)
    // the first of them were looked up for the other one, and are used by both
    for (const name of names.slice(0, 10)) await resolver.addresses(name, EVIL)
    for (const name of names) await resolver.addresses(name, GOOD)
    assert.equal(dns.asked.length, 50)
    for (let i = 0; i < 10_000; i += 100)
      await Promise.all(
        Array.from({ length: 100 }, (_, n) => resolver.addresses(`r${i + n}.evil.test`, EVIL)),
      )
    const before = dns.asked.length
    for (const name of names) await resolver.addresses(name, GOOD)
    assert.equal(dns.asked.length, before, 'all of them were kept')
  })

  it('keeps nothing of an answer with TTL 0, and of one that is negative for a moment', async () => {
    let now = 0
    const { dns, resolver } = await open(
      (name) => ({ ips: name.startsWith('no') ? [] : [IP], ttl: name.startsWith('zero') ? 0 : 7 }),
      { now: () => now },
    )
    const ask = (name: string) => resolver.addresses(name, GOOD).then(() => 'is', kindOf)
    const asked = (name: string) => dns.asked.filter((one) => one === name).length
    for (let i = 0; i < 3; i += 1) assert.equal(await ask('zero.test'), 'is')
    assert.equal(asked('zero.test'), 3)
    for (const [at, name, outcome, times] of [
      [0, 'no.test', 'not-found', 1],
      [1_999, 'no.test', 'not-found', 1],
      [2_000, 'no.test', 'not-found', 2],
      [2_000, 'seven.test', 'is', 1],
      [8_999, 'seven.test', 'is', 1],
      [9_000, 'seven.test', 'is', 2],
    ] as const) {
      now = at
      assert.equal(await ask(name), outcome)
      assert.equal(asked(name), times, `${name} at ${at}`)
    }
  })

  it('refuses what waits when it is closed', async () => {
    const { resolver } = await open(() => null, { maxQueries: 4, timeoutMs: 10_000 })
    const outcomes = flood(resolver, 50)
    resolver.close()
    assert.ok(
      (await Promise.all(outcomes)).every((kind) => kind === 'failed' || kind === 'timeout'),
    )
  })
})

describe('turns', () => {
  it('never run more than allowed, leave nobody out, and lose nothing', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.tuple(fc.constantFrom('t/a', 't/b', 't/c', 'u/d'), fc.integer({ min: 0, max: 3 })),
          { maxLength: 60 },
        ),
        async (questions) => {
          const turns = createLookupQueue({
            ...{ running: 4, runningPerTenant: () => 3, runningPerAsker: () => 2, waiting: 20 },
            ...{ waitingPerTenant: () => 15, waitingPerAsker: () => 10 },
          })
          const running = { 't/a': 0, 't/b': 0, 't/c': 0, 'u/d': 0 }
          const outcomes = await Promise.all(
            questions.map(([asker, steps]) =>
              turns
                .take(
                  asker,
                  async () => {
                    running[asker] += 1
                    assert.ok(running[asker] <= 2)
                    const ofTenant = running['t/a'] + running['t/b'] + running['t/c']
                    assert.ok(ofTenant <= 3)
                    assert.ok(ofTenant + running['u/d'] <= 4)
                    for (let i = 0; i < steps; i += 1) await null
                    running[asker] -= 1
                  },
                  5_000,
                )
                .then(
                  () => 'done',
                  (error: unknown) => (error instanceof ResolveFailure ? error.kind : error),
                ),
            ),
          )
          assert.ok(outcomes.every((one) => one === 'done' || one === 'busy' || one === 'too-many'))
          if (questions.length <= 10) assert.ok(outcomes.every((one) => one === 'done'))
        },
      ),
      { numRuns: 200 },
    )
  })

  it('are not taken by who has given up waiting', async () => {
    const turns = createLookupQueue({
      ...{ running: 1, runningPerTenant: () => 1, runningPerAsker: () => 1 },
      ...{ waiting: 2, waitingPerTenant: () => 2, waitingPerAsker: () => 2 },
    })
    const { promise, resolve } = Promise.withResolvers<void>()
    const first = turns.take('a', () => promise, 5_000)
    const ran: string[] = []
    const late = ['b', 'c'].map((asker) =>
      assert.rejects(
        turns.take(asker, async () => void ran.push(asker), 10),
        { kind: 'timeout' },
      ),
    )
    await assert.rejects(
      turns.take('d', async () => {}, 10),
      { kind: 'busy' },
    )
    await Promise.all(late)
    // their places are free again
    const next = turns.take('d', async () => void ran.push('d'), 5_000)
    resolve()
    await Promise.all([first, next])
    assert.deepEqual(ran, ['d'])
  })

  it('go round: who asks for one name waits for one turn of who asks for many', async () => {
    const turns = createLookupQueue({
      ...{ running: 1, runningPerTenant: () => 1, runningPerAsker: () => 1 },
      ...{ waiting: 100, waitingPerTenant: () => 100, waitingPerAsker: () => 100 },
    })
    const order: string[] = []
    const ask = (asker: string) =>
      turns.take(
        asker,
        async () => {
          order.push(asker)
          await new Promise((resolve) => setImmediate(resolve))
        },
        5_000,
      )
    await Promise.all([...Array.from({ length: 20 }, () => ask('many')), ask('one'), ask('two')])
    assert.deepEqual(order.slice(0, 4), ['many', 'many', 'one', 'two'])
  })

  it('go to the tenant that has the least running, and then to the agent of it that has', async () => {
    const turns = createLookupQueue({
      ...{ running: 4, runningPerTenant: () => 4, runningPerAsker: () => 4 },
      ...{ waiting: 100, waitingPerTenant: () => 100, waitingPerAsker: () => 100 },
    })
    const order: string[] = []
    const ends: (() => void)[] = []
    const all = ['t/a', 't/a', 't/a', 'u/b', 't/a', 't/c', 'v/d', 'u/e'].map((asker) =>
      turns.take(
        asker,
        () => {
          order.push(asker)
          return new Promise<void>((resolve) => ends.push(resolve))
        },
        5_000,
      ),
    )
    assert.deepEqual(order, ['t/a', 't/a', 't/a', 'u/b'])
    for (const at of [0, 1, 2, 3]) {
      ends[at]?.()
      await all[at]
    }
    // v had none running; of t and u, with one each, t was let in longest ago, and of its agents c had none
    assert.deepEqual(order.slice(4), ['v/d', 't/c', 'u/e', 't/a'])
    for (const end of ends) end()
    await Promise.all(all)
  })
})

describe('answers that are kept', () => {
  it('are not lost to who asks for more of them', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat({ max: 30 }), { maxLength: 5 }),
        fc.array(fc.nat({ max: 60 }), { maxLength: 100 }),
        (few, many) => {
          const answers = createAnswers<string>(12, () => 0)
          for (const name of few) answers.put(`few ${name}`, ['x'], 1, 'few')
          for (const name of many) answers.put(`many ${name}`, ['x'], 1, 'many')
          for (const name of few) assert.deepEqual(answers.get(`few ${name}`, 'few'), ['x'])
          assert.ok(answers.size <= 12)
        },
      ),
      { numRuns: 300 },
    )
  })

  it('are never more than allowed, and what was put last is there', () => {
    const askers = ['a', 'b', 'c', 'd']
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            asker: fc.constantFrom(...askers),
            name: fc.integer({ min: 0, max: 30 }),
            get: fc.boolean(),
            ttlMs: fc.constantFrom(0, 5, 1_000),
          }),
          { maxLength: 200 },
        ),
        (steps) => {
          let now = 0
          const answers = createAnswers<string>(12, () => now)
          for (const { asker, name, get, ttlMs } of steps) {
            now += 1
            const key = `${name}`
            if (get) {
              const found = answers.get(key, asker)
              assert.ok(found === undefined || (Array.isArray(found) && found[0] === key))
            } else {
              answers.put(key, [key], now + ttlMs, asker)
              const found = answers.get(key, asker)
              // what was put last is never what makes room: others were there before
              assert.equal(found !== undefined, ttlMs > 0)
            }
            assert.ok(answers.size <= 12)
          }
        },
      ),
      { numRuns: 500 },
    )
  })
})
