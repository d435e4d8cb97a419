import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLog } from '@clawmesh/agent-sdk'
import { writeAtomic } from '@clawmesh/agent-sdk/mesh'
import { MeshError } from '@clawmesh/proto'
import { calculateJwkThumbprint } from 'jose'
import { type KeyRing, openKeyRing } from '../../../mesh-gateway/src/tokens/key-ring.ts'
import {
  ensureRing,
  generateKey,
  retireKey,
  rotateRing,
} from '../../../mesh-gateway/src/tokens/rotate-keys.ts'

const HOUR = 3_600_000

describe('the key ring', () => {
  let dir: string
  let ring: KeyRing | null
  beforeEach(async () => {
    dir = join(await mkdtemp(join(tmpdir(), 'clawmesh-keys-')), 'keys')
    ring = null
  })
  afterEach(async () => {
    await ring?.close()
    await rm(join(dir, '..'), { recursive: true })
  })
  const changed = (of: KeyRing) => new Promise<void>((resolve) => of.onChange(resolve))
  const unusable = (error: unknown) =>
    error instanceof MeshError && error.code === 'MESH_KEYS_UNUSABLE'

  it('makes no key whose id would be taken for an option on the command line', () => {
    for (let i = 0; i < 500; i += 1) assert.match(generateKey().kid, /^[\w][\w-]{42}$/)
  })

  it('makes its first keys when there are none, readable by this user only', async () => {
    ring = await openKeyRing({ dir })
    const names = await readdir(dir)
    assert.equal(names.filter((name) => name.endsWith('.pem')).length, 2)
    assert.equal((await stat(dir)).mode & 0o777, 0o700)
    for (const name of names) assert.equal((await stat(join(dir, name))).mode & 0o777, 0o600)
    const { kid } = ring.active()
    assert.ok(ring.verifying(kid))
  })

  it('makes one pair of keys when two gateways start at once', async () => {
    const made = await Promise.all([ensureRing({ dir }), ensureRing({ dir }), ensureRing({ dir })])
    assert.equal(made.filter(Boolean).length, 1)
    const names = await readdir(dir)
    assert.equal(names.filter((name) => name.endsWith('.pem')).length, 2)
    // the list of keys, and the lock file, which stays
    assert.equal(names.length, 4)
  })

  it('publishes public keys only, under their RFC 7638 thumbprints, the next one included', async () => {
    ring = await openKeyRing({ dir })
    const { keys } = ring.jwks()
    assert.equal(keys.length, 2)
    for (const key of keys) {
      assert.deepEqual(Object.keys(key).sort(), ['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'])
      assert.equal(key.kid, await calculateJwkThumbprint({ ...key }))
    }
  })

  it('sees a rotation by another process; the old key verifies until its overlap ends', async () => {
    let nowMs = Date.now()
    ring = await openKeyRing({ dir, now: () => nowMs })
    const old = ring.active().kid
    const next = ring.jwks().keys.find((key) => key.kid !== old)?.kid
    const seen = changed(ring)
    await rotateRing({ dir, now: () => nowMs })
    await seen
    assert.equal(ring.active().kid, next)
    assert.equal(ring.jwks().keys.length, 3)
    nowMs += 23.9 * HOUR
    assert.ok(ring.verifying(old))
    nowMs += 0.2 * HOUR
    assert.equal(ring.verifying(old), null)
    assert.equal(ring.jwks().keys.length, 2)
  })

  it('deletes the files of keys whose overlap is over at the next rotation', async () => {
    const nowMs = Date.now()
    await ensureRing({ dir })
    for (let day = 0; day < 5; day += 1)
      await rotateRing({ dir, now: () => nowMs + day * 25 * HOUR })
    assert.equal((await readdir(dir)).filter((name) => name.endsWith('.pem')).length, 3)
  })

  it('refuses at once what a retired key has signed, and does not retire the one that signs', async () => {
    ring = await openKeyRing({ dir })
    const old = ring.active().kid
    await assert.rejects(
      retireKey({ dir, kid: old }),
      (error) => unusable(error) && error instanceof MeshError && error.hint.includes('rotate'),
    )
    await rotateRing({ dir })
    await retireKey({ dir, kid: old })
    await ring.reload()
    assert.equal(ring.verifying(old), null)
    assert.ok(!(await readdir(dir)).includes(`${old}.pem`))
    await assert.rejects(retireKey({ dir, kid: '../../etc/passwd' }), unusable)
  })

  it('does not sign with a key that verifiers may not know yet, unless told to', async () => {
    let nowMs = Date.now()
    const options = { dir, leastPublishedMs: 330_000, now: () => nowMs }
    const tooSoon = (error: unknown) =>
      error instanceof MeshError && error.code === 'MESH_KEYS_TOO_SOON'
    const ringFile = () => readFile(join(dir, 'ring.json'), 'utf8')
    await ensureRing(options)
    nowMs += 5_000
    // whoever knows a key of a new ring knows both
    await rotateRing(options)
    const before = await ringFile()
    for (const [ms, retryAfterMs] of [
      [0, 330_000],
      [328_500, 1_500],
      [1_499, 1],
    ] as const) {
      nowMs += ms
      await assert.rejects(rotateRing(options), (error) => {
        assert.ok(tooSoon(error) && error instanceof MeshError)
        assert.equal(error.retryAfterMs, retryAfterMs)
        assert.match(
          error.hint,
          new RegExp(`in ${Math.ceil(retryAfterMs / 1000)} seconds; with --force`),
        )
        return true
      })
    }
    assert.equal(await ringFile(), before)
    nowMs += 1
    await rotateRing(options)
    await assert.rejects(rotateRing(options), tooSoon)
    // not even where both that are published last were made in one moment, or the clock was set back
    await rotateRing({ dir, now: () => nowMs })
    await assert.rejects(rotateRing(options), tooSoon)
    nowMs -= 60_000
    await assert.rejects(rotateRing(options), tooSoon)
    await rotateRing({ dir, now: () => nowMs })
    nowMs += 65_000
    await rotateRing({ dir, now: () => nowMs })
    // two are left as in a new ring, and the next one is as new as before
    for (const { kid, role } of JSON.parse(await ringFile()).keys)
      if (role === 'verifying') await retireKey({ dir, kid })
    await assert.rejects(rotateRing(options), tooSoon)
  })

  it('loses no rotation when several come at once', async () => {
    await ensureRing({ dir })
    await Promise.all([1, 2, 3, 4].map(() => rotateRing({ dir })))
    const { keys } = JSON.parse(await readFile(join(dir, 'ring.json'), 'utf8'))
    assert.equal(keys.length, 6)
  })

  it('keeps the last good one when files are torn, swapped or missing, and says it once', async () => {
    const warnings: object[] = []
    const outcomes: boolean[] = []
    ring = await openKeyRing({
      dir,
      log: { ...silentLog, warn: (fields) => warnings.push(fields) },
      metrics: { reload: (_what, ok) => outcomes.push(ok) },
    })
    const { kid } = ring.active()
    const good = await readFile(join(dir, 'ring.json'), 'utf8')
    const pem = await readFile(join(dir, `${kid}.pem`), 'utf8')
    const foreign = generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
    const p384 = generateKeyPairSync('ec', { namedCurve: 'secp384r1' }).privateKey
    const torn: [string, string][] = [
      ['ring.json', good.slice(0, 100)],
      ['ring.json', ''],
      ['ring.json', '{"keys":[]}'],
      ['ring.json', good.replaceAll('active', 'next')],
      ['ring.json', good.replace('"active"', '"active", "algorithm": "none"')],
      [`${kid}.pem`, pem.slice(0, 60)],
      [`${kid}.pem`, foreign.export({ type: 'pkcs8', format: 'pem' }).toString()],
      [`${kid}.pem`, rsa.export({ type: 'pkcs8', format: 'pem' }).toString()],
      [`${kid}.pem`, p384.export({ type: 'pkcs8', format: 'pem' }).toString()],
    ]
    for (const [name, content] of torn) {
      // in one step: a look between two would meet one more fault
      await writeAtomic(join(dir, name), content)
      assert.equal(await ring.reload(), false, `${name}: ${content.slice(0, 20)}`)
      await ring.reload()
      assert.equal(ring.active().kid, kid)
      await writeAtomic(join(dir, 'ring.json'), good)
      await writeAtomic(join(dir, `${kid}.pem`), pem)
      assert.equal(await ring.reload(), true)
    }
    assert.equal(warnings.length, torn.length)
    assert.ok(!JSON.stringify(warnings).includes('PRIVATE KEY'))
    assert.equal(outcomes.at(-1), true)
    assert.equal(ring.generation(), 1)
  })

  it('says why it is not usable, and what to do', async () => {
    await ensureRing({ dir })
    const path = join(dir, 'ring.json')
    const good = await readFile(path, 'utf8')
    const { keys } = JSON.parse(good)
    const [active, next] = keys
    const until = '2030-01-01T00:00:00.000Z'
    const old = { ...next, kid: 'A'.repeat(43), role: 'verifying', until }
    const kidOf = (kid: string) => ({ keys: [active, { ...next, kid }] })
    for (const [content, why] of [
      [{ keys: [next] }, /exactly one key must be active$/],
      [{ keys: [active, { ...next, role: 'active' }] }, /exactly one key must be active$/],
      [{ keys: [active, active] }, /exactly one key must be active$/],
      [{ keys: [active, next, next] }, /a key is named twice$/],
      [{ keys: [active, { ...next, until }] }, /a verifying key has an end, and no other has$/],
      [{ keys: [active, { ...old, until: null }] }, /a verifying key has an end, and no other/],
      [{ keys: [active, next, old] }, /cannot read .*A{43}\.pem \(.*ENOENT/],
      [kidOf('A'.repeat(42)), /must be the thumbprint of a key/],
      [kidOf('A'.repeat(44)), /must be the thumbprint of a key/],
      [kidOf(`${'A'.repeat(42)}/`), /must be the thumbprint of a key/],
      [{ keys: [] }, /#\/keys/],
      [{ keys: Array.from({ length: 101 }, () => active) }, /#\/keys/],
    ] as const) {
      await writeFile(path, JSON.stringify(content))
      await assert.rejects(openKeyRing({ dir }), (error) => {
        assert.ok(unusable(error) && error instanceof Error)
        assert.match(error.message, why)
        return true
      })
    }
    await writeFile(path, good.padEnd(256 * 1024))
    await (await openKeyRing({ dir })).close()
    await writeFile(path, good.padEnd(256 * 1024 + 1))
    await assert.rejects(openKeyRing({ dir }), unusable)
    await assert.rejects(rotateRing({ dir }), unusable)
    await rm(path)
    await assert.rejects(openKeyRing({ dir }), { hint: /^restore ring\.json, or move/ })
    for (const name of [active.kid, next.kid]) await rm(join(dir, `${name}.pem`))
    for (const work of [rotateRing({ dir }), retireKey({ dir, kid: next.kid })])
      await assert.rejects(work, (error) => {
        assert.ok(unusable(error) && error instanceof MeshError)
        assert.match(error.hint, /^the first `mesh-gateway start` or `issue-token` makes them/)
        return true
      })
  })

  it('tells nobody of a change that is none, and makes its first keys once', async () => {
    assert.equal(await ensureRing({ dir }), true)
    assert.equal(await ensureRing({ dir }), false)
    ring = await openKeyRing({ dir })
    let told = 0
    ring.onChange(() => {
      told += 1
    })
    assert.equal(await ring.reload(), true)
    assert.equal(told, 0)
    await rotateRing({ dir })
    await ring.reload()
    assert.equal(told, 1)
  })

  it('has a new next key when the next one is retired, and knows when each was made and ends', async () => {
    const nowMs = 1_800_000_000_000
    await ensureRing({ dir, now: () => nowMs })
    const read = async () => JSON.parse(await readFile(join(dir, 'ring.json'), 'utf8')).keys
    const [first, second] = await read()
    const created = '2027-01-15T08:00:00.000Z'
    assert.deepEqual(
      [first, second],
      [
        { kid: first.kid, created, role: 'active', until: null },
        { kid: second.kid, created, role: 'next', until: null },
      ],
    )
    const { keys: rotated } = await rotateRing({ dir, now: () => nowMs + 1000, overlapMs: 5000 })
    assert.deepEqual(rotated, await read())
    const third = rotated[1] ?? assert.fail()
    assert.deepEqual(rotated, [
      { kid: second.kid, created, role: 'active', until: null },
      { kid: third.kid, created: '2027-01-15T08:00:01.000Z', role: 'next', until: null },
      { kid: first.kid, created, role: 'verifying', until: '2027-01-15T08:00:06.000Z' },
    ])
    const { keys } = await retireKey({ dir, kid: third.kid, now: () => nowMs + 2000 })
    assert.deepEqual(
      keys.map(({ role }) => role),
      ['active', 'verifying', 'next'],
    )
    assert.notEqual(keys[2]?.kid, third.kid)
    assert.equal(keys[2]?.created, '2027-01-15T08:00:02.000Z')
    await assert.rejects(retireKey({ dir, kid: second.kid }), /is the one that signs/)
    // at the very moment that its time is over
    const later = await rotateRing({ dir, now: () => nowMs + 6000 })
    assert.ok(later.keys.every(({ kid }) => kid !== first.kid))
    const names = (await readdir(dir)).filter((name) => name.endsWith('.pem'))
    assert.deepEqual(names.toSorted(), later.keys.map(({ kid }) => `${kid}.pem`).toSorted())
  })

  it('does not start on a broken ring, nor makes new keys beside ones it does not know', async () => {
    await ensureRing({ dir })
    await rm(join(dir, 'ring.json'))
    await assert.rejects(openKeyRing({ dir }), unusable)
    await writeFile(join(dir, 'ring.json'), 'x')
    await assert.rejects(openKeyRing({ dir }), unusable)
  })
})
