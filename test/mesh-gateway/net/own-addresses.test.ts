/** Which addresses and ports lead back to the gateway. */
import assert from 'node:assert/strict'
import { networkInterfaces } from 'node:os'
import { formatIp, parseIp } from '../../../mesh-gateway/src/net/ip.ts'
import { isOwnAddress } from '../../../mesh-gateway/src/net/own-addresses.ts'

const own = (address: string, port: number, ...hosts: string[]) =>
  isOwnAddress(
    parseIp(address) ?? new Uint8Array(),
    port,
    hosts.map((host) => ({ host, port: 7000 })),
  )
/** Of this machine, beside its loopback, where it has any. */
const local = Object.values(networkInterfaces())
  .flatMap((entries) => entries ?? [])
  .flatMap(({ address }) => {
    const bytes = parseIp(address)
    return bytes === null ? [] : [formatIp(bytes)]
  })

describe('a listener of the gateway', () => {
  for (const [address, listener, expected] of [
    // this machine, whatever the listener's own address
    ['127.0.0.1', '192.0.2.1', true],
    ['127.255.0.9', '192.0.2.1', true],
    ['0.0.0.0', '192.0.2.1', true],
    ['0.1.2.3', '192.0.2.1', true],
    ['::', '192.0.2.1', true],
    ['::1', '192.0.2.1', true],
    ['::2', '192.0.2.1', false],
    ['::3', '192.0.2.1', false],
    ['100::1', '192.0.2.1', false],
    ['1::', '192.0.2.1', false],
    ['2001:db8::1', '192.0.2.1', false],
    ['7f00::1', '192.0.2.1', false],
    ['128.0.0.1', '192.0.2.1', false],
    ['1.0.0.0', '192.0.2.1', false],
    ['192.0.2.1', '192.0.2.1', true],
    ['192.0.2.2', '192.0.2.1', false],
    ['192.0.2.1', '::ffff:192.0.2.1', true],
    ['2001:db8::1', '2001:DB8:0::1', true],
    // every address of this machine, and no other
    ['192.0.2.1', '0.0.0.0', false],
    ['192.0.2.1', '::', false],
    ['192.0.2.1', 'localhost', false],
    ['192.0.2.1', '192.0.2.0', false],
    ['1.1.1.1', '1.1.1.1', true],
  ] as const)
    it(`at ${listener} is ${expected ? '' : 'not '}reached by ${address}`, () => {
      assert.equal(own(address, 7000, listener), expected)
      assert.equal(own(address, 7001, listener), false, 'another port')
    })

  it('is reached by every address of this machine when it listens at all, or at a name', () => {
    assert.ok(local.length > 0)
    for (const address of local)
      for (const listener of ['0.0.0.0', '::', 'gateway.internal'])
        assert.equal(own(address, 7000, listener), true, `${address} ${listener}`)
  })

  it('is reached when any of several is', () => {
    assert.equal(own('192.0.2.2', 7000, '192.0.2.1', '192.0.2.2'), true)
    assert.equal(own('192.0.2.3', 7000, '192.0.2.1', '192.0.2.2'), false)
    assert.equal(own('192.0.2.1', 7000), false)
  })
})
