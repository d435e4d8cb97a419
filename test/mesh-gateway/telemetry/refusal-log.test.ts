import assert from 'node:assert/strict'
import type { ConnectionRefusal } from '../../../mesh-gateway/src/telemetry/metrics-port.ts'
import { createRefusalLog } from '../../../mesh-gateway/src/telemetry/refusal-log.ts'

describe('the log of refused connections', () => {
  const start = () => {
    const lines: { readonly [fact: string]: unknown }[] = []
    const counted: string[] = []
    const clock = { ms: 0 }
    const refused = createRefusalLog({
      port: 'egress',
      metrics: { connectionRefused: (port, reason) => void counted.push(`${port} ${reason}`) },
      log: { warn: (facts) => void lines.push(Object(facts)) },
      now: () => clock.ms,
    })
    const from = (ip: string | null, reason: ConnectionRefusal = 'tls') =>
      refused(reason, { client: { ip, port: ip === null ? null : 40_000 } })
    return { lines, counted, clock, from }
  }

  it('names the client, once for each address and reason in ten seconds', () => {
    const { lines, counted, from } = start()
    for (let count = 0; count < 50; count += 1) from('192.0.2.7')
    from('192.0.2.8')
    from('192.0.2.8', 'handshakes')
    assert.deepEqual(lines, [
      { reason: 'tls', client_ip: '192.0.2.7', client_port: 40_000 },
      { reason: 'tls', client_ip: '192.0.2.8', client_port: 40_000 },
      { reason: 'handshakes', client_ip: '192.0.2.8', client_port: 40_000 },
    ])
    assert.equal(counted.length, 52)
  })

  it('takes no more than ten addresses of one reason, and says later how many it left out', () => {
    const { lines, clock, from } = start()
    for (let host = 0; host < 200; host += 1) from(`192.0.2.${host}`)
    assert.equal(lines.length, 10)
    clock.ms = 10_000
    from('192.0.2.9')
    assert.deepEqual(lines[10], {
      reason: 'tls',
      client_ip: '192.0.2.9',
      client_port: 40_000,
      not_told: 190,
    })
  })
})
