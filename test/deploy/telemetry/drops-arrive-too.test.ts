/** What the rules of deploy/segmentation drop takes the way of the audit log: real packets, ulogd2, a shipper, the store. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { waitFor } from '../../support/wait-for.ts'
import { rulesOf } from '../segmentation/rules.ts'
import { createTwoSidedWorld, type TwoSidedWorld } from '../segmentation/two-sided-world.ts'
import { startUlogd } from '../segmentation/ulogd.ts'
import { queryOf } from './guide-queries.ts'
import { type Logs, openLogs } from './logs.ts'
import { collector, MESH_AGENT_ID, rsyslog } from './shippers.ts'
import { startVictoriaLogs } from './victoria-logs.ts'

describe('What segmentation drops', function () {
  this.timeout(600_000)
  let dir: string
  let world: TwoSidedWorld
  let logs: Logs

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'logs-'))
    logs = await openLogs(dir)
    world = await createTwoSidedWorld()
    await rulesOf('nftables', { space: world.gateway, name: 'two-legs' }).load()
    const lines = await startUlogd(world.gateway, logs.gatewayLogs)
    await logs.write(1)
    for (const port of [4053, 4054])
      await world.attacker.begin({ kind: 'udp', to: '192.0.2.2', port }, `mark-${port}-`)
    await waitFor('the drops', async () => (await lines()).length >= 2)
  })
  after(async () => {
    await world?.close()
    await logs?.close()
    await rm(dir, { recursive: true, force: true })
  })

  for (const make of [collector, rsyslog])
    it(`is in the store by ${make.name}, joined to the agent of that address`, async () => {
      const own = join(dir, make.name)
      await mkdir(own)
      const store = await startVictoriaLogs(join(own, 'store'))
      const { gatewayLogs, openclawLogs } = logs
      const shipper = await make({ dir: own, gatewayLogs, openclawLogs, logs: store.address })
      const program = await shipper.start()
      try {
        const query = await queryOf('Drops of segmentation')
        const rows = await waitFor('the rows', async () => {
          const found = await store.query(query)
          return found.length >= 2 && found
        })
        assert.deepEqual(
          rows.map(({ src_ip, dest_ip, dest_port, why, packets, agent_id }) => [
            ...[src_ip, dest_ip, dest_port, String(why).trim(), packets, agent_id],
          ]),
          ['4053', '4054'].map((port) => [
            ...['10.77.0.2', '192.0.2.2', port, 'clawmesh-drop forwarded', '1', MESH_AGENT_ID],
          ]),
        )
        const [row] = await store.query('source:=drops | sort by (_time) | limit 1')
        const line = JSON.parse(String(row?._msg))
        const ms = line['oob.time.sec'] * 1_000 + Math.floor(line['oob.time.usec'] / 1_000)
        assert.equal(Date.parse(String(row?._time)), ms)
        assert.equal(row?.timestamp, undefined)
      } finally {
        await program.close()
        await store.close()
      }
    })
})
