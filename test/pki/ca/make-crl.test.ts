/** How long the lists of a CA are good, and which there are. */
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { appendFile } from 'node:fs/promises'
import { initCa, openCa, renewIntermediate, revoke } from '@clawmesh/pki'
import { makeScratch, PASSPHRASE, type Scratch } from '../scratch.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

describe('the lists that a CA signs', () => {
  let scratch: Scratch
  let dir: string
  let made = 0
  /** A whole second: lists have no parts of one. */
  const nowMs = Math.floor(Date.now() / 1000) * 1000
  before(async () => {
    scratch = await makeScratch()
  })
  after(() => scratch.remove())
  beforeEach(async () => {
    made += 1
    dir = scratch.path(`ca-${made}`)
    const life = { rootDays: 30, intermediateDays: 3, keyIterations: 1_000 }
    await initCa({ dir, trustDomain: 'mesh.internal', passphrase: PASSPHRASE, ...life })
  })
  const at = (ms: number) => openCa({ dir, passphrase: PASSPHRASE, now: () => nowMs + ms })
  const lists = (pem: string) => pem.match(/BEGIN X509 CRL/g)?.length
  const certificates = (pem: string) =>
    (pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? []).map(
      (one) => new X509Certificate(one).fingerprint256,
    )

  it('are good for a day, or for as long as is asked, and never beyond their CA', async () => {
    const ca = await at(0)
    const { thisUpdate, nextUpdate, number } = await ca.crl()
    assert.deepEqual([thisUpdate.getTime(), nextUpdate.getTime()], [nowMs, nowMs + DAY_MS])
    const hour = await ca.crl({ ttlMs: HOUR_MS })
    assert.equal(hour.nextUpdate.getTime(), nowMs + HOUR_MS)
    assert.ok(hour.number > number)
    const long = await ca.crl({ ttlMs: 300 * DAY_MS })
    assert.equal(long.nextUpdate.getTime(), ca.info.intermediate.notAfter.getTime())
    assert.equal((await (await at(999)).crl()).thisUpdate.getTime(), nowMs, 'a whole second')
    await ca.crl({ ttlMs: 1_000 })
    for (const ttlMs of [999, 0, -1, Number.NaN, Number.POSITIVE_INFINITY])
      await assert.rejects(ca.crl({ ttlMs }), TypeError)
  })

  it('are signed until the intermediate ends, and not from then on', async () => {
    const ends = (await at(0)).info.intermediate.notAfter.getTime() - nowMs
    await (await at(ends - 1_000)).crl()
    await assert.rejects((await at(ends)).crl(), {
      code: 'MESH_PKI_INVALID',
      message: 'the intermediate of the CA has expired',
      hint: /renew intermediate/,
    })
  })

  it('are one of the intermediate and one of the root, each with the certificate that verifies it', async () => {
    const ca = await at(0)
    const { pem, rootListFault } = await ca.crl()
    const of = ({ pem: text }: { readonly pem: string }) => new X509Certificate(text).fingerprint256
    assert.deepEqual([lists(pem), rootListFault], [2, null])
    assert.deepEqual(certificates(pem), [of(ca.info.intermediate), of(ca.info.root)])
  })

  it('are also of an intermediate of before, as long as what it issued can be good', async () => {
    const before = await at(0)
    const stolen = before.issueAgent({ tenant: 'acme', agent: 'planner', ttlMs: 2 * DAY_MS })
    const serial = new X509Certificate(stolen.certificateChain).serialNumber.toLowerCase()
    await revoke({ dir, target: { serial } })
    const ends = before.info.intermediate.notAfter.getTime() - nowMs
    const passphrase = PASSPHRASE
    await renewIntermediate({ dir, passphrase, newKey: true, days: 20, keyIterations: 1_000 })
    const while2 = await (await at(ends - 1_000)).crl()
    assert.equal(lists(while2.pem), 3)
    const after = await (await at(ends)).crl()
    assert.equal(lists(after.pem), 2)
    // in the list of the one that issued it, and in no other
    const now = await (await at(0)).crl()
    assert.deepEqual(now.serials, [serial])
    assert.equal(Buffer.from(now.der).toString('hex').includes(serial), false)
  })

  it('hold what ended a day ago, so that each was in one, and nothing older', async () => {
    const issued = (await at(0)).issueAgent({ tenant: 'acme', agent: 'planner', ttlMs: HOUR_MS })
    const certificate = new X509Certificate(issued.certificateChain)
    const serial = certificate.serialNumber.toLowerCase()
    await revoke({ dir, target: { serial } })
    const goneAt = certificate.validToDate.getTime() - nowMs + DAY_MS
    assert.deepEqual((await (await at(goneAt - 1)).crl()).serials, [serial])
    assert.deepEqual((await (await at(goneAt)).crl()).serials, [])
  })

  it('hold what was recorded without its issuer, in that of the intermediate', async () => {
    const record = {
      ...{ serial: 'aa', spiffeId: 'spiffe://mesh.internal/x', reason: 'keyCompromise' },
      ...{ revoked: new Date(nowMs), notAfter: new Date(nowMs + DAY_MS) },
    }
    await appendFile(scratch.path(`ca-${made}`, 'revoked.jsonl'), `\n${JSON.stringify(record)}\n`)
    const { serials, der, rootListFault } = await (await at(0)).crl()
    assert.deepEqual([serials, rootListFault], [['aa'], null])
    // INTEGER 0xaa, before its time
    assert.ok(Buffer.from(der).toString('hex').includes('020200aa170d'))
  })
})
