/** What is read of a head, what frames the body, and which bytes are none of it: at each bound. */
import assert from 'node:assert/strict'
import {
  declaredLength,
  type Field,
  findHeadEnd,
  HeadTooLarge,
  listOf,
  MalformedMessage,
  readFields,
  readLines,
  single,
} from '../../../../mesh-gateway/src/egress/http1/head.ts'

const bytes = (text: string) => Buffer.from(text, 'latin1')
const LIMITS = { maxBytes: 10, maxFields: 2 }
const field = (name: string, value: string): Field => ({ name, rawName: name, value })

describe('the head of a message', () => {
  it('ends with the first empty line, and is refused when it is larger than allowed, also before its end', () => {
    assert.equal(findHeadEnd(bytes('abc\r\n\r\nrest of it'), LIMITS), 7)
    assert.equal(findHeadEnd(bytes('abcdef\r\n\r\n'), LIMITS), 10)
    assert.equal(findHeadEnd(bytes('\r\n\r\n'), LIMITS), 4)
    assert.equal(findHeadEnd(bytes('abcdef\r\n\r'), LIMITS), -1)
    assert.equal(findHeadEnd(bytes('0123456789'), LIMITS), -1)
    assert.equal(findHeadEnd(bytes(''), LIMITS), -1)
    for (const text of ['abcdefg\r\n\r\n', '0123456789a'])
      assert.throws(() => findHeadEnd(bytes(text), LIMITS), {
        constructor: HeadTooLarge,
        message: 'the head is larger than 10 bytes',
      })
  })

  it('is refused before its end when it has one for a sender who ends lines by LF alone', () => {
    for (const text of ['a\n\n', 'a\r\nb\n\n', 'a\n\r\n', '\n\n'])
      assert.throws(() => findHeadEnd(bytes(text), LIMITS), {
        constructor: MalformedMessage,
        message: 'a line of the head ends without CR',
      })
    for (const text of ['a\n', 'a\r\n', 'a\nb\r\n', 'a\r\n\r'])
      assert.equal(findHeadEnd(bytes(text), LIMITS), -1)
  })

  for (const [text, expected] of [
    ['a\r\nb', ['a', 'b']],
    ['a', ['a']],
    ['', ['']],
    ['a\tb\x80\xff~ ', ['a\tb\x80\xff~ ']],
    ['a\r\n\r\nb', ['a', '', 'b']],
    ['\r\na', ['', 'a']],
    ['a\nb', null],
    ['a\rb', null],
    ['a\r\rb', null],
    ['a\r', null],
    ['\r', null],
    ['a\x7f', null],
    ['a\x1f', null],
    ['a\0', null],
    ['a\n', null],
    ['a\x0b\n', null],
    ['a\r\n\x01', null],
  ] as const)
    it(`with ${JSON.stringify(text)} before its end ${expected === null ? 'is refused' : 'is read'}`, () => {
      const read = () => readLines(bytes(`${text}\r\n\r\n`))
      if (expected === null) assert.throws(read, MalformedMessage)
      else assert.deepEqual(read(), expected)
    })

  for (const [line, refusing, dropping] of [
    ['X: a', 'X=a', 'X=a'],
    ['X:a', 'X=a', 'X=a'],
    ['X:', 'X=', 'X='],
    ['X: \t ', 'X=', 'X='],
    ['X: a b \t', 'X=a b', 'X=a b'],
    ['X:\ta:b', 'X=a:b', 'X=a:b'],
    ['X : a', null, 'X=a'],
    ['XY\t :a', null, 'XY=a'],
    ['X Y: a', null, null],
    [' X: a', null, null],
    [' : a', null, null],
    [':a', null, null],
    ['X', null, null],
    ['', null, null],
    ['Content-Length : 5', null, null],
    ['transfer-encoding\t: chunked', null, null],
    ['Connection : close', null, null],
    ['Upgrade : websocket', null, null],
    ['Trailer : x', null, null],
    ['Content-Length: 5', 'Content-Length=5', 'Content-Length=5'],
  ] as const)
    it(`has of the line ${JSON.stringify(line)} ${refusing ?? 'nothing'}, of an answer ${dropping ?? 'nothing'}`, () => {
      for (const [blanks, expected] of [
        ['refuse', refusing],
        ['drop', dropping],
      ] as const) {
        const read = () => readFields(['start', line], LIMITS, 1, blanks)
        if (expected === null) assert.throws(read, MalformedMessage)
        else {
          const [{ name, rawName, value } = field('', ''), ...more] = read()
          assert.equal(`${rawName}=${value}`, expected)
          assert.equal(name, rawName.toLowerCase())
          assert.deepEqual(more, [])
        }
      }
    })

  it('has as many fields as allowed, and blanks before a colon are refused where nothing is said', () => {
    assert.equal(readFields(['start', 'a:1', 'b:2'], LIMITS).length, 2)
    assert.equal(readFields(['a:1', 'b:2'], LIMITS, 0).length, 2)
    assert.throws(() => readFields(['start', 'a:1', 'b:2', 'c:3'], LIMITS), HeadTooLarge)
    assert.throws(() => readFields(['start', 'a :1'], LIMITS), MalformedMessage)
  })

  it('has a field once, or its members from wherever they stand', () => {
    const fields = [field('a', '1'), field('b', ' X, ,y'), field('b', ''), field('b', 'Z')]
    assert.equal(single(fields, 'a'), '1')
    assert.equal(single(fields, 'none'), null)
    assert.throws(() => single(fields, 'b'), MalformedMessage)
    assert.deepEqual(listOf(fields, 'b'), ['x', 'y', 'z'])
    assert.deepEqual(listOf(fields, 'none'), [])
  })

  for (const [length, coding, expected] of [
    [null, null, null],
    ['0', null, 0],
    ['007', null, 7],
    ['999999999999999', null, 999_999_999_999_999],
    ['1000000000000000', null, 'refused'],
    ['', null, 'refused'],
    ['5x', null, 'refused'],
    ['x5', null, 'refused'],
    ['-5', null, 'refused'],
    [null, 'chunked', 'chunked'],
    [null, 'Chunked', 'chunked'],
    [null, 'gzip', 'refused'],
    ['5', 'chunked', 'refused'],
    ['0', 'chunked', 'refused'],
  ] as const)
    it(`with a length of ${length} and a coding of ${coding} frames ${expected}`, () => {
      const fields = [
        ...(length === null ? [] : [field('content-length', length)]),
        ...(coding === null ? [] : [field('transfer-encoding', coding)]),
      ]
      if (expected === 'refused') assert.throws(() => declaredLength(fields), MalformedMessage)
      else assert.equal(declaredLength(fields), expected)
    })
})
