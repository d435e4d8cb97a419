/** The reader of DER takes one encoding of each value, and nothing outside of the bytes that it was given. */
import assert from 'node:assert/strict'
import {
  DerError,
  expectDer,
  formatOid,
  readBounds,
  readDer,
  readDerList,
} from '../../../agent-sdk/src/tls/der.ts'

/** Of hexadecimal digits, and so many zeros after them. */
const bytes = (hex: string, zeros = 0) =>
  Buffer.concat([Buffer.from(hex.replaceAll(' ', ''), 'hex'), Buffer.alloc(zeros)])

describe('a value in DER', () => {
  const values: [what: string, hex: string, tag: number, length: number][] = [
    ['without content', '05 00', 0x05, 0],
    ['of one byte', '02 01', 0x02, 1],
    ['of 127 bytes, the longest in the short form', '04 7f', 0x04, 127],
    ['of 128 bytes, the shortest in the long form', '04 81 80', 0x04, 128],
    ['of 255 bytes', '04 81 ff', 0x04, 255],
    ['of 256 bytes, whose length takes two', '04 82 0100', 0x04, 256],
    ['of 65 536 bytes, whose length takes three', '04 83 010000', 0x04, 65_536],
    ['of 2^24 bytes, whose length takes four', '04 84 01000000', 0x04, 2 ** 24],
    ['of the highest tag of one byte', 'fe 01', 0xfe, 1],
    ['of tag 30, the last but one', '1e 00', 0x1e, 0],
  ]
  for (const [what, hex, tag, length] of values)
    it(`is read: ${what}`, () => {
      const encoded = bytes(hex, length)
      const value = readDer(encoded)
      assert.equal(value.tag, tag)
      assert.equal(value.content.length, length)
      assert.equal(Buffer.compare(value.raw, encoded), 0)
      const bounds = readBounds(encoded, 0)
      assert.deepEqual(bounds, {
        tag,
        start: value.raw.length - length,
        end: value.raw.length,
      })
    })

  const refused: [what: string, hex: string, why: RegExp, zeros?: number][] = [
    ['no bytes', '', /runs past the end/],
    ['a tag alone', '30', /runs past the end/],
    ['content that is cut off', '04 02 00', /runs past the end/],
    ['a length that is cut off', '04 82 01', /runs past the end/],
    ['bytes after it', '05 00 00', /bytes after the value/],
    ['a tag of several bytes', '1f 01 00', /tags of several bytes/],
    ['a constructed tag of several bytes', 'bf 1f 00', /tags of several bytes/],
    ['an indefinite length', '30 80 00 00', /indefinite or excessive/],
    ['a length of five bytes', '04 85 0000000001 00', /indefinite or excessive/],
    ['127 bytes in the long form', '04 81 7f', /not minimal/, 127],
    ['255 bytes with a length of two', '04 82 00ff', /not minimal/, 255],
    ['65 535 bytes with a length of three', '04 83 00ffff', /not minimal/, 65_535],
    ['a length of four bytes that begins with none', '04 84 00010000', /not minimal/, 65_536],
  ]
  for (const [what, hex, why, zeros] of refused)
    it(`is refused: ${what}`, () => {
      assert.throws(
        () => readDer(bytes(hex, zeros)),
        (error) => error instanceof DerError && why.test(error.message),
      )
    })

  it('may stand at any place of a list, and must end within it', () => {
    const list = readDerList(bytes('02 01 07  30 02 05 00  04 00'))
    assert.deepEqual(
      list.map(({ tag, content, raw }) => [tag, content.length, Buffer.from(raw).toString('hex')]),
      [
        [0x02, 1, '020107'],
        [0x30, 2, '30020500'],
        [0x04, 0, '0400'],
      ],
    )
    assert.deepEqual(readDerList(bytes('')), [])
    assert.deepEqual(readBounds(bytes('05 00 02 01 07'), 2), { tag: 0x02, start: 4, end: 5 })
    assert.throws(() => readDerList(bytes('05 00 04 02 00')), DerError)
  })

  it('must have the tag that is expected', () => {
    const value = readDer(bytes('02 01 07'))
    assert.deepEqual([...expectDer(value, 0x02)], [7])
    assert.throws(() => expectDer(value, 0x03), DerError)
    assert.throws(() => expectDer(undefined, 0x02), DerError)
  })
})

describe('an object identifier', () => {
  // X.690, section 8.19.4: the first two arcs are one number, and the first is 0, 1 or 2
  const identifiers: [hex: string, text: string][] = [
    ['00', '0.0'],
    ['27', '0.39'],
    ['28', '1.0'],
    ['2b0e03021a', '1.3.14.3.2.26'],
    ['4f', '1.39'],
    ['50', '2.0'],
    ['551d13', '2.5.29.19'],
    ['7f', '2.47'],
    ['8137', '2.103'],
    ['883703', '2.999.3'],
    ['2a864886f70d01010b', '1.2.840.113549.1.1.11'],
    ['2b060104010001', '1.3.6.1.4.1.0.1'],
    ['2b818001', '1.3.16385'],
    ['', ''],
  ]
  for (const [hex, text] of identifiers)
    it(`of the bytes ${hex || '(none)'} is ${text || 'nothing'}`, () => {
      assert.equal(formatOid(bytes(hex)), text)
    })

  it('shows twenty arcs at most', () => {
    assert.equal(formatOid(bytes(`2b${'01'.repeat(40)}`)), `1.3${'.1'.repeat(18)}`)
  })
})
