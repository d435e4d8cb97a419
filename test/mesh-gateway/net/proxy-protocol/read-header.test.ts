/** What is read of a PROXY header, version 1 and 2, and what is refused of it. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { formatIp, parseIp, unmapped } from '../../../../mesh-gateway/src/net/ip.ts'
import { crc32c } from '../../../../mesh-gateway/src/net/proxy-protocol/crc32c.ts'
import { readHeader } from '../../../../mesh-gateway/src/net/proxy-protocol/read-header.ts'
import { raw, SIGNATURE, version1, version2 } from '../../../support/proxy-header.ts'

const CLIENT = { ip: '203.0.113.7', port: 51_234, proxyPort: 443 }
const CLIENT6 = { ip: '2001:db8::7', port: 1, proxyPort: 8443 }
const NO_BYTES = Buffer.alloc(0)

function faultOf(bytes: Buffer | string): string {
  const reading = readHeader(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
  return reading.kind === 'fault' ? reading.fault : reading.kind
}

describe('a PROXY header', () => {
  it('of both versions and both families names the client, and where the next byte is', () => {
    for (const client of [CLIENT, CLIENT6])
      for (const header of [
        version1(client),
        version2(client),
        version2(client, { checksum: true }),
        version2(client, { tlvs: [[0x04, Buffer.alloc(100)]] }),
        version2(client, { tlvs: [[0x02, Buffer.from('gw.example')]], checksum: true }),
      ]) {
        const expected = { kind: 'header', length: header.length, client }
        assert.deepEqual(readHeader(header), expected)
        assert.deepEqual(readHeader(Buffer.concat([header, header])), expected)
      }
  })

  it('names an IPv4-mapped address as the IPv4 address', () => {
    const mapped = { ip: '::ffff:203.0.113.7', port: 51_234, proxyPort: 443 }
    for (const header of [version1(mapped), version2(mapped)]) {
      const reading = readHeader(header)
      assert.deepEqual(reading, { kind: 'header', length: header.length, client: CLIENT })
    }
  })

  it('is asked for more while it may become one, and for no byte more', () => {
    for (const header of [version1(CLIENT), version2(CLIENT6, { checksum: true })])
      for (let length = 0; length < header.length; length += 1)
        assert.equal(readHeader(header.subarray(0, length)).kind, 'more', `${length} bytes`)
  })

  it('is missing as soon as one byte is of something else', () => {
    for (const bytes of [
      ...[
        'G',
        'POST',
        'PROXY\r\n',
        'proxy ',
        '\x16\x03\x01',
        '\n',
        '\r\n\r\n\r',
        '\r\nP',
        ' PROXY ',
      ],
      'PRI * HTTP/2.0\r\n\r\n',
      `${SIGNATURE.toString('latin1', 0, 11)}\r`,
    ])
      assert.equal(faultOf(bytes), 'proxy-missing', JSON.stringify(bytes))
  })

  it('of version 1 is refused unless it is to the letter', () => {
    const good = 'PROXY TCP4 203.0.113.7 10.0.0.2 51234 443\r\n'
    assert.equal(faultOf(good), 'header')
    const line = (text: string) => `PROXY ${text}\r\n`
    for (const bytes of [
      ...[
        good.replace('\r\n', '\n'),
        good.replace('\r\n', '\r\r\n'),
        good.replace(' 443', ' 443 '),
      ],
      ...[
        good.replace('TCP4', 'TCP4 '),
        good.replace('TCP4', 'tcp4'),
        good.replace('TCP4', 'TCP6'),
      ],
      ...[good.replace('TCP4', 'UDP4'), good.replace('TCP4', 'TCP'), good.replace('TCP4', 'TCP5')],
      ...[
        good.replace('51234', '65536'),
        good.replace('51234', '051234'),
        good.replace('443', '-1'),
      ],
      ...[good.replace('443', '+443'), good.replace('443', '0x1bb'), good.replace('443', '4e2')],
      ...[
        good.replace('443', '99999999999999999999'),
        good.replace('443', ''),
        good.replace('443', '1 2'),
      ],
      ...[good.replace('203.0.113.7', '203.0.113.256'), good.replace('203.0.113.7', '203.0.113')],
      ...[good.replace('203.0.113.7', '203.0.113.07'), good.replace('203.0.113.7', '3405803783')],
      ...[good.replace('10.0.0.2', '::1'), good.replace('10.0.0.2', 'localhost')],
      ...[
        line('TCP6 ::1 10.0.0.2 1 2'),
        line('TCP6 1::2::3 ::1 1 2'),
        line('TCP6 fe80::1%eth0 ::1 1 2'),
      ],
      ...[line('TCP6 [::1] [::1] 1 2'), line(''), line('TCP4'), line('UNKNOWNS'), line('LOCAL')],
      ...[
        'PROXY \0',
        'PROXY TCP4 \x80',
        'PROXY TCP4 1.2.3.4\t',
        'PROXY TCP4\rT',
        `PROXY ${'x'.repeat(101)}`,
      ],
      `PROXY UNKNOWN ${'x'.repeat(92)}\r\n`,
    ])
      assert.equal(faultOf(bytes), 'proxy-malformed', JSON.stringify(bytes))
    const longest = `ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff`
    assert.equal(faultOf(line(`TCP6 ${longest} ${longest} 65535 65535`)), 'header')
    assert.equal(
      faultOf(`PROXY UNKNOWN ${longest} ${longest} 65535 65535\r\n`),
      'proxy-without-client',
    )
    assert.equal(faultOf(`PROXY ${'x'.repeat(99)}\r`), 'more')
  })

  it('of version 2 is refused for a version, a command, a family, a length or a TLV that is none', () => {
    const good = version2(CLIENT)
    const rest = good.subarray(16)
    const tlv = (...bytes: number[]) => raw(0x21, 0x11, Buffer.concat([rest, Buffer.from(bytes)]))
    for (const header of [
      ...[0x11, 0x01, 0x31, 0xf1, 0x22, 0x2f].map((command) => raw(command, 0x11, rest)),
      ...[0x41, 0x13, 0x1f, 0xf1, 0xff].map((family) => raw(0x21, family, rest)),
      ...[raw(0x21, 0x11, rest.subarray(1)), raw(0x21, 0x21, rest), raw(0x21, 0x11, NO_BYTES)],
      raw(0x21, 0x11, NO_BYTES, 4_081),
      raw(0x20, 0x00, NO_BYTES, 65_535),
      ...[tlv(4), tlv(4, 0), tlv(4, 0, 1), tlv(4, 0, 2, 0), tlv(4, 255, 255, 0)],
      ...[tlv(3, 0, 0), tlv(3, 0, 3, 1, 2, 3), tlv(3, 0, 4, 0, 0, 0, 0)],
      version2(CLIENT, { checksum: true, tlvs: [[0x03, Buffer.alloc(4)]] }),
    ])
      assert.equal(faultOf(header), 'proxy-malformed', header.toString('hex'))
    assert.equal(faultOf(tlv(4, 0, 0)), 'header', 'an empty TLV')
    const padding = Buffer.alloc(4_080 - rest.length - 3)
    const longest = version2(CLIENT, { tlvs: [[0x04, padding]] })
    assert.equal(longest.length, 4_096)
    assert.equal(faultOf(longest), 'header')
  })

  it('that names no client over TCP is refused: LOCAL, UNKNOWN, a Unix socket, UDP', () => {
    const rest = version2(CLIENT).subarray(16)
    for (const header of [
      Buffer.from('PROXY UNKNOWN\r\n'),
      Buffer.from('PROXY UNKNOWN 203.0.113.7 10.0.0.2 51234 443\r\n'),
      raw(0x20, 0x00, NO_BYTES),
      raw(0x20, 0x11, rest),
      raw(0x21, 0x00, NO_BYTES),
      raw(0x21, 0x31, Buffer.alloc(216)),
      raw(0x21, 0x32, Buffer.alloc(216)),
      ...[0x10, 0x12, 0x22, 0x01].map((family) => raw(0x21, family, rest)),
    ])
      assert.equal(faultOf(header), 'proxy-without-client', header.toString('hex'))
  })

  it('has the checksum of the specification', () => {
    // RFC 3720, appendix B.4
    assert.equal(crc32c(Buffer.alloc(32)), 0x8a9136aa)
    assert.equal(crc32c(Buffer.alloc(32, 0xff)), 0x62a8ab43)
    assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283)
  })
})

const ip = fc.oneof(fc.ipV4(), fc.ipV6())
const port = fc.integer({ min: 0, max: 65_535 })
const client = fc.record({ ip, port, proxyPort: port })
const tlvs = fc.array(
  fc.tuple(
    fc.integer({ min: 4, max: 255 }),
    fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
  ),
  { maxLength: 4 },
)

describe('a PROXY header, under random input,', () => {
  it('is read as it was written, whatever the client and whatever stands behind it', () => {
    fc.assert(
      fc.property(client, tlvs, fc.boolean(), fc.uint8Array(), (named, list, checksum, behind) => {
        const bare = parseIp(named.ip)
        assert.ok(bare !== null)
        const expected = { ...named, ip: formatIp(unmapped(bare)) }
        for (const header of [version1(named), version2(named, { tlvs: list, checksum })])
          assert.deepEqual(readHeader(Buffer.concat([header, behind])), {
            ...{ kind: 'header', length: header.length, client: expected },
          })
      }),
    )
  })

  // a bit of a type or of a length can make the checksum itself another TLV: that is the protocol's
  it('with a checksum is refused when any bit of an address, a port or the checksum is another', () => {
    fc.assert(
      fc.property(client, tlvs, fc.nat(), (named, list, at) => {
        const header = version2(named, { tlvs: list, checksum: true })
        const addresses = named.ip.includes(':') ? 36 : 12
        const place = (at >> 3) % (addresses + 4)
        const byte = place < addresses ? 16 + place : header.length - 4 + place - addresses
        header.writeUInt8(header.readUInt8(byte) ^ (1 << (at & 7)), byte)
        assert.notEqual(readHeader(header).kind, 'header')
      }),
      { numRuns: 1_000 },
    )
  })

  it('is judged the same in any pieces, and what is refused is never taken with more bytes', () => {
    const parts = fc.constantFrom(
      ...[
        'PROXY ',
        'TCP4 ',
        'TCP6 ',
        'UNKNOWN',
        '1.2.3.4 ',
        '::1 ',
        '443',
        ' ',
        '\r',
        '\n',
        '\r\n',
        '0',
      ],
      ...[
        SIGNATURE.toString('latin1'),
        '\x21',
        '\x20',
        '\x11',
        '\x31',
        '\0',
        '\x0c',
        '\xff',
        '\x03\0\x04',
      ],
    )
    const bent = fc
      .tuple(
        fc.oneof(
          client.map((named) => version1(named).toString('latin1')),
          client.map((named) => version2(named, { checksum: true }).toString('latin1')),
          fc.array(parts, { maxLength: 12 }).map((list) => list.join('')),
        ),
        fc.array(fc.tuple(fc.nat(200), fc.nat(3), fc.oneof(parts, fc.constant(''))), {
          maxLength: 3,
        }),
      )
      .map(([text, edits]) =>
        edits.reduce((result, [at, drop, insert]) => {
          const from = at % (result.length + 1)
          return result.slice(0, from) + insert + result.slice(from + drop)
        }, text),
      )
    fc.assert(
      fc.property(bent, (text) => {
        const bytes = Buffer.from(text, 'latin1')
        const last = readHeader(bytes)
        for (let length = 0; length < bytes.length; length += 1) {
          const reading = readHeader(bytes.subarray(0, length))
          if (reading.kind === 'more') continue
          // the first verdict stands
          assert.equal(reading.kind, last.kind)
          if (reading.kind === 'header') assert.deepEqual(reading, last)
        }
      }),
      { numRuns: 2_000 },
    )
  })
})
