/** The fields of a revocation list, each as RFC 5280, section 5.1, has it; and of a list without it, or with another in its place. */
import assert from 'node:assert/strict'
import { parseCrl } from '@clawmesh/agent-sdk/mesh'
import { MeshError } from '@clawmesh/proto'
import { der, extension, sequence, subject } from '../mint.ts'

const ALGORITHM = sequence(Buffer.from('06082a8648ce3d040302', 'hex'))
const OTHER_ALGORITHM = sequence(Buffer.from('06082a8648ce3d040303', 'hex'))
const integer = (...bytes: number[]) => der(0x02, Buffer.from(bytes))
const utc = (text: string) => der(0x17, Buffer.from(text))
const generalized = (text: string) => der(0x18, Buffer.from(text))
const THIS = utc('261129120000Z')
const NEXT = generalized('20261130120000Z')
const ISSUER = subject('ca')
const entry = (...parts: readonly Buffer[]) => sequence(...parts)
const reason = extension('2.5.29.21', der(0x0a, Buffer.from([1])))
const number = (...bytes: number[]) => extension('2.5.29.20', integer(...bytes))

interface Parts {
  readonly version?: Buffer | null
  readonly inner?: Buffer
  readonly issuer?: Buffer
  readonly times?: readonly Buffer[]
  readonly entries?: readonly Buffer[]
  readonly extensions?: readonly Buffer[]
  readonly more?: readonly Buffer[]
  readonly outer?: Buffer
  readonly signature?: Buffer
  readonly after?: readonly Buffer[]
}

function listOf(parts: Parts = {}): Buffer {
  const { version = integer(1), inner = ALGORITHM, issuer = ISSUER, times = [THIS, NEXT] } = parts
  const body = sequence(
    ...(version === null ? [] : [version]),
    ...[inner, issuer, ...times],
    ...(parts.entries === undefined ? [] : [sequence(...parts.entries)]),
    ...(parts.extensions === undefined ? [] : [der(0xa0, sequence(...parts.extensions))]),
    ...(parts.more ?? []),
  )
  const signature = parts.signature ?? der(0x03, Buffer.from([0, 7, 8]))
  return sequence(body, parts.outer ?? inner, signature, ...(parts.after ?? []))
}

const read = (parts: Parts = {}) => parseCrl(listOf(parts))
const hex = (bytes: Uint8Array | null) =>
  bytes === null ? null : Buffer.from(bytes).toString('hex')

describe('the fields of a revocation list', () => {
  it('are read, all of them and the least of them', () => {
    const whole = read({ entries: [entry(integer(0x0a), THIS)], extensions: [number(5)] })
    assert.equal(hex(whole.issuer), ISSUER.toString('hex'))
    assert.equal(whole.number, '05')
    assert.equal(whole.thisUpdate.toISOString(), '2026-11-29T12:00:00.000Z')
    assert.equal(whole.nextUpdate?.toISOString(), '2026-11-30T12:00:00.000Z')
    assert.deepEqual([...whole.serials], ['0a'])
    assert.equal(whole.signature.algorithm, '2a8648ce3d040302')
    assert.equal(whole.signature.parameters, null)
    assert.equal(hex(whole.signature.bytes), '0708')
    const all = listOf({ entries: [entry(integer(0x0a), THIS)], extensions: [number(5)] })
    assert.ok(all.includes(Buffer.from(whole.signature.signed)))
    const least = read({ version: null, times: [THIS] })
    assert.deepEqual([least.number, least.nextUpdate, least.serials.size], [null, null, 0])
    assert.equal(read({ extensions: [number(5)] }).serials.size, 0)
    assert.equal(read({ entries: [] }).serials.size, 0)
  })

  it('have the parameters of the algorithm, where there are some', () => {
    const inner = sequence(Buffer.from('06092a864886f70d01010b0500', 'hex'))
    assert.equal(hex(read({ inner }).signature.parameters), '0500')
  })

  const entries: [what: string, entries: Buffer[], serials: string[]][] = [
    ['several', [entry(integer(1), THIS), entry(integer(2), NEXT)], ['01', '02']],
    ['one twice', [entry(integer(1), THIS), entry(integer(1), THIS)], ['01']],
    ['with zeros in front', [entry(integer(0, 0x80), THIS)], ['80']],
    ['of 21 bytes', [entry(integer(...Array(21).fill(0x11)), THIS)], ['11'.repeat(21)]],
    ['with a reason', [entry(integer(1), THIS, sequence(reason))], ['01']],
    [
      'with an extension that is not critical',
      [entry(integer(1), THIS, sequence(extension('1.2.3', der(0x05))))],
      ['01'],
    ],
    [
      'with a date of invalidity',
      [entry(integer(1), THIS, sequence(extension('2.5.29.24', NEXT, true)))],
      ['01'],
    ],
    [
      'after one with a reason',
      [entry(integer(1), THIS, sequence(reason)), entry(integer(2), THIS)],
      ['01', '02'],
    ],
  ]
  for (const [what, list, serials] of entries)
    it(`have entries: ${what}`, () => {
      assert.deepEqual([...read({ entries: list }).serials], serials)
    })

  const times: [time: Buffer, iso: string | null][] = [
    [utc('491231235959Z'), '2049-12-31T23:59:59.000Z'],
    [utc('500101000000Z'), '1950-01-01T00:00:00.000Z'],
    [utc('000229000000Z'), '2000-02-29T00:00:00.000Z'],
    [generalized('20500101000000Z'), '2050-01-01T00:00:00.000Z'],
    [generalized('99991231235959Z'), '9999-12-31T23:59:59.000Z'],
    [utc('2611291200Z'), null],
    [utc('261129120000'), null],
    [utc('261129120000+0100'), null],
    [utc('x261129120000Z'), null],
    [utc('261129120000Zx'), null],
    [utc('260230120000Z'), null],
    [utc('261301120000Z'), null],
    [utc('260001120000Z'), null],
    [utc('260100120000Z'), null],
    [utc('20261129120000Z'), null],
    [generalized('261129120000Z'), null],
    [generalized('20261129120000.5Z'), null],
    [generalized('20260229120000Z'), null],
    [generalized('x20261129120000Z'), null],
    [generalized('20261129120000Zx'), null],
    [utc(''), null],
  ]
  for (const [time, iso] of times)
    it(`have a time: ${time.subarray(2)} is ${iso ?? 'none'}`, () => {
      if (iso === null) assert.throws(() => read({ times: [time] }), { message: /not a time$/ })
      else assert.equal(read({ times: [time] }).thisUpdate.toISOString(), iso)
    })

  const refused: [what: string, parts: Parts, why: RegExp][] = [
    ['version 1, which has another number', { version: integer(0) }, /unknown version/],
    ['version 3', { version: integer(2) }, /unknown version/],
    ['a version of two bytes', { version: integer(1, 0) }, /unknown version/],
    ['another algorithm outside', { outer: OTHER_ALGORITHM }, /two algorithms/],
    ['an issuer that is no name', { issuer: der(0x31) }, /another tag/],
    ['no time', { times: [] }, /a time was expected/],
    ['something else for a time', { times: [integer(1)] }, /a time was expected/],
    ['three times', { times: [THIS, NEXT, NEXT] }, /more fields than are known/],
    ['entries twice', { entries: [], more: [sequence()] }, /more fields than are known/],
    [
      'a field behind the extensions',
      { extensions: [], more: [integer(1)] },
      /more fields than are known/,
    ],
    ['a part behind the signature', { after: [integer(1)] }, /other than three parts/],
    [
      'a signature of odd bits',
      { signature: der(0x03, Buffer.from([1, 7])) },
      /not of whole bytes/,
    ],
    ['a signature without bytes', { signature: der(0x03) }, /not of whole bytes/],
    ['a signature of another kind', { signature: der(0x04, Buffer.from([0, 7])) }, /another tag/],
    [
      'two sets of parameters',
      { inner: sequence(Buffer.from('06082a8648ce3d04030205000500', 'hex')) },
      /more than one set/,
    ],
    ['an entry that is no sequence', { entries: [integer(1)] }, /an entry is no sequence/],
    ['an entry without a time', { entries: [entry(integer(1))] }, /runs past the end/],
    [
      'an entry whose time is that of the next',
      { entries: [entry(integer(1)), THIS] },
      /not a serial number and a time/,
    ],
    [
      'an entry of a negative number',
      { entries: [entry(integer(0x80), THIS)] },
      /negative or too long/,
    ],
    ['an entry of no number', { entries: [entry(integer(), THIS)] }, /negative or too long/],
    [
      'an entry of 22 bytes',
      { entries: [entry(integer(...Array(22).fill(0x11)), THIS)] },
      /negative or too long/,
    ],
    [
      'an entry with two lists of extensions',
      { entries: [entry(integer(1), THIS, sequence(), sequence())] },
      /bytes after the value/,
    ],
    [
      'an entry with something else behind',
      { entries: [entry(integer(1), THIS, integer(1))] },
      /another tag/,
    ],
    [
      'an entry with a critical extension',
      { entries: [entry(integer(1), THIS, sequence(extension('1.2.3', der(0x05), true)))] },
      /critical extension 1\.2\.3 is not known/,
    ],
    // of another CA than that of the list (section 5.3.3): the list would be indirect
    [
      'an entry of another CA',
      { entries: [entry(integer(1), THIS, sequence(extension('2.5.29.29', sequence(), true)))] },
      /2\.5\.29\.29 is not known/,
    ],
    [
      'a reason of the list itself',
      { extensions: [extension('2.5.29.21', der(0x05), true)] },
      /2\.5\.29\.21 is not known/,
    ],
    ['a number twice', { extensions: [number(1), number(1)] }, /occurs twice/],
    ['a negative number', { extensions: [number(0x80)] }, /negative or too long/],
    [
      'an extension of one part',
      { extensions: [sequence(Buffer.from('0603551d14', 'hex'))] },
      /another tag/,
    ],
    [
      'an extension of four parts',
      { extensions: [sequence(Buffer.from('0603551d140101000400', 'hex'), der(0x04))] },
      /two or three parts/,
    ],
    [
      'a criticality that is no boolean',
      {
        extensions: [sequence(Buffer.from('0603551d14', 'hex'), integer(0), der(0x04, integer(1)))],
      },
      /another tag/,
    ],
    [
      'an extension whose value is no text of bytes',
      { extensions: [sequence(Buffer.from('0603551d14', 'hex'), integer(1))] },
      /another tag/,
    ],
    [
      'an identifier that is none',
      { extensions: [sequence(integer(1), der(0x04))] },
      /another tag/,
    ],
    [
      'a critical one like a known one, but longer',
      { extensions: [extension('2.5.29.20.1', integer(1), true)] },
      /2\.5\.29\.20\.1 is not known/,
    ],
    [
      'a critical one of another arc',
      { extensions: [extension('2.5.28.20', integer(1), true)] },
      /2\.5\.28\.20 is not known/,
    ],
    [
      'a critical one of another first arc',
      { extensions: [extension('2.4.29.20', integer(1), true)] },
      /2\.4\.29\.20 is not known/,
    ],
  ]
  for (const [what, parts, why] of refused)
    it(`are refused: ${what}`, () => {
      assert.throws(
        () => read(parts),
        (error) => {
          assert.ok(error instanceof MeshError && error.code === 'MESH_REVOCATION_INVALID')
          assert.match(error.message, /^a list of revoked certificates is not well-formed: /)
          assert.match(error.message, why)
          return true
        },
      )
    })

  it('may have extensions that are known, critical or not, and others that are not critical', () => {
    const akid = extension('2.5.29.35', sequence(), true)
    const issuerAlt = extension('2.5.29.18', sequence(), true)
    const { number: known } = read({ extensions: [akid, issuerAlt, number(7)] })
    assert.equal(known, '07')
    // critical: false, said in words
    const said = sequence(Buffer.from('0603551d1e010100', 'hex'), der(0x04, der(0x05)))
    read({ extensions: [said] })
    // two of which nothing is known
    read({ extensions: [extension('1.2.3', der(0x05)), extension('1.2.4', der(0x05))] })
  })

  it('are not looked at in a list of more than 8 MiB', () => {
    const most = 8 * 1024 * 1024
    const of = (bytes: number) => () => parseCrl(Buffer.alloc(bytes, 0x30))
    assert.throws(of(most), { message: /not well-formed/ })
    assert.throws(of(most + 1), { message: `a list is larger than ${most} bytes` })
  })
})
