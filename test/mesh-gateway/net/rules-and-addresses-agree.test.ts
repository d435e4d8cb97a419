/**
 * A range of policy and the address that is judged by it agree, however either is written: `::ffff:9.9.0.0/112` and 9.9.0.8,
 * 9.9.0.0/16 and [::ffff:909:8]. A range that cannot be read in one way is refused when the file is loaded.
 */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { compileAddressRules } from '../../../mesh-gateway/src/net/address-rules.ts'
import { parseCidr } from '../../../mesh-gateway/src/net/cidr.ts'
import { canonicalHost } from '../../../mesh-gateway/src/net/host.ts'
import { formatIp } from '../../../mesh-gateway/src/net/ip.ts'
import { judgeAddresses } from '../../../mesh-gateway/src/net/judge-addresses.ts'
import { decideEgress } from '../../../mesh-gateway/src/policy/decide/decide-egress.ts'
import { sendRaw } from '../egress/fixture.ts'
import { basic, connectTo, setUp } from '../egress/setup.ts'
import { faultsOf, policyOf } from '../policy/policies.ts'

const ipv4 = fc.uint8Array({ minLength: 4, maxLength: 4 })
const dotted = (bytes: Uint8Array) => bytes.join('.')
const group = (high = 0, low = 0) => (high * 256 + low).toString(16)
const groups = ([a, b, c, d]: Uint8Array) => `${group(a, b)}:${group(c, d)}`

/** Spellings of an IPv4-mapped address. */
const mapped: ((bytes: Uint8Array) => string)[] = [
  (bytes) => `::ffff:${dotted(bytes)}`,
  (bytes) => `::FFFF:${groups(bytes).toUpperCase()}`,
  (bytes) => `0:0:0:0:0:ffff:${dotted(bytes)}`,
  (bytes) => `0000:0000:0000:0000:0000:ffff:${groups(bytes)}`,
]
const spelledInRule: ((bytes: Uint8Array, prefix: number) => string)[] = [
  (bytes, prefix) => `${dotted(bytes)}/${prefix}`,
  ...mapped.map((spell) => (bytes: Uint8Array, prefix: number) => `${spell(bytes)}/${prefix + 96}`),
]
/** As a resolver gives it, or a request names it. */
const spelledInRequest: ((bytes: Uint8Array) => string)[] = [
  dotted,
  ([a = 0, b = 0, c = 0, d = 0]) => String(((a * 256 + b) * 256 + c) * 256 + d),
  ([a = 0, b = 0, c = 0, d = 0]) => `0x${a.toString(16)}.0${b.toString(8)}.${c * 256 + d}.`,
  ...mapped.map((spell) => (bytes: Uint8Array) => `[${spell(bytes)}]`),
]

function network(bytes: Uint8Array, prefix: number): Uint8Array {
  return bytes.map((byte, index) => {
    const bits = Math.min(8, Math.max(0, prefix - index * 8))
    return byte & ~(0xff >> bits)
  })
}

const denies = (range: string, ip: string) => {
  const rules = compileAddressRules({ allowCidrs: ['0.0.0.0/0'], denyCidrs: [range] })
  const verdict = judgeAddresses([ip], 443, rules, [])
  return 'rule' in verdict && verdict.rule.startsWith('denyCidrs')
}
const allows = (range: string, ip: string) =>
  'ips' in
  judgeAddresses([ip], 443, compileAddressRules({ allowCidrs: [range], denyCidrs: [] }), [])

describe('a range of policy', () => {
  it('denies an IPv4 address in every spelling of either, and no address beside it', () => {
    fc.assert(
      fc.property(
        ...([ipv4, ipv4, fc.integer({ min: 1, max: 32 }), fc.boolean()] as const),
        ...([fc.constantFrom(...spelledInRule), fc.constantFrom(...spelledInRequest)] as const),
        (base, other, prefix, inside, spellRule, spellAddress) => {
          const first = network(base, prefix)
          // inside the range, or anywhere
          const address = inside
            ? other.map(
                (byte, i) =>
                  (first[i] ?? 0) |
                  (byte & ~(network(Uint8Array.of(255, 255, 255, 255), prefix)[i] ?? 0)),
              )
            : other
          const holds = network(address, prefix).every((byte, i) => byte === first[i])
          const host = canonicalHost(spellAddress(address))
          assert.ok(typeof host !== 'string')
          assert.equal(denies(spellRule(first, prefix), host.name), holds)
        },
      ),
      { numRuns: 1000 },
    )
  })

  it('opens a private IPv4 address in every spelling of either', () => {
    fc.assert(
      fc.property(
        ipv4,
        fc.constantFrom(...spelledInRule),
        fc.constantFrom(...spelledInRequest),
        (bytes, spellRule, spellAddress) => {
          const host = canonicalHost(spellAddress(Uint8Array.of(10, ...bytes.subarray(1))))
          assert.ok(typeof host !== 'string')
          assert.equal(allows(spellRule(Uint8Array.of(10, 0, 0, 0), 8), host.name), true)
          assert.equal(allows(spellRule(Uint8Array.of(11, 0, 0, 0), 8), host.name), false)
        },
      ),
    )
  })

  it('of IPv4 denies the address inside every IPv6 form that is unpacked on the way', () => {
    const forms: ((v4: Uint8Array) => Uint8Array)[] = [
      (v4) => Uint8Array.of(...Array<number>(12).fill(0), ...v4),
      (v4) => Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 0, 0, ...v4),
      (v4) => Uint8Array.of(0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, ...v4),
      (v4) => Uint8Array.of(0, 0x64, 0xff, 0x9b, 0, 1, 0, 0, 0, 0, 0, 0, ...v4),
      ([a = 0, b = 0, c = 0, d = 0]) =>
        Uint8Array.of(0, 0x64, 0xff, 0x9b, 0, 1, a, b, 0, c, d, 0, 0, 0, 0, 0),
      ([a = 0, b = 0, c = 0, d = 0]) =>
        Uint8Array.of(0, 0x64, 0xff, 0x9b, 0, 1, 1, a, 0, b, c, d, 0, 0, 0, 0),
      (v4) => Uint8Array.of(0, 0x64, 0xff, 0x9b, 0, 1, 1, 1, 0, ...v4, 0, 0, 0),
      (v4) => Uint8Array.of(0x20, 2, ...v4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1),
      (v4) => Uint8Array.of(0x20, 1, 0, 0, ...v4, 0, 0, 0, 0, 1, 1, 1, 1),
      (v4) => Uint8Array.of(0x20, 1, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, ...v4.map((b) => b ^ 255)),
      (v4) => Uint8Array.of(0x26, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0x5e, 0xfe, ...v4),
    ]
    fc.assert(
      fc.property(
        ipv4,
        fc.constantFrom(...forms),
        fc.constantFrom(...spelledInRule),
        (v4, form, spell) => {
          const rules = {
            allowCidrs: ['::/0', '0.0.0.0/0'],
            denyCidrs: [spell(network(v4, 24), 24)],
          }
          // :: and ::1 are no IPv4-compatible addresses
          if (network(v4, 31).every((byte) => byte === 0)) return
          const verdict = judgeAddresses([formatIp(form(v4))], 443, compileAddressRules(rules), [])
          assert.ok('rule' in verdict && verdict.rule.startsWith('denyCidrs'), formatIp(form(v4)))
        },
      ),
      { numRuns: 700 },
    )
  })

  it('of such a form is about that form: it does not close the IPv4 address, and does not open it', () => {
    const rows: [range: string, ip: string][] = [
      ['64:ff9b::9.9.0.0/112', '64:ff9b::909:8'],
      ['64:ff9b::/96', '64:ff9b::909:8'],
      ['2002:909::/32', '2002:909:8::1'],
      ['2001::/32', '2001:0:909:8::1'],
      ['::ffff:0:9.9.0.0/112', '::ffff:0:909:8'],
      ['::9.9.0.0/112', '::909:8'],
    ]
    for (const [range, ip] of rows) {
      assert.equal(denies(range, ip), true, range)
      assert.equal(denies(range, '9.9.0.8'), false, range)
    }
    // what is private inside must be opened by itself
    assert.equal(allows('64:ff9b::/96', '64:ff9b::a00:1'), false)
    assert.equal(allows('64:ff9b::10.0.0.0/104', '10.0.0.1'), false)
    assert.equal(allows('::ffff:0:10.0.0.0/104', '10.0.0.1'), false)
  })

  it('that is refused, is refused when the file is loaded, with what to write', () => {
    const fault = (list: string, range: string) =>
      faultsOf('_global.json', JSON.stringify({ egress: { [list]: [range] } })).join()
    for (const list of ['denyCidrs', 'allowCidrs'])
      for (const range of ['::ffff:0:0/96', '::/80', '::fffe:0:0/95', '::ffff:9.9.0.1/112'])
        assert.match(fault(list, range), /write (0\.0\.0\.0\/0|9\.9\.0\.0\/16)/, range)
    assert.equal(fault('denyCidrs', '::/0'), '')
  })

  it('any two of which agree with the bits of the address, IPv6 too', () => {
    const ipv6 = fc.uint8Array({ minLength: 16, maxLength: 16 })
    fc.assert(
      fc.property(
        ipv6,
        ipv6,
        fc.integer({ min: 1, max: 128 }),
        fc.nat(128),
        (base, other, prefix, shared) => {
          const first = network(base, prefix)
          const range = parseCidr(`${formatIp(first)}/${prefix}`)
          if (typeof range === 'string') return
          const address = other.map((byte, i) => {
            const mask = network(new Uint8Array(16).fill(255), shared)[i] ?? 0
            return ((base[i] ?? 0) & mask) | (byte & ~mask)
          })
          const holds = network(address, prefix).every((byte, i) => byte === first[i])
          if (range.bytes.length === 16)
            assert.equal(
              compileAddressRules({ allowCidrs: [], denyCidrs: [range.text] }).deny.find(
                address,
              ) !== null,
              holds,
            )
        },
      ),
      { numRuns: 700 },
    )
  })
})

describe('a deny rule that names an address', () => {
  it('holds for every IPv6 form that has it inside', () => {
    const policy = policyOf({ acme: { egress: { deny: ['9.9.0.8'], allow: ['9.9.0.9'] } } })
    const agent = { tenant: 'acme', agent: 'bot' }
    const forms = ['9.9.0.8', '::ffff:909:8', '::909:8', '64:ff9b::909:8', '64:ff9b:1::909:8']
    forms.push('2002:909:8::1', '2001:0:101:101::f6f6:fff7', '::ffff:0:909:8')
    forms.push('2606:4700::5efe:909:8', '64:ff9b:1:909:0:800::')
    for (const host of forms) {
      const question = { agent, host, port: 443, request: null, allowedDestinations: [] }
      assert.equal(decideEgress(question, policy).code, 'MESH_POLICY_DENIED', host)
    }
  })
})

describe('the egress port', () => {
  const setup = setUp()
  afterEach(setup.close)

  for (const range of ['::ffff:127.0.0.0/104', '::ffff:7f00:0/104', '127.0.0.0/8'])
    it(`does not reach 127.0.0.1, by name or literal, where ${range} is denied`, async () => {
      const { port } = await setup.http((_request, response) => response.end('reached'))
      const hosts = ['api.test', '127.0.0.1', '[::ffff:127.0.0.1]', '2130706433']
      const egress = await setup.egress(port, {
        names: { 'api.test': ['127.0.0.1'] },
        egress: { allow: [`api.test:${port}`, `127.0.0.1:${port}`] },
        global: { ports: [port], denyCidrs: [range] },
      })
      const destinations = [`api.test:${port}`, `127.0.0.1:${port}`]
      const auth = basic(await egress.token({ destinations }))
      for (const host of hosts) {
        const answer = await sendRaw(egress.number, connectTo(port, auth, host))
        assert.match(answer, /^HTTP\/1\.1 403 MESH_EGRESS_ADDRESS_REFUSED /, host)
      }
    })
})
