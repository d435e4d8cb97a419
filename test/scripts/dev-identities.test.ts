import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDevIdentities } from '../../scripts/dev/dev-identities.ts'

const HOUR_MS = 3_600_000

describe('the certificates of a development mesh', () => {
  let dir: string
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-dev-'))
  })
  afterEach(() => rm(dir, { recursive: true }))

  it('are made once, of a CA that is kept', async () => {
    const first = await openDevIdentities({ dir })
    assert.equal(first.fresh, true)
    assert.deepEqual(await first.renew(), ['gateway', 'planner', 'researcher'])
    const again = await openDevIdentities({ dir })
    assert.equal(again.fresh, false)
    assert.deepEqual(await again.renew(), [])
    const planner = new X509Certificate(await readFile(join(dir, 'planner/tls.crt')))
    assert.match(planner.subjectAltName ?? '', /agent\/planner/)
  })

  it('are renewed when less than half of their life remains', async () => {
    let nowMs = Date.now()
    const identities = await openDevIdentities({ dir, ttlMs: 24 * HOUR_MS, now: () => nowMs })
    await identities.renew()
    nowMs += 11 * HOUR_MS
    assert.deepEqual(await identities.renew(), [])
    nowMs += 2 * HOUR_MS
    assert.equal((await identities.renew()).length, 3)
  })

  it('are made anew when they are torn, missing or of another CA', async () => {
    const identities = await openDevIdentities({ dir })
    await identities.renew()
    await writeFile(join(dir, 'planner/..data/tls.crt'), 'torn')
    await rm(join(dir, 'researcher'), { recursive: true })
    assert.deepEqual(await identities.renew(), ['planner', 'researcher'])
    await rm(join(dir, 'ca'), { recursive: true })
    const other = await openDevIdentities({ dir })
    assert.equal(other.fresh, true)
    assert.equal((await other.renew()).length, 3)
  })

  it('keep the passphrase to their owner, and say what helps when it is lost', async () => {
    await openDevIdentities({ dir })
    const file = join(dir, 'passphrase')
    assert.equal((await stat(file)).mode & 0o777, 0o600)
    await writeFile(file, 'another passphrase\n')
    await assert.rejects(openDevIdentities({ dir }), (error: Error & { hint?: string }) => {
      assert.match(error.hint ?? '', /remove .* to start afresh/)
      assert.doesNotMatch(error.message, /another passphrase/)
      return true
    })
  })
})
