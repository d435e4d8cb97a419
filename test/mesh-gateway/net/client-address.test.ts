import assert from 'node:assert/strict'
import { clientAddressOf, sourceOf } from '../../../mesh-gateway/src/net/client-address.ts'

describe('the address of a client', () => {
  it('is the IPv4 address, also when IPv6 carries it', () => {
    const of = (remoteAddress?: string) => clientAddressOf({ remoteAddress, remotePort: 40_000 })
    assert.deepEqual(of('192.0.2.7'), { ip: '192.0.2.7', port: 40_000 })
    assert.deepEqual(of('::ffff:192.0.2.7'), { ip: '192.0.2.7', port: 40_000 })
    assert.deepEqual(of('::FFFF:192.0.2.7'), { ip: '192.0.2.7', port: 40_000 })
    assert.deepEqual(of('2001:db8::1'), { ip: '2001:db8::1', port: 40_000 })
  })

  it('is nothing over a Unix socket', () => {
    assert.deepEqual(clientAddressOf({}), { ip: null, port: null })
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
    [null, ''],
  ] as const)
    it(`counts ${ip} as ${source === '' ? 'no source' : source}`, () => {
      assert.equal(sourceOf(ip), source)
    })
})
