import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { encode } from 'dns-packet'
import { locate } from '../../../mesh-gateway/src/delegation/upstream/locate.ts'
import { createResolver } from '../../../mesh-gateway/src/resolve/create-resolver.ts'
import { readTtlMs } from '../../../mesh-gateway/src/resolve/srv-ttl.ts'
import { startDnsDouble } from '../../support/dns-double.ts'

const NAME = '_grpc._tcp.researcher.acme.mesh.internal'

describe('SRV records', () => {
  for (const ttl of [1, 300])
    it(`live as long as their TTL, ${ttl} s`, async () => {
      let nowMs = 0
      let asked = 0
      const dns = await startDnsDouble((name) => {
        if (name === NAME) asked += 1
        return { ips: [], ttl, services: [{ target: 'one.test', port: 7443 }] }
      })
      const resolver = createResolver({ servers: [dns.server], now: () => nowMs })
      await resolver.services(NAME)
      const once = asked
      nowMs = ttl * 1_000 - 1
      await resolver.services(NAME)
      assert.equal(asked, once)
      nowMs = ttl * 1_000
      await resolver.services(NAME)
      assert.equal(asked, 2 * once)
      resolver.close()
      await dns.close()
    })

  it('bound how long it is known where a peer listens, also when addresses live longer', async () => {
    const service = { host: 'one.test', port: 7443, priority: 0, weight: 0, ttlMs: 1_000 }
    const located = await locate(
      {
        services: async () => [service],
        addresses: async () => [{ ip: '192.0.2.1', ttlMs: 60_000 }],
        close() {},
      },
      ...(['researcher.acme.mesh.internal', null, []] as const),
    )
    assert.equal(located.ttlMs, 1_000)
  })

  it('whose answer is damaged have no TTL, and end nothing', () => {
    const data = { target: 'one.test', port: 7443 }
    const whole = encode({
      ...{ type: 'response', id: 1, flags: 0x100 },
      questions: [{ type: 'SRV', name: NAME }],
      answers: [
        { type: 'SRV', name: NAME, ttl: 60, data },
        { type: 'SRV', name: NAME, ttl: 30, data },
      ],
    })
    assert.equal(readTtlMs(whole), 30_000)
    for (let length = 0; length < whole.length; length += 1) readTtlMs(whole.subarray(0, length))
    for (let round = 0; round < 20_000; round += 1) {
      const damaged = Buffer.from(whole)
      for (const byte of randomBytes(4)) damaged[byte % damaged.length] = byte ^ round
      readTtlMs(damaged)
    }
  })
})
