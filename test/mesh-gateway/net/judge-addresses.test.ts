/** Which addresses may be dialled. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { compileAddressRules } from '../../../mesh-gateway/src/net/address-rules.ts'
import { formatIp } from '../../../mesh-gateway/src/net/ip.ts'
import { judgeAddresses } from '../../../mesh-gateway/src/net/judge-addresses.ts'

const NONE = { allowCidrs: [], denyCidrs: [] }

function judge(
  ips: readonly string[],
  rules: { allowCidrs: string[]; denyCidrs: string[] } = NONE,
  own: readonly { host: string; port: number }[] = [],
  port = 443,
): readonly string[] | null {
  const verdict = judgeAddresses(ips, port, compileAddressRules(rules), own)
  return 'ips' in verdict ? verdict.ips : null
}

const allow = (...allowCidrs: string[]) => ({ allowCidrs, denyCidrs: [] })

describe('the address rules', () => {
  for (const ip of ['93.184.215.14', '8.8.8.8', '1.1.1.1', '2606:4700::1111', '64:ff9b::808:808'])
    it(`let ${ip} through`, () => assert.deepEqual(judge([ip]), [ip]))

  for (const ip of [
    '0.0.0.0',
    '0.1.2.3',
    '10.0.0.1',
    '100.64.0.1',
    '127.0.0.1',
    '127.255.255.254',
    '169.254.169.254',
    '172.16.0.1',
    '172.31.255.255',
    '192.0.0.8',
    '192.0.2.1',
    '192.88.99.1',
    '192.168.1.1',
    '198.18.0.1',
    '198.51.100.1',
    '203.0.113.1',
    '224.0.0.1',
    '239.255.255.255',
    '240.0.0.1',
    '255.255.255.255',
    '168.63.129.16',
    '100.100.100.200',
    '::',
    '::1',
    '::127.0.0.1',
    '::8.8.8.8',
    '::ffff:127.0.0.1',
    '::ffff:10.0.0.1',
    '::ffff:a9fe:a9fe',
    '::ffff:0:10.0.0.1',
    '::ffff:0:8.8.8.8',
    '64:ff9b::10.0.0.1',
    '64:ff9b::169.254.169.254',
    '64:ff9b:1::a00:1',
    '64:ff9b:1::808:808',
    '100::1',
    '2001::1',
    '2001:0:4136:e378:8000:63bf:3fff:fdd2',
    '2001:20::1',
    '2001:db8::1',
    '2002:7f00:1::',
    '2002:808:808::1',
    '2606:4700::5efe:10.0.0.1',
    '2606:4700::200:5efe:a00:1',
    '3fff::1',
    '4000::1',
    '5f00::1',
    'fc00::1',
    'fd00:ec2::254',
    'fe80::1',
    'fec0::1',
    'ff02::1',
    'not-an-address',
    '127.1',
    'fe80::1%eth0',
    '',
  ])
    it(`refuse ${ip || 'what is empty'}`, () => assert.equal(judge([ip]), null))

  it('refuse an answer that mixes allowed and refused addresses, whole and in any order', () => {
    assert.equal(judge(['8.8.8.8', '10.0.0.1']), null)
    assert.equal(judge(['10.0.0.1', '8.8.8.8']), null)
    assert.equal(judge([]), null)
  })

  it('let through what allowCidrs names, and nothing beside it', () => {
    assert.deepEqual(judge(['10.20.1.2'], allow('10.20.0.0/16')), ['10.20.1.2'])
    assert.equal(judge(['10.21.1.2'], allow('10.20.0.0/16')), null)
    assert.deepEqual(judge(['::1'], allow('::1/128')), ['::1'])
    assert.deepEqual(judge(['::ffff:127.0.0.1'], allow('127.0.0.0/8')), ['127.0.0.1'])
    assert.deepEqual(judge(['fd12::1'], allow('fc00::/7')), ['fd12::1'])
  })

  it('judge what an IPv6 address embeds even when its own range is allowed', () => {
    assert.equal(judge(['2002:a00:1::1'], allow('2002::/16')), null)
    assert.deepEqual(judge(['2002:808:808::1'], allow('2002::/16')), ['2002:808:808::1'])
    assert.equal(judge(['64:ff9b::a00:1'], allow('64:ff9b::/96')), null)
    assert.deepEqual(judge(['64:ff9b::a00:1'], allow('10.0.0.0/8')), ['64:ff9b::a00:1'])
  })

  it('keep metadata services shut when private ranges are allowed', () => {
    for (const ip of [
      '169.254.169.254',
      '::ffff:169.254.169.254',
      '64:ff9b::a9fe:a9fe',
      '168.63.129.16',
    ])
      assert.equal(judge([ip], allow('0.0.0.0/0', '64:ff9b::/96')), null, ip)
    assert.equal(judge(['fd00:ec2::254'], allow('fc00::/7')), null)
    assert.deepEqual(judge(['169.254.169.254'], allow('169.254.169.254/32')), ['169.254.169.254'])
  })

  it('let denyCidrs win over allowCidrs, and over what is public', () => {
    const rules = { allowCidrs: ['10.0.0.0/8'], denyCidrs: ['10.1.0.0/16', '8.8.8.0/24'] }
    assert.equal(judge(['10.1.2.3'], rules), null)
    assert.deepEqual(judge(['10.2.2.3'], rules), ['10.2.2.3'])
    assert.equal(judge(['8.8.8.8'], rules), null)
    assert.equal(judge(['64:ff9b::808:808'], rules), null)
  })

  it('never lead back to the gateway itself, whatever is allowed', () => {
    const everything = allow('0.0.0.0/0', '::/0')
    const own = [{ host: '127.0.0.1', port: 8080 }]
    for (const ip of ['127.0.0.1', '127.9.9.9', '0.0.0.0', '::1', '::', '::ffff:127.0.0.1'])
      assert.equal(judge([ip], everything, own, 8080), null, ip)
    assert.deepEqual(judge(['127.0.0.1'], everything, own, 8081), ['127.0.0.1'])
    assert.equal(judge(['10.9.9.9'], everything, [{ host: '10.9.9.9', port: 8080 }], 8080), null)
    assert.equal(judge(['::127.0.0.1'], everything, own, 8080), null)
  })

  it('refuse every form that embeds a private IPv4 address', () => {
    const privateV4 = fc
      .tuple(fc.constantFrom(10, 127, 0, 224, 240), fc.nat(255), fc.nat(255), fc.nat(255))
      .map((bytes) => Uint8Array.from(bytes))
    const forms: ((v4: Uint8Array) => Uint8Array)[] = [
      (v4) => Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, ...v4),
      (v4) => Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ...v4),
      (v4) => Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 0, 0, ...v4),
      (v4) => Uint8Array.of(0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, ...v4),
      (v4) => Uint8Array.of(0, 0x64, 0xff, 0x9b, 0, 1, 0, 0, 0, 0, 0, 0, ...v4),
      (v4) => Uint8Array.of(0x20, 2, ...v4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1),
      (v4) => Uint8Array.of(0x20, 1, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, ...v4.map((b) => b ^ 255)),
      (v4) => Uint8Array.of(0x26, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0x5e, 0xfe, ...v4),
    ]
    fc.assert(
      fc.property(privateV4, fc.constantFrom(...forms), (v4, form) => {
        assert.equal(judge([formatIp(form(v4))]), null)
      }),
      { numRuns: 1000 },
    )
  })
})
