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
  reject(cause: unknown): void
}

/** A race whose attempts end as the test says, on a clock that the test moves. */
function raceOf(
  addresses: readonly string[],
  more: {
    signal?: AbortSignal
    timeoutMs?: number
    health?: AddressHealth
    delayMs?: (address: string, next: string) => number
  } = {},
) {
  const tried: Tried[] = []
  const discarded: string[] = []
  const health = more.health ?? createAddressHealth()
  const done = raceConnections<string, string, string>(addresses, {
    health,
    keyOf: (address) => address,
    connect(address, attempt) {
      const { promise, resolve, reject } = Promise.withResolvers<AttemptEnd<string, string>>()
      tried.push({ address, attempt, end: resolve, reject })
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

  it('tries nothing for somebody that has gone before it begins', async () => {
    const race = raceOf(['first'], { signal: AbortSignal.abort() })
    assert.deepEqual(await race.done, { failures: [], unanswered: [], aborted: true })
    assert.deepEqual(race.names(), [])
  })

  it('ends when all have failed, in whatever order, and not before', async () => {
    const race = raceOf(['first', 'second', 'third'])
    const ended = { yet: false }
    race.done.then(
      () => {
        ended.yet = true
      },
      () => {},
    )
    clock.advance(CONNECTION_ATTEMPT_DELAY_MS)
    clock.advance(CONNECTION_ATTEMPT_DELAY_MS)
    assert.deepEqual(race.names(), ['first', 'second', 'third'])
    for (const address of ['third', 'first']) {
      race.of(address).end({ failure: `no ${address}` })
      await settle()
      assert.equal(ended.yet, false)
    }
    race.of('second').end({ failure: 'no second' })
    assert.deepEqual(await race.done, {
      failures: ['third', 'first', 'second'].map((address) => ({
        address,
        failure: `no ${address}`,
      })),
      unanswered: [],
      aborted: false,
    })
    assert.equal(race.health.size, 3, 'each is avoided from now on')
  })

  it('avoids what was silent when the time was over, and what made room for another', async () => {
    const late = raceOf(['silent'], { timeoutMs: 1_000 })
    clock.advance(1_000)
    await late.done
    assert.equal(late.health.mayTry('silent'), false)
    const many = raceOf(Array.from({ length: 7 }, (_, at) => `${at}`))
    for (let step = 0; step < 6; step += 1) clock.advance(CONNECTION_ATTEMPT_DELAY_MS)
    assert.equal(many.health.mayTry('0'), false)
    assert.equal(many.health.mayTry('1'), true)
    assert.equal(many.of('0').attempt.signal.aborted, true)
    many.of('0').end({ connection: 'too late' })
    await settle()
    assert.deepEqual(many.discarded, ['too late'])
  })

  it('knows the one that connected for good, and nothing of those that began later', async () => {
    const race = raceOf(['first', 'second', 'third'])
    race.health.bad('second')
    clock.advance(CONNECTION_ATTEMPT_DELAY_MS)
    clock.advance(CONNECTION_ATTEMPT_DELAY_MS)
    race.of('second').end({ connection: 'to second' })
    await race.done
    assert.deepEqual(
      ['first', 'second', 'third'].map((address) => race.health.mayTry(address)),
      [false, true, true],
    )
  })

  it('is over when one has connected: no clock, no step and no failure changes anything', async () => {
    const gone = new AbortController()
    const race = raceOf(['first', 'second', 'third'], { timeoutMs: 1_000, signal: gone.signal })
    clock.advance(CONNECTION_ATTEMPT_DELAY_MS)
    race.of('first').end({ connection: 'to first' })
    await race.done
    race.of('second').attempt.progressed()
    race.of('second').end({ failure: 'given up' })
    await settle()
    clock.advance(10_000)
    gone.abort()
    assert.deepEqual(race.names(), ['first', 'second'])
    assert.equal(race.health.size, 0)
    assert.deepEqual(race.discarded, [])
  })

  it('gives the delay again to the last address alone, and as long as it is told to', async () => {
    const delays: string[] = []
    const race = raceOf(['first', 'second', 'third'], {
      delayMs(address, next) {
        delays.push(`${address} ${next}`)
        return next === 'third' ? Number.POSITIVE_INFINITY : 10
      },
    })
    clock.advance(10)
    assert.deepEqual(race.names(), ['first', 'second'])
    race.of('first').attempt.progressed()
    clock.advance(100_000)
    assert.deepEqual(race.names(), ['first', 'second'], 'the third one waits for a failure')
    assert.deepEqual(delays, ['first second', 'second third'])
    race.of('second').end({ failure: 'refused' })
    await settle()
    race.of('third').attempt.progressed()
    assert.deepEqual(race.names(), ['first', 'second', 'third'])
    race.of('third').end({ connection: 'to third' })
    assert.deepEqual(await race.done, { address: 'third', connection: 'to third' })
  })

  it('is rejected when an attempt is, and the others are given up', async () => {
    const race = raceOf(['first', 'second'])
    clock.advance(CONNECTION_ATTEMPT_DELAY_MS)
    race.of('second').reject(new TypeError('ours'))
    await assert.rejects(race.done, { message: 'ours' })
    assert.equal(race.of('first').attempt.signal.aborted, true)
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
