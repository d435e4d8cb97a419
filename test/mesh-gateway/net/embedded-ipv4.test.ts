/** Which IPv4 addresses an IPv6 address carries inside, and which it does not. */
import assert from 'node:assert/strict'
import { embeddedIpv4, isIsatap } from '../../../mesh-gateway/src/net/embedded-ipv4.ts'
import { formatIp, parseIp } from '../../../mesh-gateway/src/net/ip.ts'

const bytesOf = (text: string) => parseIp(text) ?? new Uint8Array()

describe('an IPv6 address', () => {
  for (const [text, ...expected] of [
    ['10.0.0.1'],
    ['::'],
    ['::1'],
    ['::2', '0.0.0.2'],
    ['::1.2.3.4', '1.2.3.4'],
    ['::ffff:0:1.2.3.4', '1.2.3.4'],
    ['64:ff9b::1.2.3.4', '1.2.3.4'],
    // the bytes after the prefix, in each place where they may begin; byte 8 is passed over
    ['64:ff9b:1:102:3:405:607:809', '1.2.3.4', '2.3.4.5', '3.4.5.6', '6.7.8.9'],
    ['2002:102:304::', '1.2.3.4'],
    ['2001:0:102:304::fefd:fcfb', '1.2.3.4', '1.2.3.4'],
    ['2001:0:506:708::fefd:fcfb', '5.6.7.8', '1.2.3.4'],
    ['2001:db8::1.2.3.4'],
    ['100::'],
    ['100::1'],
    ['2001:db8::5efe:102:304', '1.2.3.4'],
    ['2001:db8::200:5efe:102:304', '1.2.3.4'],
    ['2001:db8::100:5efe:102:304'],
    ['2001:db8::300:5efe:102:304'],
    ['2001:db8::1:5efe:102:304'],
    ['2001:db8::201:5efe:102:304'],
    ['2001:db8::5eff:102:304'],
    ['2001:db8::5ffe:102:304'],
    ['2001:db8::200:5ffe:102:304'],
  ] as const)
    it(`${text} carries ${expected.join(' and ') || 'none'}`, () => {
      assert.deepEqual(embeddedIpv4(bytesOf(text)).map(formatIp), expected)
    })

  it('is of ISATAP by its last eight bytes, and IPv4 never is', () => {
    for (const [text, expected] of [
      ['2001:db8::5efe:102:304', true],
      ['2001:db8::200:5efe:102:304', true],
      ['2001:db8::102:304', false],
      ['10.0.94.254', false],
    ] as const)
      assert.equal(isIsatap(bytesOf(text)), expected)
    assert.equal(isIsatap(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x5e, 0xfe)), false)
  })
})
