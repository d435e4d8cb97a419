import assert from 'node:assert/strict'
import { clientAddressOf, sourceOf } from '../../../mesh-gateway/src/net/client-address.ts'

describe('the address of a client', () => {
  it('is the IPv4 address, also when IPv6 carries it', () => {
    const of = (remoteAddress?: string) => clientAddressOf({ remoteAddress, remotePort: 40_000 })
    assert.deepEqual(of('192.0.2.7'), { ip: '192.0.2.7', port: 40_000 })
    assert.deepEqual(of('::ffff:192.0.2.7'), { ip: '192.0.2.7', port: 40_000 })
    assert.deepEqual(of('::FFFF:192.0.2.7'), { ip: '192.0.2.7', port: 40_000 })
    assert.deepEqual(of('1::ffff:192.0.2.7').ip, '1::ffff:192.0.2.7')
    assert.deepEqual(of('2001:db8::1'), { ip: '2001:db8::1', port: 40_000 })
  })

  it('is nothing over a Unix socket', () => {
    assert.deepEqual(clientAddressOf({}), { ip: null, port: null })
    assert.deepEqual(clientAddressOf({ remoteAddress: '192.0.2.7' }), {
      ip: '192.0.2.7',
      port: null,
    })
  })

  for (const [ip, source] of [
    ['192.0.2.7', '192.0.2.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::', '2001:db8:1:2::/64'],
    ['2001:db8::6', '2001:db8:0:0::/64'],
    ['2001:db8::3:4:5:6', '2001:db8:0:0::/64'],
    ['2001:db8::2:3:4:5:6', '2001:db8:0:2::/64'],
    ['2001:0db8:0001:0002::6', '2001:db8:1:2::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['64:ff9b::192.0.2.1', '64:ff9b:0:0::/64'],
    ['64:ff9b:1:2:3:4:192.0.2.1', '64:ff9b:1:2::/64'],
    ['::', '0:0:0:0::/64'],
    ['1::', '1:0:0:0::/64'],
    ['1:2:3::', '1:2:3:0::/64'],
    ['1::4:5:6:7:8', '1:0:0:4::/64'],
    ['1:2::4:5:6:7:8', '1:2:0:4::/64'],
    ['1::3:4:5:6:192.0.2.1', '1:0:3:4::/64'],
    ['1::4:5:6:192.0.2.1', '1:0:0:4::/64'],
    ['1:2:3:4:5:6:7::', '1:2:3:4::/64'],
    ['1:2:3:4:5:6:7:8', '1:2:3:4::/64'],
    ['none', 'none'],
    [null, ''],
  ] as const)
    it(`counts ${ip} as ${source === '' ? 'no source' : source}`, () => {
      assert.equal(sourceOf(ip), source)
    })
})
