/**
 * The input of the issue against a gateway as operators run it: an agent that is limited to 60 requests a minute makes requests that
 * policy refuses, and somebody presents 300 bad tokens.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { connect } from 'node:net'
import {
  type SeveralWorkers,
  startSeveralWorkers,
} from '../mesh-gateway/workers/several-workers.ts'
import { describeClosing } from '../support/closes-everything.ts'

describeClosing('refusals fill neither time nor log', function () {
  this.timeout(120_000)
  let world: SeveralWorkers
  before(async () => {
    world = await startSeveralWorkers({
      egress: { limits: { requestsPerMinute: 60, burst: 60 } },
    })
  })
  after(() => world.close())

  it('with two workers as well: they meet 429, and each is told once, most of them in summaries', async () => {
    const refused = new Map<number, number>()
    for (let count = 0; count < 120; count += 1) {
      const { socket, status } = await world.ask('bot', 'evil.test:443')
      socket.destroy()
      refused.set(status, (refused.get(status) ?? 0) + 1)
    }
    assert.deepEqual([...refused.keys()].sort(), [403, 429])
    assert.ok((refused.get(429) ?? 0) >= 30, JSON.stringify([...refused]))

    const [host = '', port = ''] = world.gateway.egress.split(':')
    const socket = connect(Number(port), host)
    const bad = new Map<number, number>()
    for (let count = 0; count < 300; count += 1) {
      socket.write(
        'GET http://api.test/ HTTP/1.1\r\nHost: api.test\r\nProxy-Authorization: Bearer a.b.c\r\n\r\n',
      )
      const [data] = await once(socket, 'data')
      const status = Number(String(data).slice(9, 12))
      bad.set(status, (bad.get(status) ?? 0) + 1)
    }
    socket.destroy()
    assert.deepEqual([...bad.keys()].sort(), [403, 429])
    assert.ok((bad.get(429) ?? 0) >= 100, JSON.stringify([...bad]))
    const folded = await world.metric('clawmesh_audit_folded_total')
    assert.ok(folded >= 300, String(folded))

    await world.gateway.stop()
    const lines = (await readFile(world.gateway.auditFile, 'utf8')).trimEnd().split('\n')
    const records = lines.map((line): { repeated: number | null } => JSON.parse(line))
    assert.equal(
      records.reduce((sum, { repeated }) => sum + (repeated ?? 1), 0),
      420,
    )
    assert.ok(lines.length <= 120, `${lines.length} lines`)
  })
})
