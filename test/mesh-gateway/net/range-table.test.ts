/** Ranges found by look-up are those that a comparison of each finds. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { cidr, contains, masked } from '../../../mesh-gateway/src/net/cidr.ts'
import { formatIp, parseIp } from '../../../mesh-gateway/src/net/ip.ts'
import { rangeTable } from '../../../mesh-gateway/src/net/range-table.ts'

const bytesOf = (text: string) => parseIp(text) ?? new Uint8Array()

describe('a table of ranges', () => {
  /** Few different bits, so that ranges hold each other and the addresses. */
  const byte = fc.constantFrom(0, 1, 2, 128, 129, 255)
  const address = fc.oneof(
    fc.array(byte, { minLength: 4, maxLength: 4 }),
    // not mapped: those are IPv4
    fc.array(byte, { minLength: 15, maxLength: 15 }).map((rest) => [0x20, ...rest]),
  )
  const range = fc.tuple(address, fc.nat({ max: 128 })).map(([bytes, length]) => {
    const prefix = bytes.length === 4 ? length % 33 : Math.max(3, length)
    return cidr(`${formatIp(masked(Uint8Array.from(bytes), prefix))}/${prefix}`)
  })

  it('finds the widest range that holds an address, and none where none does', () => {
    fc.assert(
      fc.property(fc.array(range, { maxLength: 12 }), fc.array(address), (ranges, addresses) => {
        const table = rangeTable(ranges)
        for (const bytes of [
          ...addresses.map((one) => Uint8Array.from(one)),
          ...ranges.map((one) => one.bytes),
        ]) {
          const holding = ranges.filter((one) => contains(one, bytes))
          const [widest] = holding.toSorted((a, b) => a.prefix - b.prefix)
          assert.deepEqual(table.find(bytes), widest ?? null)
          const single = ranges.some(
            (one) => one.prefix === bytes.length * 8 && contains(one, bytes),
          )
          assert.equal(table.hasSingle(bytes), single)
        }
      }),
      { numRuns: 500 },
    )
  })

  it('tells neighbours apart at every length of prefix', () => {
    for (const [first, shortest, bits] of [
      ['85.85.85.85', 0, 32],
      // a wider one holds mapped IPv4 too, which is no range
      ['2555:5555:5555:5555:5555:5555:5555:5555', 3, 128],
    ] as const)
      for (let prefix = shortest; prefix <= bits; prefix += 1) {
        const bytes = bytesOf(first)
        const table = rangeTable([cidr(`${formatIp(masked(bytes, prefix))}/${prefix}`)])
        assert.notEqual(table.find(bytes), null)
        for (let bit = 0; bit < bits; bit += 1) {
          const other = Uint8Array.from(bytes)
          other[bit >> 3] = (other[bit >> 3] ?? 0) ^ (0x80 >> (bit & 7))
          assert.equal(table.find(other) !== null, bit >= prefix, `bit ${bit} of /${prefix}`)
        }
      }
  })

  it('keeps the first of two that are the same, and families apart', () => {
    const [one, two] = [cidr('10.0.0.0/8'), cidr('10.0.0.0/8')]
    assert.equal(rangeTable([one, two]).find(bytesOf('10.1.2.3')), one)
    assert.equal(rangeTable([cidr('::/0')]).find(bytesOf('10.1.2.3')), null)
    assert.equal(rangeTable([cidr('0.0.0.0/0')]).find(bytesOf('2001:db8::1')), null)
    assert.equal(rangeTable([]).hasSingle(bytesOf('10.1.2.3')), false)
  })
})
