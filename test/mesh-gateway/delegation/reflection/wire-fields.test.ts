/** Fields of protobuf as they lie on the wire, those of a hostile peer too. */
import assert from 'node:assert/strict'
import {
  FieldReader,
  lengthField,
  numberField,
  textOf,
  wholeOf,
} from '../../../../mesh-gateway/src/delegation/reflection/wire-fields.ts'

const reader = () => new FieldReader(1_000)
const bytes = (...of: number[]) => Buffer.from(of)
const broken = { code: 'MESH_PEER_PROTOCOL' }

describe('the fields of a message', () => {
  it('are found whatever their type, each whole and with its content', () => {
    const message = Buffer.concat([
      numberField(1, 300),
      bytes(0x11, 1, 2, 3, 4, 5, 6, 7, 8),
      lengthField(3, Buffer.from('text')),
      bytes(0x25, 1, 2, 3, 4),
      lengthField(300, Buffer.alloc(200, 7)),
    ])
    const fields = reader().fields(message)
    assert.deepEqual(
      fields.map(({ number, start, from, end }) => [number, start, from, end]),
      [
        [1, 0, 3, 3],
        [2, 3, 12, 12],
        [3, 12, 14, 18],
        [4, 18, 23, 23],
        [300, 23, 27, 227],
      ],
    )
    assert.deepEqual(Buffer.concat(fields.map(wholeOf)), message)
    assert.deepEqual(reader().fields(Buffer.alloc(0)), [])
  })

  it('are read within a field, and no further than that', () => {
    const inner = Buffer.concat([
      lengthField(1, Buffer.from('a')),
      lengthField(2, Buffer.from('b')),
    ])
    const outer = Buffer.concat([lengthField(5, inner), lengthField(1, Buffer.from('c'))])
    const [first = assert.fail()] = reader().fields(outer)
    assert.equal(reader().fields(first).length, 2)
    assert.equal(reader().text(first, 2), 'b')
    const cut = Buffer.concat([bytes(0x0a, 2, 0x0a, 5), Buffer.from('later')])
    const [short = assert.fail()] = reader().fields(Buffer.concat([cut.subarray(0, 4)]))
    assert.throws(() => reader().fields(short), broken)
  })

  it('of one number say their text, the last of several; none says nothing', () => {
    const message = Buffer.concat([
      lengthField(1, Buffer.from('old')),
      lengthField(1, Buffer.from('new')),
      lengthField(2, Buffer.from('other')),
    ])
    for (const [number, text] of [
      [1, 'new'],
      [2, 'other'],
      [3, ''],
    ] as const) {
      assert.equal(reader().text(message, number), text)
      assert.equal(textOf(reader().fields(message), number), text)
    }
  })

  it('are so many at most, of all messages together', () => {
    const message = Buffer.concat([numberField(1, 1), numberField(1, 1)])
    const three = new FieldReader(3)
    three.fields(message)
    assert.throws(() => three.fields(message), broken)
    const two = new FieldReader(2)
    two.text(message, 1)
    assert.throws(() => two.text(numberField(1, 1), 1), broken)
  })

  const strange: Record<string, Buffer> = {
    'a number 0': bytes(0x02, 0),
    'a group': bytes(0x0b),
    'an unknown type': bytes(0x0e),
    'a tag cut off': bytes(0x80),
    'a length cut off': bytes(0x0a),
    'a content cut off': bytes(0x0a, 2, 0),
    'a fixed number of 8 cut off': bytes(0x09, 1, 2, 3, 4, 5, 6, 7),
    'a fixed number of 4 cut off': bytes(0x0d, 1, 2, 3),
    'a number cut off': bytes(0x08, 0x80),
    'a number of eleven bytes': bytes(0x08, ...new Array(10).fill(0x80), 1),
    'a length beyond all memory': bytes(0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f),
  }
  for (const [what, message] of Object.entries(strange))
    it(`with ${what} are refused`, () => {
      assert.throws(() => reader().fields(message), broken)
      assert.throws(() => reader().text(message, 1), broken)
    })

  it('with a number of ten bytes, as negative ones have, are taken', () => {
    const message = Buffer.concat([bytes(0x08, ...new Array(9).fill(0xff), 1), numberField(2, 5)])
    assert.deepEqual(
      reader()
        .fields(message)
        .map(({ number, end }) => [number, end]),
      [
        [1, 11],
        [2, 13],
      ],
    )
  })

  it('are written as they are read, at each size of a number', () => {
    for (const value of [0, 1, 127, 128, 16_383, 16_384, 2 ** 31]) {
      const [field = assert.fail()] = reader().fields(numberField(1, value))
      assert.equal(field.end, numberField(1, value).length)
    }
    for (const length of [0, 127, 128, 20_000]) {
      const [field = assert.fail()] = reader().fields(lengthField(7, Buffer.alloc(length, 1)))
      assert.deepEqual([field.number, field.end - field.from], [7, length])
    }
    assert.deepEqual([...numberField(1, 300)], [0x08, 0xac, 0x02])
    assert.deepEqual([...numberField(1, 128)], [0x08, 0x80, 0x01])
  })
})
