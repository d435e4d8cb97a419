/** Every spelling of an address, one form of each, and what is none. */
import assert from 'node:assert/strict'
import {
  formatIp,
  looksLikeIpv4,
  parseIp,
  parseIpv4,
  parseIpv6,
  parseLooseIpv4,
  unmapped,
} from '../../../mesh-gateway/src/net/ip.ts'

const text = (bytes: Uint8Array | null) => (bytes === null ? null : formatIp(bytes))

describe('an IP address', () => {
  for (const [spelling, expected] of [
    ['1.2.3.4', '1.2.3.4'],
    ['0', '0.0.0.0'],
    ['00', '0.0.0.0'],
    ['1', '0.0.0.1'],
    ['0x', '0.0.0.0'],
    ['0x1', '0.0.0.1'],
    ['0xff.1', '255.0.0.1'],
    ['010.1', '8.0.0.1'],
    ['1.2.772', '1.2.3.4'],
    ['1.131844', '1.2.3.4'],
    ['16909060', '1.2.3.4'],
    ['4294967295', '255.255.255.255'],
    ['255.16777215', '255.255.255.255'],
    ['255.255.65535', '255.255.255.255'],
    ['0000000000000001', '0.0.0.1'],
    ['00000000000000001', null],
    ['4294967296', null],
    ['255.16777216', null],
    ['255.255.65536', null],
    ['255.255.255.256', null],
    ['256.1', null],
    ['1.256.1', null],
    ['1.2.3.4.5', null],
    ['0.0.0.0.0', null],
    ['', null],
    ['1.', null],
    ['.1', null],
    ['1..2', null],
    ['08', null],
    ['1a', null],
    ['a1', null],
    ['a0x1', null],
    ['a01', null],
    ['0xg', null],
  ] as const)
    it(`of any spelling: ${spelling} is ${expected ?? 'none'}`, () =>
      assert.equal(text(parseLooseIpv4(spelling)), expected))

  for (const [name, looks] of [
    ['1', true],
    ['a.1', true],
    ['a.0x', true],
    ['a.0xff', true],
    ['1.a', false],
    ['a1', false],
    ['1a', false],
    ['a.1a', false],
    ['a.a1', false],
    ['a.a0x1', false],
    ['a.0xg', false],
  ] as const)
    it(`${looks ? 'may' : 'cannot'} be meant by ${name}`, () =>
      assert.equal(looksLikeIpv4(name), looks))

  for (const spelling of [
    '1.2.3',
    '1.2.3.4.5',
    '1.2.3.256',
    '256.2.3.4',
    '01.2.3.4',
    '1.2.3.',
    '1.2.3.a',
    '1.2.3.4a',
    'a1.2.3.4',
    '',
  ])
    it(`in dotted decimal is none of ${JSON.stringify(spelling)}`, () =>
      assert.equal(parseIpv4(spelling), null))

  for (const [spelling, expected] of [
    ['::', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['::2:3:4:5:6:7:8', '0:2:3:4:5:6:7:8'],
    ['1:0:0:4:5:0:0:8', '1::4:5:0:0:8'],
    ['1:0:0:4:0:0:0:8', '1:0:0:4::8'],
    ['1:0:3:4:5:6:7:8', '1:0:3:4:5:6:7:8'],
    ['1:2:3:4:5:6:0:0', '1:2:3:4:5:6::'],
    ['0:0:3:4:5:6:7:8', '::3:4:5:6:7:8'],
    ['ABCD:00ef::', 'abcd:ef::'],
    ['::1.2.3.4', '::102:304'],
    ['1:2:3:4:5:6:255.254.253.252', '1:2:3:4:5:6:fffe:fdfc'],
    ['::ffff:1.2.3.4', '::ffff:102:304'],
    ['0000:0000:0000:0000:0000:ffff:255.255.255.255', '::ffff:ffff:ffff'],
  ] as const)
    it(`of version 6: ${spelling} is ${expected}`, () =>
      assert.equal(text(parseIpv6(spelling)), expected))

  for (const spelling of [
    ...['', ':', ':::', '1', '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', '1:2:3:4:5:6:7:8::', '::1::'],
    ...[
      '1::2::3',
      '12345::',
      'g::',
      '::1.2.3',
      '::1.2.3.256',
      '::01.2.3.4',
      '1.2.3.4',
      '1.2.3.4::',
    ],
    ...[
      '1:2:3:4:5:6:7:1.2.3.4',
      '::1%eth0',
      '[::1]',
      '0000:0000:0000:0000:0000:ffff:0255.255.255.255',
    ],
    ...['1:2:3:4:5:6:7:', ':2:3:4:5:6:7:8', '1:2:3::5:6:7:8:9'],
  ])
    it(`of version 6 is none of ${JSON.stringify(spelling)}`, () =>
      assert.equal(parseIpv6(spelling), null))

  it('that carries IPv4 as ::ffff:0:0/96 has it is that IPv4 address, and no other is', () => {
    for (const [spelling, expected] of [
      ['::ffff:1.2.3.4', '1.2.3.4'],
      ['1.2.3.4', '1.2.3.4'],
      ['::fffe:102:304', '::fffe:102:304'],
      ['::feff:102:304', '::feff:102:304'],
      ['::ff00:102:304', '::ff00:102:304'],
      ['::ff:102:304', '::ff:102:304'],
      ['100::ffff:102:304', '100::ffff:102:304'],
      ['1::ffff:102:304', '1::ffff:102:304'],
      ['::1:ffff:102:304', '::1:ffff:102:304'],
      ['::100:ffff:102:304', '::100:ffff:102:304'],
      ['::1:0:0:0:ffff:102:304', '0:1::ffff:102:304'],
      ['none', null],
      ['1.2.3', null],
    ] as const)
      assert.equal(text(parseIp(spelling)), expected)
    for (const length of [0, 4, 15, 17]) {
      const bytes = new Uint8Array(length)
      assert.equal(unmapped(bytes), bytes)
    }
  })
})
