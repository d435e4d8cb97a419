/** Keys of a ring that stop to verify by the clock, and the secrets that are made of keys. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { mock } from 'node:test'
import { type KeyRing, openKeyRing } from '../../../../mesh-gateway/src/tokens/key-ring.ts'
import { retireKey, rotateRing } from '../../../../mesh-gateway/src/tokens/rotate-keys.ts'

const YEAR_MS = 365 * 86_400_000

describe('a key of a ring whose overlap ends', () => {
  let dir: string
  let ring: KeyRing
  let told: number
  // the clock and its timers are the test's: no time passes but by `mock.timers.tick`
  beforeEach(async () => {
    mock.timers.enable({ apis: ['Date', 'setTimeout'], now: 1_800_000_000_000 })
    told = 0
    dir = join(await mkdtemp(join(tmpdir(), 'clawmesh-overlap-')), 'keys')
    ring = await openKeyRing({ dir })
  })
  afterEach(async () => {
    mock.timers.reset()
    await ring.close()
    await rm(join(dir, '..'), { recursive: true })
  })
  /** Rotates, and gives the key that signed before. */
  const rotate = async (overlapMs: number): Promise<string> => {
    const { kid } = ring.active()
    await rotateRing({ dir, overlapMs })
    await ring.reload()
    return kid
  }
  const listen = () =>
    ring.onChange(() => {
      told += 1
    })
  const verifies = (...kids: string[]) => kids.map((kid) => ring.verifying(kid) !== null)

  it('verifies until that very millisecond, and is told then, though no file has changed', async () => {
    const old = await rotate(300)
    listen()
    mock.timers.tick(299)
    assert.deepEqual([verifies(old), ring.jwks().keys.length, told], [[true], 3, 0])
    mock.timers.tick(1)
    assert.deepEqual([verifies(old), ring.jwks().keys.length], [[false], 2])
    mock.timers.tick(1)
    assert.equal(told, 1)
    mock.timers.tick(YEAR_MS)
    assert.equal(told, 1)
  })

  it('is told as well where it began before the gateway did', async () => {
    const old = await rotate(300)
    await ring.close()
    ring = await openKeyRing({ dir })
    listen()
    assert.deepEqual([verifies(old), told], [[true], 0])
    mock.timers.tick(301)
    assert.deepEqual([verifies(old), told], [[false], 1])
  })

  it('is told one by one, the first one first, in whichever order they were made', async () => {
    const second = await rotate(9_000)
    const first = await rotate(3_000)
    listen()
    mock.timers.tick(3_001)
    assert.deepEqual([verifies(first, second), told], [[false, true], 1])
    mock.timers.tick(5_998)
    assert.equal(told, 1)
    mock.timers.tick(2)
    assert.deepEqual([verifies(first, second), told], [[false, false], 2])
  })

  it('is told to nobody that has stopped to listen, nor when the ring is closed', async () => {
    const stop = listen()
    stop()
    await rotate(300)
    mock.timers.tick(301)
    assert.equal(told, 0)
    listen()
    await rotate(300)
    assert.equal(told, 1)
    await ring.close()
    mock.timers.tick(301)
    assert.equal(told, 1)
  })

  describe('gives secrets', () => {
    const hex = (list: readonly Buffer[]) => list.map((one) => one.toString('hex'))

    it('that every gateway with the ring has, another for each purpose, each of 32 bytes', async () => {
      const here = hex(ring.derive('a'))
      assert.ok(here.every((one) => one.length === 64))
      assert.equal(new Set([...here, ...hex(ring.derive('b'))]).size, 4)
      await ring.close()
      ring = await openKeyRing({ dir })
      assert.deepEqual(hex(ring.derive('a')), here)
    })

    it('of each key that counts, that of the one that signs first', async () => {
      const before = hex(ring.derive('a'))
      const old = await rotate(YEAR_MS)
      const after = hex(ring.derive('a'))
      // the next one signs now
      assert.equal(after[0], before[1])
      assert.equal(after.length, 3)
      assert.ok(after.includes(before[0] ?? ''))
      await retireKey({ dir, kid: old })
      await ring.reload()
      assert.deepEqual(hex(ring.derive('a')).length, 2)
      await rotate(300)
      mock.timers.tick(300)
      const late = hex(ring.derive('a'))
      assert.equal(late.length, 2)
      assert.ok(!late.includes(after[0] ?? ''), 'of the one whose time is over')
    })
  })
})

describe('a key of a ring that ends in a year', () => {
  it('is waited for by no timer that is longer than one can be, which would fire at once', async () => {
    const dir = join(await mkdtemp(join(tmpdir(), 'clawmesh-overlap-')), 'keys')
    const warnings: string[] = []
    const warned = ({ name }: Error) => void warnings.push(name)
    process.on('warning', warned)
    const ring = await openKeyRing({ dir })
    try {
      await rotateRing({ dir, overlapMs: YEAR_MS })
      await ring.reload()
      await new Promise((resolve) => setImmediate(resolve))
      assert.ok(!warnings.includes('TimeoutOverflowWarning'))
    } finally {
      process.off('warning', warned)
      await ring.close()
      await rm(join(dir, '..'), { recursive: true })
    }
  })
})
