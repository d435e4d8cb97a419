import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { LivePlace, LiveTunnel } from '../../../../mesh-gateway/src/egress/live/live-tunnel.ts'
import { createTunnels } from '../../../../mesh-gateway/src/egress/live/live-tunnels.ts'
import { createLimits } from '../../../../mesh-gateway/src/limits/create-limits.ts'

import { admittedUntil } from '../admitted.ts'

const NONE = {
  ...{ requestsPerMinute: null, burst: null, maxBodyBytes: null },
  ...{ concurrentTunnels: null, concurrentRequests: null },
}

describe('the registry of live tunnels', () => {
  it('ends each once, whoever comes and goes in between, and forgets who has left', () => {
    const step = fc.record({
      what: fc.constantFrom('add', 'add', 'remove', 'end', 'endOdd'),
      which: fc.nat(),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        let cuts = 0
        const tunnels = createTunnels({
          now: () => 0,
          ...{ boundsOf: () => null, judge: () => null, generation: () => 1 },
          limits: createLimits(),
          onCut: () => {
            cuts += 1
          },
        })
        const ended: string[] = []
        const live: { readonly id: number; readonly place: LivePlace }[] = []
        let made = 0
        const add = () => {
          made += 1
          const id = made
          const tunnel: LiveTunnel = {
            agent: { tenant: 'acme', agent: 'bot-01' },
            admitted: admittedUntil(1000),
            ...{ ip: `${id}`, tunnel: true, generation: 1 },
            ...{ bounds: { limits: NONE, tenantLimits: null }, counted: true },
            end: (code) => ended.push(`${id} ${code}`),
          }
          live.push({ id, place: tunnels.add(tunnel) })
        }
        const expected: string[] = []
        for (const { what, which } of steps) {
          if (what === 'add') {
            add()
            continue
          }
          if (what === 'endOdd') {
            const odd = ({ ip }: LiveTunnel) => (Number(ip) % 2 === 1 ? 'MESH_TOKEN_REVOKED' : null)
            const gone = live.filter(({ id }) => id % 2 === 1)
            assert.equal(tunnels.endWhere(odd), gone.length)
            for (const one of gone) {
              expected.push(`${one.id} MESH_TOKEN_REVOKED`)
              live.splice(live.indexOf(one), 1)
              tunnels.end(one.place, 'MESH_GATEWAY_DRAINING')
              tunnels.remove(one.place)
            }
            continue
          }
          const [one] = live.splice(which % Math.max(1, live.length), 1)
          if (one === undefined) continue
          if (what === 'end') {
            tunnels.end(one.place, 'MESH_TOKEN_EXPIRED')
            expected.push(`${one.id} MESH_TOKEN_EXPIRED`)
          }
          tunnels.remove(one.place)
          tunnels.remove(one.place)
        }
        assert.equal(tunnels.size, live.length)
        assert.deepEqual(ended.toSorted(), expected.toSorted())
        assert.equal(cuts, expected.length)
        for (const { place } of live) tunnels.remove(place)
        assert.equal(tunnels.size, 0)
      }),
      { numRuns: 300 },
    )
  })
})
