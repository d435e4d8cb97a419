/** The address rules against the registries of IANA: first, middle and last address of every range, and what stands beside it. */
import assert from 'node:assert/strict'
import { compileAddressRules } from '../../../mesh-gateway/src/net/address-rules.ts'
import { formatIp, parseIp, parseIpv6 } from '../../../mesh-gateway/src/net/ip.ts'
import { judgeAddresses } from '../../../mesh-gateway/src/net/judge-addresses.ts'
import { refusalOf, sendRaw } from '../egress/fixture.ts'
import { basic, connectTo, setUp } from '../egress/setup.ts'
import {
  EMBEDDINGS,
  IPV4_SPECIAL,
  IPV6_SPECIAL,
  NEIGHBOURS,
  type SpecialPurpose,
  UNALLOCATED,
} from './special-purpose-registries.ts'

function passes(ip: string, allowCidrs: readonly string[] = []): boolean {
  const rules = compileAddressRules({ allowCidrs: [...allowCidrs], denyCidrs: [] })
  return 'ips' in judgeAddresses([ip], 443, rules, [])
}

const numberOf = (ip: string): bigint => {
  const bytes = ip.includes(':') ? parseIpv6(ip) : parseIp(ip)
  assert.ok(bytes, ip)
  return bytes.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n)
}

/** First, middle, last, and some in between. */
function samplesOf({ first, last }: SpecialPurpose): string[] {
  const from = numberOf(first)
  const to = numberOf(last)
  const length = first.includes(':') ? 16 : 4
  return [0n, 1n, 2n, 3n, 4n, 5n, 6n, 7n].map((eighths) => {
    let rest = from + ((to - from) * eighths) / 7n
    const bytes = new Uint8Array(length)
    for (let at = length - 1; at >= 0; at -= 1) {
      bytes[at] = Number(rest & 255n)
      rest >>= 8n
    }
    return formatIp(bytes)
  })
}

describe('the registries of special-purpose addresses', () => {
  for (const row of [...IPV4_SPECIAL, ...IPV6_SPECIAL])
    it(`${row.range} (${row.what}, RFC ${row.rfc}) is refused from ${row.first} to ${row.last}`, () => {
      const samples = samplesOf(row)
      assert.equal(samples[0], formatIp(parseIp(row.first) ?? new Uint8Array()))
      for (const ip of [row.first, row.last, ...samples]) assert.equal(passes(ip), false, ip)
    })

  for (const ip of NEIGHBOURS)
    it(`${ip} is beside one of them, and passes`, () => assert.equal(passes(ip), true))

  for (const ip of UNALLOCATED)
    it(`${ip} is nobody's, and does not pass`, () => assert.equal(passes(ip), false))

  for (const { form, rfc, opened, embed } of EMBEDDINGS) {
    it(`${form} (RFC ${rfc}) carries none of the IPv4 ranges past the rules`, () => {
      for (const row of IPV4_SPECIAL)
        for (const ip of samplesOf(row)) {
          const [a = 0, b = 0, c = 0, d = 0] = ip.split('.').map(Number)
          const carrier = embed(a, b, c, d)
          // :: and ::1 carry nothing: whoever opens their range means them
          if (
            parseIpv6(carrier)
              ?.subarray(0, 15)
              .every((byte) => byte === 0)
          )
            continue
          assert.equal(passes(carrier), false, `${carrier} carries ${ip}`)
          assert.equal(passes(carrier, opened), false, `${carrier} carries ${ip}`)
        }
    })
    it(`${form} (RFC ${rfc}) carries a public address where its own range is open`, () => {
      assert.equal(passes(embed(8, 8, 8, 8), opened), true, embed(8, 8, 8, 8))
    })
    it(`${form} (RFC ${rfc}) does not carry a metadata address past an open range`, () => {
      const everything = ['0.0.0.0/0', '::/0']
      assert.equal(passes(embed(169, 254, 169, 254), everything), false)
      assert.equal(passes(embed(168, 63, 129, 16), everything), false)
      assert.equal(passes(embed(10, 0, 0, 1), everything), true)
    })
  }

  it('hold at the port, for names and for literals, and nothing is dialled', async () => {
    const setup = setUp()
    const rows = [...IPV4_SPECIAL, ...IPV6_SPECIAL].flatMap(({ first, last }) => [first, last])
    const names = Object.fromEntries(rows.map((ip, index) => [`r${index}.test`, [ip]]))
    const literal = (ip: string) => (ip.includes(':') ? `[${ip}]` : ip)
    const hosts = [...Object.keys(names), ...new Set(rows.map(literal))]
    const egress = await setup.egress(443, {
      names,
      egress: { allow: hosts },
      global: { allowCidrs: [] },
    })
    try {
      const auth = basic(await egress.token({ destinations: ['*.test'] }))
      const literals = basic(
        await egress.token({ destinations: hosts.slice(rows.length, rows.length + 60) }),
      )
      for (const [index, host] of hosts.slice(0, rows.length + 60).entries()) {
        const by = index < rows.length ? auth : literals
        const answer = await sendRaw(egress.number, connectTo(443, by, host))
        assert.match(answer, /^HTTP\/1\.1 403 MESH_EGRESS_ADDRESS_REFUSED /, host)
        assert.equal(refusalOf(answer).gate, 'address')
      }
      assert.equal(egress.asked.length, rows.length)
      assert.equal(
        egress.records.every((record) => record.destination_ip === null),
        true,
      )
    } finally {
      await setup.close()
    }
  })
})
