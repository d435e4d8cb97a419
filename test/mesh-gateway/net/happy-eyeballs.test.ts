import assert from 'node:assert/strict'
import { mock } from 'node:test'
import {
  type AddressHealth,
  createAddressHealth,
} from '../../../mesh-gateway/src/net/address-health.ts'
import {
  type Attempt,
  type AttemptEnd,
  CONNECTION_ATTEMPT_DELAY_MS,
  interleaveFamilies,
  raceConnections,
} from '../../../mesh-gateway/src/net/happy-eyeballs.ts'

interface Tried {
  readonly address: string
  readonly attempt: Attempt
  end(end: AttemptEnd<string, string>): void
}

/** A race whose attempts end as the test says, on a clock that the test moves. */
function raceOf(
  addresses: readonly string[],
  more: { signal?: AbortSignal; timeoutMs?: number; health?: AddressHealth } = {},
) {
  const tried: Tried[] = []
  const discarded: string[] = []
  const health = more.health ?? createAddressHealth()
  const done = raceConnections<string, string, string>(addresses, {
    health,
    keyOf: (address) => address,
    connect(address, attempt) {
      const { promise, resolve } = Promise.withResolvers<AttemptEnd<string, string>>()
      tried.push({ address, attempt, end: resolve })
      return promise
    },
    discard: (connection) => discarded.push(connection),
    ...more,
  })
  const of = (address: string) => {
    const found = tried.find((one) => one.address === address)
    assert.ok(found, `${address} was not tried`)
    return found
  }
  return { tried, discarded, health, done, of, names: () => tried.map(({ address }) => address) }
}

const settle = () => new Promise<void>((resolve) => setImmediate(resolve))

describe('a race between the addresses of a name', () => {
  const clock = { advance: (ms: number) => mock.timers.tick(ms) }
  beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }))
  afterEach(() => mock.timers.reset())

  it('tries the second address 250 ms after the first, takes the one that connects and gives up the other', async () => {
    const race = raceOf(['dead', 'live', 'third'])
    clock.advance(CONNECTION_ATTEMPT_DELAY_MS - 1)
    assert.deepEqual(race.names(), ['dead'])
    clock.advance(1)
    assert.deepEqual(race.names(), ['dead', 'live'])
    race.of('live').end({ connection: 'to live' })
    assert.deepEqual(await race.done, { address: 'live', connection: 'to live' })
    assert.ok(race.of('dead').attempt.signal.aborted)
    clock.advance(10_000)
    assert.deepEqual(race.names(), ['dead', 'live'])
  })

  it('puts the slower address last from then on, and the one that connected first', async () => {
    const race = raceOf(['dead', 'live'])
    clock.advance(CONNECTION_ATTEMPT_DELAY_MS)
    race.of('live').end({ connection: 'to live' })
    await race.done
    const keyOf = (address: string) => address
    assert.deepEqual(race.health.order(['dead', 'live'], keyOf), ['live', 'dead'])
  })

  it('tries the next address at once when one fails', async () => {
    const race = raceOf(['refused', 'live'])
    race.of('refused').end({ failure: 'refused' })
    await settle()
    assert.deepEqual(race.names(), ['refused', 'live'])
    race.of('live').end({ connection: 'to live' })
    assert.deepEqual(await race.done, { address: 'live', connection: 'to live' })
  })

  it('does not hurry when an earlier address fails while a later one has its time', async () => {
    const race = raceOf(['first', 'second', 'third'])
    clock.advance(CONNECTION_ATTEMPT_DELAY_MS)
    race.of('first').end({ failure: 'refused' })
    await settle()
    assert.deepEqual(race.names(), ['first', 'second'])
    clock.advance(CONNECTION_ATTEMPT_DELAY_MS)
    assert.deepEqual(race.names(), ['first', 'second', 'third'])
  })

  it('gives each step of an attempt the full delay', async () => {
    const race = raceOf(['far', 'near'])
    clock.advance(CONNECTION_ATTEMPT_DELAY_MS - 1)
    race.of('far').attempt.progressed()
    clock.advance(CONNECTION_ATTEMPT_DELAY_MS - 1)
    assert.deepEqual(race.names(), ['far'])
    race.of('far').end({ connection: 'to far' })
    assert.deepEqual(await race.done, { address: 'far', connection: 'to far' })
  })

  it('closes a connection that comes when another was taken already', async () => {
    const race = raceOf(['slow', 'live'])
    clock.advance(CONNECTION_ATTEMPT_DELAY_MS)
    race.of('live').end({ connection: 'to live' })
    await race.done
    race.of('slow').end({ connection: 'to slow' })
    await settle()
    assert.deepEqual(race.discarded, ['to slow'])
  })

  it('ends with all failures, and with what was silent when the time was over', async () => {
    const race = raceOf(['refused', 'silent'], { timeoutMs: 1_000 })
    race.of('refused').end({ failure: 'refused' })
    await settle()
    clock.advance(1_000)
    assert.deepEqual(await race.done, {
      failures: [{ address: 'refused', failure: 'refused' }],
      unanswered: ['silent'],
      aborted: false,
    })
    assert.ok(race.of('silent').attempt.signal.aborted)
  })

  it('ends when nobody waits any more, and holds that against no address', async () => {
    const gone = new AbortController()
    const race = raceOf(['slow', 'slower'], { signal: gone.signal })
    gone.abort()
    const end = await race.done
    assert.ok('aborted' in end && end.aborted)
    assert.ok(race.of('slow').attempt.signal.aborted)
    assert.equal(race.health.size, 0)
  })

  it('has six attempts under way at most, however many addresses there are', async () => {
    const addresses = Array.from({ length: 40 }, (_, at) => `address ${at}`)
    const race = raceOf(addresses)
    for (let step = 0; step < 20; step += 1) clock.advance(CONNECTION_ATTEMPT_DELAY_MS)
    const underWay = race.tried.filter(({ attempt }) => !attempt.signal.aborted)
    assert.deepEqual(
      underWay.map(({ address }) => address),
      addresses.slice(15, 21),
    )
  })
})

describe('the order of addresses', () => {
  it('takes families in turn, that of the first address first', () => {
    const order = (ips: string[]) => interleaveFamilies(ips, (ip) => ip)
    assert.deepEqual(order(['192.0.2.1', '192.0.2.2', '192.0.2.3', '2001:db8::1']), [
      '192.0.2.1',
      '2001:db8::1',
      '192.0.2.2',
      '192.0.2.3',
    ])
    assert.deepEqual(order(['2001:db8::1', '2001:db8::2', '192.0.2.1']), [
      '2001:db8::1',
      '192.0.2.1',
      '2001:db8::2',
    ])
    assert.deepEqual(order(['192.0.2.1', '192.0.2.2']), ['192.0.2.1', '192.0.2.2'])
    assert.deepEqual(order([]), [])
  })
})

describe('the memory of addresses that did not connect', () => {
  const keyOf = (address: string) => address

  it('avoids an address for 30 s, then twice as long with each further failure, ten minutes at most', () => {
    let nowMs = 0
    const health = createAddressHealth({ now: () => nowMs })
    for (const pauseMs of [30_000, 60_000, 120_000, 240_000, 480_000, 600_000, 600_000]) {
      health.bad('dead')
      nowMs += pauseMs - 1
      assert.equal(health.mayTry('dead'), false)
      nowMs += 1
      assert.equal(health.mayTry('dead'), true)
    }
  })

  it('lets one caller try it when its time is over, while the others go on without it', () => {
    let nowMs = 0
    const health = createAddressHealth({ now: () => nowMs })
    health.bad('back')
    nowMs = 30_000
    assert.deepEqual(health.order(['back', 'live'], keyOf), ['back', 'live'])
    assert.deepEqual(health.order(['back', 'live'], keyOf), ['live', 'back'])
    health.good('back')
    assert.deepEqual(health.order(['back', 'live'], keyOf), ['back', 'live'])
  })

  it('takes what many connections saw at once for one failure', () => {
    let nowMs = 0
    const health = createAddressHealth({ now: () => nowMs })
    for (let each = 0; each < 100; each += 1) health.bad('dead')
    nowMs = 30_000
    assert.equal(health.mayTry('dead'), true)
  })

  it('remembers so many and no more, and forgets what is not named any more', () => {
    const health = createAddressHealth({ max: 3 })
    for (const address of ['a', 'b', 'c', 'd']) health.bad(address)
    assert.deepEqual(
      ['a', 'b', 'c', 'd'].map((address) => health.mayTry(address)),
      [true, false, false, false],
    )
    health.keepOnly(new Set(['d']))
    assert.equal(health.size, 1)
  })
})
