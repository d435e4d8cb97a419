import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { MeshError } from '@clawmesh/proto'
import { freshMs } from '../../../../mesh-gateway/src/tokens/external/fresh-ms.ts'
import {
  type FetchedKeys,
  type KeptKeys,
  keepKeys,
} from '../../../../mesh-gateway/src/tokens/external/keep-keys.ts'
import { readJwks } from '../../../../mesh-gateway/src/tokens/external/read-jwks.ts'

const MINUTE_MS = 60_000

describe('the keys of an issuer', () => {
  let nowMs: number
  let setBackMs: number
  let asked: number
  let answer: () => Promise<FetchedKeys>
  let keys: KeptKeys
  let changes: number
  let attempts: boolean[]

  const setOf = (kid: string, fresh = 300_000): FetchedKeys => {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const jwks = { keys: [{ ...publicKey.export({ format: 'jwk' }), kid }] }
    return { ...readJwks(JSON.stringify(jwks), ['ES256']), freshMs: fresh }
  }
  const fail = () => Promise.reject(new Error('away'))

  beforeEach(() => {
    nowMs = 1_000_000_000
    setBackMs = 0
    asked = 0
    changes = 0
    attempts = []
    const set = setOf('one')
    answer = async () => set
    keys = keepKeys({
      fetch() {
        asked += 1
        return answer()
      },
      onAttempt: (result) => attempts.push(!('error' in result)),
      now: () => nowMs - setBackMs,
      monotonicNow: () => nowMs,
    })
    keys.onChange(() => {
      changes += 1
    })
  })
  afterEach(() => keys.close())

  const unavailable = (work: Promise<unknown>) =>
    assert.rejects(
      work,
      (error) => error instanceof MeshError && error.code === 'MESH_TOKEN_ISSUER_UNAVAILABLE',
    )
  /** Lets what was begun in the background end. */
  const settle = () => new Promise((resolve) => setImmediate(resolve))

  it('are fetched once for everybody who waits', async () => {
    const all = await Promise.all(Array.from({ length: 50 }, () => keys.current()))
    assert.equal(asked, 1)
    assert.equal(new Set(all).size, 1)
    assert.equal(changes, 0, 'the first are no change')
    assert.equal(keys.untilMs(), nowMs + 5 * MINUTE_MS)
  })

  it('are fetched anew in the last fifth of their time, and nobody waits for that', async () => {
    const { digest } = await keys.current()
    nowMs += 4 * MINUTE_MS - 1
    await keys.current()
    assert.equal(asked, 1)
    nowMs += 1
    const gate = Promise.withResolvers<FetchedKeys>()
    answer = () => gate.promise
    assert.equal((await keys.current()).digest, digest)
    assert.equal((await keys.current()).digest, digest)
    assert.equal(asked, 2)
    const next = setOf('two')
    gate.resolve(next)
    await settle()
    assert.equal((await keys.current()).digest, next.digest)
    assert.equal(changes, 1)
  })

  it('that are too old are not believed before they were fetched anew', async () => {
    await keys.current()
    nowMs += 5 * MINUTE_MS
    const next = setOf('two')
    answer = async () => next
    assert.equal((await keys.current()).digest, next.digest)
  })

  it('that have not changed are no change', async () => {
    const before = await keys.current()
    nowMs += 5 * MINUTE_MS
    const after = await keys.current()
    assert.equal(asked, 2)
    assert.equal(changes, 0)
    assert.equal(after.find, before.find)
  })

  it('stay for an hour when their issuer is away, which is tried every 30 seconds and waited for once', async () => {
    const { digest } = await keys.current()
    answer = fail
    nowMs += 5 * MINUTE_MS
    assert.equal((await keys.current()).digest, digest)
    assert.equal((await keys.current()).digest, digest)
    assert.equal(asked, 2)
    assert.equal(keys.untilMs(), nowMs + 30_000)
    const never = Promise.withResolvers<FetchedKeys>()
    answer = () => never.promise
    nowMs += 30_000
    // known to be away: not waited for
    assert.equal((await keys.current()).digest, digest)
    assert.equal(asked, 3)
    never.reject(new Error('away'))
    await settle()
    answer = fail
    nowMs += 54 * MINUTE_MS + 29_999
    assert.equal((await keys.current()).digest, digest)
    assert.equal(keys.untilMs(), nowMs + 1)
    await settle()
    nowMs += 1
    await unavailable(keys.current())
    const next = setOf('two')
    answer = async () => next
    await unavailable(keys.current())
    nowMs += 30_000
    assert.equal((await keys.current()).digest, next.digest)
    assert.deepEqual(attempts, [true, false, false, false, true])
  })

  it('that never came are asked for once in 30 seconds', async () => {
    answer = fail
    for (let i = 0; i < 100; i += 1) await unavailable(keys.current())
    assert.equal(asked, 1)
    assert.equal(keys.untilMs(), 0)
    nowMs += 30_000
    await unavailable(keys.current())
    assert.equal(asked, 2)
  })

  it('are asked for because of a strange kid once in 30 seconds', async () => {
    const known = await keys.current()
    assert.equal(await keys.otherThan(known), null)
    assert.equal(asked, 1)
    nowMs += 30_000
    const answers = await Promise.all(Array.from({ length: 50 }, () => keys.otherThan(known)))
    assert.deepEqual(new Set(answers), new Set([null]))
    assert.equal(await keys.otherThan(known), null)
    assert.equal(asked, 2)
    nowMs += 30_000
    const next = setOf('two')
    answer = async () => next
    assert.equal((await keys.otherThan(known))?.digest, next.digest)
    assert.equal((await keys.otherThan(known))?.digest, next.digest)
    // others are here by now: whoever holds those of before need not have them fetched
    nowMs += 30_000
    assert.equal((await keys.otherThan(known))?.digest, next.digest)
    assert.equal(asked, 3)
  })

  it('do not grow younger when the clock is set back', async () => {
    await keys.current()
    const leftMs = keys.untilMs() - nowMs
    setBackMs = 60 * MINUTE_MS
    assert.equal(keys.untilMs() - (nowMs - setBackMs), leftMs)
    nowMs += 60 * MINUTE_MS
    answer = fail
    await unavailable(keys.current())
  })

  it('do not grow older when the clock is set forward', async () => {
    await keys.current()
    setBackMs = -60 * MINUTE_MS
    answer = fail
    await keys.current()
  })

  it('that come after the end are not taken', async () => {
    const gate = Promise.withResolvers<FetchedKeys>()
    answer = () => gate.promise
    const waiting = keys.current()
    keys.close()
    gate.resolve(setOf('one'))
    await unavailable(waiting)
    assert.deepEqual(attempts, [])
  })

  it('are kept for as long as Cache-Control says, five minutes at most and thirty seconds at least', () => {
    const cases: [string | null, number][] = [
      [null, 300],
      ['', 300],
      ['public, max-age=86400', 300],
      ['max-age=120', 120],
      ['Public,Max-Age="90" , must-revalidate', 90],
      ['max-age=200, max-age=100', 100],
      ['max-age=0', 30],
      ['no-store', 30],
      ['no-cache="x", max-age=200', 30],
      ['s-maxage=60, xmax-age=60', 300],
      ['max-age=-1, max-age=x, max-age=1e9, max-age=99999999999999999', 300],
    ]
    for (const [header, seconds] of cases)
      assert.equal(freshMs(header), seconds * 1000, String(header))
  })
})
