import assert from 'node:assert/strict'
import { formatIp, ipBytes, ipInRange, parseIpRange } from '../../../pki/src/x509/ip-range.ts'

describe('IP addresses and ranges', () => {
  it('reads both families in every form that Node calls an address', () => {
    for (const [text, hex] of [
      ['127.0.0.1', '7f000001'],
      ['::1', '00000000000000000000000000000001'],
      ['::', '00000000000000000000000000000000'],
      ['2001:db8::ff00:42:8329', '20010db8000000000000ff0000428329'],
      ['::ffff:10.0.0.1', '00000000000000000000ffff0a000001'],
      ['1:2:3:4:5:6:7:8', '00010002000300040005000600070008'],
    ] as const)
      assert.equal(ipBytes(text)?.toString('hex'), hex, text)
    for (const text of ['', '1', '127.1', '0x7f.0.0.1', 'fe80::1%eth0', 'localhost', '[::1]'])
      assert.equal(ipBytes(text), null, text)
  })

  it('reads ranges, and refuses bits outside the prefix', () => {
    assert.equal(parseIpRange('10.0.0.0/8')?.toString('hex'), '0a000000ff000000')
    assert.equal(parseIpRange('10.16.0.0/12')?.toString('hex'), '0a100000fff00000')
    assert.equal(parseIpRange('0.0.0.0/0')?.toString('hex'), '0000000000000000')
    assert.equal(parseIpRange('127.0.0.1/32')?.toString('hex'), '7f000001ffffffff')
    assert.equal(parseIpRange('::1/128')?.length, 32)
    for (const text of ['10.0.0.1/8', '10.0.0.0', '10.0.0.0/33', '::/129', '10.0.0.0/-1', 'x/8'])
      assert.equal(parseIpRange(text), null, text)
  })

  it('tells what is within', () => {
    const within = (ip: string, range: string) =>
      ipInRange(ipBytes(ip) ?? Buffer.alloc(0), parseIpRange(range) ?? Buffer.alloc(0))
    assert.equal(within('10.255.0.1', '10.0.0.0/8'), true)
    assert.equal(within('11.0.0.1', '10.0.0.0/8'), false)
    assert.equal(within('::1', '::/0'), true)
    assert.equal(within('127.0.0.1', '::/0'), false)
  })

  it('writes them', () => {
    assert.equal(formatIp(Buffer.from([10, 0, 0, 1])), '10.0.0.1')
    assert.equal(formatIp(Buffer.alloc(16)), '0000:0000:0000:0000:0000:0000:0000:0000')
  })
})
