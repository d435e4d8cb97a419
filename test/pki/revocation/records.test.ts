/** What a CA writes down of what it has issued and revoked, as it is read again: whole lines, days, and what a torn one leaves. */
import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileFault, hasErrorCode } from '../../../pki/src/disk/file-fault.ts'
import { appendRecord, readRecords } from '../../../pki/src/disk/journal.ts'
import { readBounded } from '../../../pki/src/disk/read-bounded.ts'
import { replaceFile } from '../../../pki/src/disk/replace-file.ts'
import { textField } from '../../../pki/src/revocation/fields.ts'
import {
  forgetExpired,
  readIssued,
  recordIssued,
} from '../../../pki/src/revocation/issued-records.ts'
import { isReason, REASON_CODES } from '../../../pki/src/revocation/reasons.ts'
import {
  type RevokedRecord,
  readRevoked,
  recordRevoked,
} from '../../../pki/src/revocation/revoked-records.ts'
import { canonicalSerial } from '../../../pki/src/revocation/serial.ts'
import { isListed, nextListNumber } from '../../../pki/src/revocation/sign-list.ts'
import { makeScratch, type Scratch } from '../scratch.ts'

const NOW_MS = Date.parse('2026-11-29T12:00:00Z')
const DAY_MS = 86_400_000
const at = (ms: number) => new Date(NOW_MS + ms)

describe('the records of a CA', () => {
  let scratch: Scratch
  let dir: string
  beforeEach(async () => {
    scratch = await makeScratch()
    dir = scratch.path('ca')
    await mkdir(dir)
  })
  afterEach(() => scratch.remove())

  const issued = (serial: string, endsInMs: number) => ({
    ...{ serial, issuer: 'ab', fingerprint: 'cd', spiffeId: 'spiffe://a/b' },
    notAfter: at(endsInMs),
  })
  const serials = async (nowMs: number) =>
    (await readIssued(dir, nowMs)).map(({ serial }) => serial)

  it('of what was issued hold until it has expired, and a week longer on the disk', async () => {
    assert.deepEqual(await readIssued(dir, NOW_MS), [])
    const [one, two] = [issued('01', 1_000), issued('02', DAY_MS)]
    for (const record of [one, two]) recordIssued(dir, record, NOW_MS)
    assert.deepEqual(await readIssued(dir, NOW_MS), [one, two])
    assert.deepEqual(await serials(NOW_MS + 999), ['01', '02'])
    assert.deepEqual(await serials(NOW_MS + 1_000), ['02'])
    assert.deepEqual(await serials(NOW_MS + DAY_MS), [])
    const days = () => readdir(join(dir, 'issued'))
    const first = ['2026-11-29.jsonl', '2026-11-30.jsonl']
    assert.deepEqual(await days(), first)
    await forgetExpired(dir, NOW_MS + 7 * DAY_MS)
    assert.deepEqual(await days(), first)
    await writeFile(join(dir, 'issued', 'notes-2020-01-01.jsonl'), '')
    await writeFile(join(dir, 'issued', '2020-01-01.jsonl.old'), '')
    await forgetExpired(dir, NOW_MS + 8 * DAY_MS)
    assert.deepEqual(await days(), [
      ...['2020-01-01.jsonl.old', '2026-11-30.jsonl', 'notes-2020-01-01.jsonl'],
    ])
  })

  it('of what was issued are those that have a serial number, by an issuer or none', async () => {
    const path = join(dir, 'issued', '2026-11-29.jsonl')
    const notAfter = at(1_000).toISOString()
    for (const record of [{ notAfter }, { serial: '', notAfter }, { serial: '03', notAfter }])
      appendRecord(path, record)
    assert.deepEqual(await readIssued(dir, NOW_MS), [
      { serial: '03', issuer: null, fingerprint: '', spiffeId: '', notAfter: at(1_000) },
    ])
  })

  it('of what was revoked keep the first word on each, and lose none to what cannot be read of it', async () => {
    await assert.rejects(readRevoked(dir), { code: 'MESH_PKI_INVALID', message: /is missing/ })
    const path = join(dir, 'revoked.jsonl')
    await writeFile(path, '')
    assert.equal((await readRevoked(dir)).size, 0)
    const record: RevokedRecord = {
      ...{ serial: '0a', issuer: 'ab', spiffeId: 'spiffe://a/b', reason: 'superseded' as const },
      ...{ revoked: at(0), notAfter: at(DAY_MS) },
    }
    recordRevoked(dir, record)
    recordRevoked(dir, { ...record, reason: 'keyCompromise' })
    const far = new Date(Date.UTC(9999, 0))
    for (const odd of [
      { serial: '' },
      { serial: 'XY' },
      { serial: '0' },
      { serial: 'a'.repeat(41) },
      { serial: `0b\n` },
      { serial: '0c', reason: 'toString', revoked: 'x', notAfter: 5 },
    ])
      appendRecord(path, odd)
    assert.deepEqual(
      [...(await readRevoked(dir))],
      [
        ['0a', record],
        [
          '0c',
          {
            ...{ serial: '0c', issuer: null, spiffeId: null, reason: 'unspecified' },
            ...{ revoked: far, notAfter: far },
          },
        ],
      ],
    )
    await rm(path)
    await mkdir(path)
    await assert.rejects(readRevoked(dir), { code: 'MESH_PKI_INVALID', message: /directory/ })
  })

  it('stay in the lists until a day after the certificate has expired', () => {
    const record: RevokedRecord = {
      ...{ serial: '0a', issuer: null, spiffeId: null, reason: 'unspecified' as const },
      ...{ revoked: at(0), notAfter: at(0) },
    }
    assert.equal(isListed(record, NOW_MS + DAY_MS - 1), true)
    assert.equal(isListed(record, NOW_MS + DAY_MS), false)
  })

  it('give lists numbers that grow, when the clock goes back or the file is lost as well', async () => {
    const path = join(dir, 'crl.json')
    assert.equal(await nextListNumber(dir, NOW_MS), NOW_MS)
    assert.equal(await nextListNumber(dir, NOW_MS), NOW_MS + 1)
    assert.equal(await nextListNumber(dir, NOW_MS - DAY_MS), NOW_MS + 2)
    assert.equal(await nextListNumber(dir, NOW_MS + DAY_MS), NOW_MS + DAY_MS)
    assert.equal((await stat(path)).mode & 0o777, 0o600)
    for (const text of ['', '{}', '{"number":1e9}', 'x{"number":9000000000000}', '{"number":-5}']) {
      await writeFile(path, text)
      assert.equal(await nextListNumber(dir, 1), 1, text)
    }
    await rm(path)
    assert.equal(await nextListNumber(dir, 5), 5)
  })

  it('are lines of their own, private, and a torn one takes no other with it', async () => {
    const path = scratch.path('new', 'records.jsonl')
    assert.deepEqual(await readRecords(path), [])
    appendRecord(path, { n: 1 })
    appendRecord(path, { n: 2 })
    assert.equal((await stat(path)).mode & 0o777, 0o600)
    assert.equal((await stat(scratch.path('new'))).mode & 0o777, 0o700)
    await truncate(path, (await stat(path)).size - 3)
    appendRecord(path, { n: 3 })
    assert.deepEqual(await readRecords(path), [{ n: 1 }, { n: 3 }])
    await writeFile(path, 'null\n5\n"x"\n\n[]\n{"n":4}')
    assert.deepEqual(await readRecords(path), [[], { n: 4 }])
    await assert.rejects(readRecords(dir), { code: 'MESH_PKI_INVALID', message: /a directory/ })
    assert.throws(() => appendRecord(dir, {}), { code: 'MESH_DISK_WRITE' })
  })

  it('have fields of text, and an empty one in the place of what is none', () => {
    assert.equal(textField({ a: 'x' }, 'a'), 'x')
    for (const record of [{}, { a: 5 }, { a: null }]) assert.equal(textField(record, 'a'), '')
  })

  it('give reasons that a list can name', () => {
    for (const reason of Object.keys(REASON_CODES)) assert.ok(isReason(reason))
    for (const text of ['', 'toString', 'KeyCompromise']) assert.equal(isReason(text), false)
    assert.deepEqual(Object.values(REASON_CODES), [0, 1, 3, 4, 5, 9])
  })

  it('know a serial number in every way that it is written', () => {
    for (const [text, serial] of [
      ['0a', '0a'],
      ['A', '0a'],
      ['00:0A:ff', '0aff'],
      ['0000', '00'],
      ['000', '00'],
      ['f'.repeat(40), 'f'.repeat(40)],
      [`00${'f'.repeat(40)}`, 'f'.repeat(40)],
    ] as const)
      assert.equal(canonicalSerial(text), serial, text)
    for (const text of ['', ':', 'xy', 'f'.repeat(41), '0a ', ' 0a', '-1'])
      assert.throws(() => canonicalSerial(text), { code: 'MESH_PKI_NOT_FOUND' }, text)
  })

  it('and its other files are replaced whole, or stay, and are read up to a bound', async () => {
    const path = join(dir, 'file')
    await replaceFile(path, 'one', 0o640)
    await replaceFile(path, 'two', 0o600)
    assert.equal(await readFile(path, 'utf8'), 'two')
    assert.equal((await stat(path)).mode & 0o777, 0o600)
    assert.deepEqual(await readdir(dir), ['file'])
    await mkdir(join(dir, 'folder', 'more'), { recursive: true })
    await assert.rejects(replaceFile(join(dir, 'folder'), 'x', 0o600), { code: 'MESH_DISK_WRITE' })
    assert.deepEqual((await readdir(dir)).toSorted(), ['file', 'folder'], 'no draft is left')
    await assert.rejects(replaceFile(join(dir, 'none', 'file'), 'x', 0o600), {
      ...{ code: 'MESH_DISK_WRITE', message: /it does not exist$/ },
    })
    assert.equal(await readBounded(path, 3, 'MESH_PKI_INVALID'), 'two')
    await assert.rejects(readBounded(path, 2, 'MESH_PKI_INVALID'), {
      ...{ code: 'MESH_PKI_INVALID', message: /it is larger than 2 bytes$/ },
    })
    await assert.rejects(readBounded(join(dir, 'none'), 9, 'MESH_PKI_INVALID'), {
      ...{ code: 'MESH_PKI_INVALID', message: /it does not exist$/, hint: 'check the path' },
    })
  })
})

describe('a fault of the file system', () => {
  it('names the path and what is wrong with it, with a hint where a file was to be read', () => {
    const error = (code?: unknown) =>
      Object.assign(new Error('x'), code === undefined ? {} : { code })
    const reading = fileFault('MESH_PKI_INVALID', '/a', error('EACCES'))
    assert.equal(reading.message, '/a: permission denied')
    assert.equal(reading.hint, 'let this user read it')
    const writing = fileFault('MESH_DISK_WRITE', '/a', error('EACCES'))
    assert.notEqual(writing.hint, 'let this user read it')
    assert.equal(fileFault('MESH_DISK_WRITE', '/a', error('EXDEV')).message, '/a: EXDEV')
    for (const other of [error(), error(5), 'x', null])
      assert.equal(fileFault('MESH_DISK_WRITE', '/a', other).message, '/a: it cannot be used')
    assert.equal(hasErrorCode(error('ENOENT'), 'ENOENT'), true)
    for (const other of [error(), error('EACCES'), { code: 'ENOENT' }])
      assert.equal(hasErrorCode(other, 'ENOENT'), false)
  })
})
