/** The bounds of a body that is read: lines, extensions, trailers, and what is beyond its end. */
import assert from 'node:assert/strict'
import { createBodyDecoder } from '../../../../mesh-gateway/src/egress/http1/body-decoder.ts'
import { MalformedMessage } from '../../../../mesh-gateway/src/egress/http1/head.ts'
import type { BodyFraming } from '../../../../mesh-gateway/src/egress/http1/response-head.ts'

function decode(framing: BodyFraming, ...pieces: readonly string[]) {
  const out: string[] = []
  const decoder = createBodyDecoder(framing, (data) => void out.push(data.toString('latin1')))
  const taken = pieces.map((piece) => decoder.push(Buffer.from(piece, 'latin1')))
  return { out, taken, decoder }
}

import { countCalls } from '../../../support/count-calls.ts'

describe('a body', () => {
  it('of so many bytes ends with the last of them, and leaves what follows', () => {
    const { out, taken, decoder } = decode(5, 'he', 'llo next', 'more')
    assert.deepEqual(out, ['he', 'llo'])
    assert.deepEqual(taken, [2, 3, 0])
    assert.equal(decoder.done, true)
    assert.deepEqual([decoder.extraBytes, decoder.trailers], [0, []])
    assert.equal(decode(5, 'hell').decoder.done, false)
    assert.equal(decode(0).decoder.done, true)
    assert.deepEqual(decode(0, 'x').out, [])
  })

  it('without a length ends with its connection', () => {
    const { out, taken, decoder } = decode('until-close', 'all', ' of it')
    assert.deepEqual([out, taken, decoder.done], [['all', ' of it'], [3, 6], false])
  })

  for (const [text, bytes] of [
    ['5\r\n', 5],
    ['05 \t\r\n', 5],
    ['A;x="y"\r\n', 10],
    ['a ;\xff\r\n', 10],
    ['ffffffffffff\r\n', 0xffffffffffff],
    ['1ffffffffffff\r\n', null],
    ['5x\r\n', null],
    ['x5\r\n', null],
    ['5 x\r\n', null],
    ['5;\x01\r\n', null],
    [`${'0'.repeat(12)}5\r\n`, null],
    [`5;${'x'.repeat(252)}\r\n`, 5],
    [`5;${'x'.repeat(253)}\r\n`, null],
  ] as const)
    it(`in chunks whose first begins with ${JSON.stringify(text).slice(0, 24)} is ${bytes === null ? 'refused' : 'read'}`, () => {
      if (bytes === null) assert.throws(() => decode('chunked', text), MalformedMessage)
      else {
        const { decoder, out } = decode('chunked', text, 'x'.repeat(Math.min(bytes, 20)))
        assert.equal(out.join('').length, Math.min(bytes, 20))
        assert.equal(decoder.done, false)
      }
    })

  it('in chunks counts what stands beside the payload', () => {
    const { decoder } = decode('chunked', '1;abc\r\nx\r\n2 \r\nxy\r\n0;z\r\nA: b\r\nC: d\r\n\r\n')
    assert.equal(decoder.done, true)
    assert.equal(decoder.extraBytes, 4 + 1 + 2 + 6 + 6)
    assert.deepEqual(
      decoder.trailers.map(({ rawName, value }) => `${rawName}=${value}`),
      ['A=b', 'C=d'],
    )
  })

  it('in chunks may have extensions of 16 KiB beyond twice its payload, and framing of a few bytes for nothing', () => {
    // of each line of 218 bytes 16 are free, and 2 for the byte of payload: 200 count
    const chunk = `1;${'x'.repeat(216)}\r\nx\r\n`
    assert.equal(decode('chunked', chunk.repeat(81)).out.join('').length, 81)
    assert.throws(() => decode('chunked', chunk.repeat(82)), {
      message: 'the chunk extensions are larger than what they stand beside',
    })
    // payload makes room again
    const large = `1000\r\n${'y'.repeat(4096)}\r\n`
    assert.ok(decode('chunked', `${chunk.repeat(81)}${large}${chunk.repeat(40)}`))
    assert.ok(decode('chunked', `${large.repeat(3)}${chunk.repeat(81)}`))
    assert.throws(
      () => decode('chunked', `${large.repeat(3)}${chunk.repeat(82)}`),
      MalformedMessage,
    )
    const free = `1;${'x'.repeat(16)}\r\nx\r\n`
    assert.equal(decode('chunked', free.repeat(20_000)).out.join('').length, 20_000)
  })

  it('in chunks has trailers of 8 KiB and 32 fields, none that frames it, and ends with them', () => {
    const trailers = (count: number, chars: number) =>
      `0\r\n${`x: ${'y'.repeat(chars)}\r\n`.repeat(count)}\r\n`
    assert.equal(decode('chunked', trailers(32, 1)).decoder.trailers.length, 32)
    assert.throws(() => decode('chunked', trailers(33, 1)), MalformedMessage)
    // 8192 bytes: each line has 5 more than its value
    assert.equal(decode('chunked', trailers(2, 4_091)).decoder.trailers.length, 2)
    for (const chars of [4_092, 8_188])
      assert.throws(() => decode('chunked', trailers(2, chars)), MalformedMessage)
    assert.throws(() => decode('chunked', `0\r\nx: ${'y'.repeat(8_190)}`), MalformedMessage)
    assert.throws(() => decode('chunked', '0\r\nx: \x01\r\n\r\n'), MalformedMessage)
    const { decoder, taken } = decode('chunked', '0\r\n\r\nnext')
    assert.deepEqual([taken, decoder.done, decoder.trailers], [[5], true, []])
    assert.equal(decoder.push(Buffer.from('next')), 0)
  })

  it('in chunks hands a piece of 1 KiB on at once, and smaller ones of one read together', () => {
    const chunk = (bytes: number) => `${bytes.toString(16)}\r\n${'x'.repeat(bytes)}\r\n`
    const sizes = (text: string) => decode('chunked', text).out.map(({ length }) => length)
    assert.deepEqual(sizes(chunk(1023) + chunk(1023)), [2046])
    assert.deepEqual(sizes(chunk(1024) + chunk(1024)), [1024, 1024])
    assert.deepEqual(sizes(chunk(1) + chunk(1024) + chunk(2) + chunk(3)), [1, 1024, 5])
  })

  it('in chunks is the same however it is cut into reads', () => {
    const whole =
      '1\r\nx\r\n0a\r\n0123456789\r\nB ;e=1\r\n0123456789a\r\n00000000000F\r\n0123456789abcde\r\n0\r\nA: b\r\n\r\nnext'
    const seen = (pieces: readonly string[]) => {
      const { out, taken, decoder } = decode('chunked', ...pieces)
      const { extraBytes, trailers, done } = decoder
      return { out: out.join(''), taken: taken.reduce((a, b) => a + b), extraBytes, trailers, done }
    }
    const expected = seen([...whole])
    assert.equal(expected.out, 'x01234567890123456789a0123456789abcde')
    assert.deepEqual([expected.taken, expected.done], [whole.length - 4, true])
    assert.deepEqual(seen([whole]), expected)
    for (let at = 1; at < whole.length; at += 1)
      assert.deepEqual(seen([whole.slice(0, at), whole.slice(at)]), expected, `cut at ${at}`)
    for (const wrong of ['1\r\nxy\r\n', '1\r\nx\n', '1\nx', 'g\r\n', '\r\n', '-1\r\n', '0x1\r\n'])
      for (const pieces of [[wrong], [...wrong]])
        assert.throws(() => decode('chunked', ...pieces), MalformedMessage, wrong)
  })

  it('in chunks of one byte makes neither a text nor a view for each: a sender can make them all so', () => {
    const read = Buffer.from('1\r\nx\r\n'.repeat(10_000))
    const decoder = createBodyDecoder('chunked', () => {})
    const made = countCalls(Buffer.prototype, ['toString', 'subarray'], () =>
      assert.equal(decoder.push(read), read.length),
    )
    assert.ok(made < 100, `${made}`)
  })
})
