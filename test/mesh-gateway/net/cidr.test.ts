/** Address ranges: one canonical form, or a sentence that says what to write. */
import assert from 'node:assert/strict'
import { cidr, contains, parseCidr } from '../../../mesh-gateway/src/net/cidr.ts'
import { parseIp } from '../../../mesh-gateway/src/net/ip.ts'

const canonical = (text: string) => {
  const range = parseCidr(text)
  return typeof range === 'string' ? range : range.text
}

describe('an address range', () => {
  const table: [text: string, canonical: string][] = [
    ['10.0.0.0/8', '10.0.0.0/8'],
    ['192.0.2.1/32', '192.0.2.1/32'],
    ['0.0.0.0/0', '0.0.0.0/0'],
    ['FD00:0:0::/32', 'fd00::/32'],
    ['2001:DB8::1/128', '2001:db8::1/128'],
    ['::/0', '::/0'],
    // IPv4-mapped, in every spelling: the IPv4 range
    ['::ffff:9.9.0.0/112', '9.9.0.0/16'],
    ['::ffff:909:0/112', '9.9.0.0/16'],
    ['0:0:0:0:0:FFFF:0909:0000/112', '9.9.0.0/16'],
    ['::ffff:9.9.9.9/128', '9.9.9.9/32'],
    ['::ffff:0.0.0.0/97', '0.0.0.0/1'],
    // forms that a translator or tunnel unpacks: what they are, IPv6
    ['64:ff9b::9.9.0.0/112', '64:ff9b::909:0/112'],
    ['64:ff9b::/96', '64:ff9b::/96'],
    ['64:ff9b:1::/48', '64:ff9b:1::/48'],
    ['2002:909::/32', '2002:909::/32'],
    ['2001::/32', '2001::/32'],
    ['::ffff:0:9.9.0.0/112', '::ffff:0:909:0/112'],
    ['::9.9.0.0/112', '::909:0/112'],
    ['::/96', '::/96'],
    ['::1/128', '::1/128'],
  ]
  for (const [text, expected] of table)
    it(`${text} is ${expected}`, () => assert.equal(canonical(text), expected))

  const refused: [text: string, why: RegExp][] = [
    ['', /does not begin with an IP address/],
    ['api.test/8', /does not begin with an IP address/],
    ['127.1/32', /does not begin with an IP address/],
    ['010.0.0.0/8', /does not begin with an IP address/],
    ['0x0a.0.0.0/8', /does not begin with an IP address/],
    ['[fd00::]/8', /does not begin with an IP address/],
    ['fe80::%eth0/10', /does not begin with an IP address/],
    ['10.0.0.1', /for one address write 10\.0\.0\.1\/32/],
    ['::ffff:10.0.0.1', /for one address write ::ffff:10\.0\.0\.1\/128/],
    ['10.0.0.0/33', /between 0 and 32/],
    ['10.0.0.0/08', /between 0 and 32/],
    ['10.0.0.0/', /between 0 and 32/],
    ['10.0.0.0/8/8', /between 0 and 32/],
    ['fd00::/129', /between 0 and 128/],
    ['10.0.0.1/8', /write 10\.0\.0\.0\/8/],
    ['fd00::1/8', /write fd00::\/8/],
    ['::ffff:9.9.0.1/112', /write 9\.9\.0\.0\/16/],
    // all of IPv4 by another name, or IPv4 and IPv6 at once
    ['::ffff:0:0/96', /for all of IPv4 write 0\.0\.0\.0\/0/],
    ['::fffe:0:0/95', /holds every IPv4 address in its mapped form/],
    ['::/80', /holds every IPv4 address in its mapped form/],
    ['::/8', /holds every IPv4 address in its mapped form/],
    ['::/1', /holds every IPv4 address in its mapped form/],
  ]
  for (const [text, why] of refused)
    it(`is none of ${JSON.stringify(text)}`, () => assert.match(canonical(text), why))

  it('holds its first and its last address, and none beside them', () => {
    const rows: [text: string, inside: string[], outside: string[]][] = [
      ['10.4.0.0/14', ['10.4.0.0', '10.7.255.255'], ['10.3.255.255', '10.8.0.0']],
      ['9.9.9.9/32', ['9.9.9.9', '::ffff:9.9.9.9'], ['9.9.9.8', '9.9.9.10', '64:ff9b::909:909']],
      ['fd00::/9', ['fd00::', 'fd7f:ffff::ffff'], ['fcff::', 'fd80::']],
      ['::/0', ['::', 'ffff::'], ['0.0.0.0', '::ffff:9.9.9.9']],
      ['0.0.0.0/0', ['0.0.0.0', '255.255.255.255', '::ffff:9.9.9.9'], ['::']],
    ]
    for (const [text, inside, outside] of rows) {
      const range = parseCidr(text)
      assert.ok(typeof range !== 'string')
      for (const [list, expected] of [[inside, true] as const, [outside, false] as const])
        for (const ip of list) {
          const address = parseIp(ip)
          assert.ok(address)
          assert.equal(contains(range, address), expected, `${ip} in ${text}`)
        }
    }
  })
  it('that the program names is one, or the program does not start', () => {
    assert.equal(cidr('10.0.0.0/8').text, '10.0.0.0/8')
    assert.throws(() => cidr('10.0.0.1/8'), {
      name: 'TypeError',
      message: '"10.0.0.1/8" has bits beyond its prefix; write 10.0.0.0/8',
    })
  })
})
