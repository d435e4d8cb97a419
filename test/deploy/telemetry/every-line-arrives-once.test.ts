/**
 * 10,000 lines of the audit log and 10,000 of OpenClaw's, carried into VictoriaLogs by the files of deploy/telemetry: while
 * both logs are rotated, the shipper is killed, and the store is away.
 */
import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { REFUSED_EVERY, traceOf } from '../../mesh-gateway/audit/audit-lines.ts'
import type { Program } from '../../support/start-program.ts'
import { waitFor } from '../../support/wait-for.ts'
import { queryOf } from './guide-queries.ts'
import { type Logs, openLogs } from './logs.ts'
import { collector, MESH_AGENT_ID, type Places, rsyslog, type Shipper } from './shippers.ts'
import { startVictoriaLogs, type VictoriaLogs } from './victoria-logs.ts'

const LINES = 10_000
const SLICE = 50
const SOURCES = ['gateway', 'openclaw'] as const
/** Only a hang takes longer, on a machine that has much else to do too. */
const HANG = { withinMs: 600_000, everyMs: 250 }

const SHIPPERS: readonly ((places: Places) => Promise<Shipper>)[] = [collector, rsyslog]

for (const make of SHIPPERS)
  describe(`${make.name} into VictoriaLogs`, function () {
    this.timeout(1_800_000)
    let dir: string
    let store: VictoriaLogs
    let logs: Logs
    let shipper: Shipper
    let program: Program

    before(async () => {
      dir = await mkdtemp(join(tmpdir(), 'logs-'))
      store = await startVictoriaLogs(join(dir, 'store'))
      logs = await openLogs(dir)
      const { gatewayLogs, openclawLogs } = logs
      const places = { gatewayLogs, openclawLogs, logs: store.address }
      shipper = await make({ ...places, dir: join(dir, 'shipper') })
      program = await shipper.start()
    })
    after(async () => {
      await program?.close()
      await logs?.close()
      await store?.close()
      await rm(dir, { recursive: true, force: true })
    })

    /** Lines of a log in the store, each counted as often as it came. */
    const came = (source: string) => store.count(`source:=${source} | count() as n`)
    /** And each once. */
    const once = async (source: string) => {
      const query = await queryOf('Each line once')
      return store.count(query.replace('gateway', source))
    }
    const arrived = (lines: number) =>
      waitFor(
        `${lines} lines of each log; ${program.lastLines().slice(-3).join('\n')}`,
        async () => {
          for (const source of SOURCES) if ((await once(source)) < lines) return false
          return true
        },
        HANG,
      )
    /** In slices, as a log is written. */
    const write = async (lines: number) => {
      for (let left = lines; left > 0; left -= SLICE) {
        await logs.write(SLICE)
        await sleep(5)
      }
    }

    it('loses none of 10,000 lines of each log, through rotations, a kill of the shipper and a store that is away', async () => {
      const began = performance.now()
      await write(2_000)
      await logs.rotate()
      await write(1_000)
      // the next rotation compresses what was moved by the one before
      await arrived(3_000)
      program.signal('SIGKILL')
      await program.close()
      await write(1_000)
      await logs.rotate()
      await write(1_000)
      program = await shipper.start()
      await write(1_000)
      program.signal('SIGKILL')
      await program.close()
      program = await shipper.start()
      await write(1_000)
      await arrived(7_000)
      await store.stop()
      const nobody = await answerNobody(store.address)
      await write(1_000)
      await waitFor('the shipper to ask in vain', () => nobody.asked() > 2, HANG)
      // what it holds in memory is gone with it
      program.signal('SIGKILL')
      await program.close()
      await nobody.close()
      program = await shipper.start()
      await logs.rotate()
      await write(1_000)
      await store.start()
      await write(1_000)
      await arrived(LINES)
      const seconds = ((performance.now() - began) / 1_000).toFixed(1)
      for (const source of SOURCES) {
        let all = await came(source)
        await waitFor(
          'no more lines',
          async () => {
            const before = all
            all = await came(source)
            return all === before
          },
          HANG,
        )
        assert.equal(await once(source), LINES, source)
        process.stdout.write(
          `      ${shipper.name}, ${source}: ${LINES} lines in ${seconds} s, 0 lost, ${all - LINES} sent twice\n`,
        )
      }
      assert.ok((await readdir(logs.gatewayLogs)).includes('audit.log.3.gz'))
    })

    it('has each request by its own id, with its fields, and the line as it was written', async () => {
      const ids = await store.query('source:=gateway | uniq by (request_id) | fields request_id')
      const wanted = Array.from({ length: LINES }, (_, n) => `request-${n}`)
      assert.deepEqual(new Set(ids.map(({ request_id }) => request_id)), new Set(wanted))
      const [row] = await store.query('source:=gateway request_id:=request-3 | limit 1')
      const { _msg: line, _time: time } = row ?? {}
      const record = JSON.parse(String(line))
      assert.equal(record.path.length, 16_001)
      assert.equal(new Date(String(time)).toISOString(), record.time)
      assert.equal(row?.path, record.path)
      assert.equal(row?.agent_id, MESH_AGENT_ID)
      assert.equal(row?.status, '200')
      assert.deepEqual(JSON.parse(String(row?.chain)), record.chain)
      assert.equal(row?.time, undefined)
    })

    it('has lines of OpenClaw by the name of the agent in the mesh', async () => {
      const [row] = await store.query(`source:=openclaw trace_id:=${traceOf(3)} | limit 1`)
      const { _time, _stream, _stream_id, offset, ...rest } = row ?? {}
      assert.ok(Date.now() - Date.parse(String(_time)) < 3_600_000)
      assert.match(String(offset), /^\d+$/)
      assert.equal(rest.severity_text, 'INFO')
      // the Collector adds what it is itself, and the severity as a number
      const own = /^(?:severity|scope)/
      const facts = Object.entries(rest).filter(([name]) => !own.test(name))
      assert.deepEqual(Object.fromEntries(facts), {
        _msg: 'tool web_fetch of run 3 ended',
        ...{ agent_id: MESH_AGENT_ID, openclaw_agent_id: 'main', trace_id: traceOf(3) },
        ...{ session_id: 'agent:main:main', hostname: 'vm', source: 'openclaw' },
      })
    })

    it('joins both by agent and trace: what OpenClaw did when the gateway refused', async () => {
      const rows = await store.query(await queryOf('Both logs, joined'))
      assert.equal(rows.length, LINES / REFUSED_EVERY)
      assert.deepEqual(
        rows.map(({ agent_id, trace_id, reason, openclaw_said }) => [
          ...[agent_id, trace_id, reason, openclaw_said],
        ]),
        rows.map((_, index) => {
          const n = index * REFUSED_EVERY + 7
          return [
            ...[MESH_AGENT_ID, traceOf(n), 'MESH_POLICY_NOT_ALLOWED'],
            `tool web_fetch of run ${n} ended`,
          ]
        }),
      )
    })
  })

/** Takes the place of a store: every connection is closed at once, and counted. */
async function answerNobody(address: string) {
  const { hostname, port } = new URL(`tcp://${address}`)
  let asked = 0
  const server = createServer((socket) => {
    asked += 1
    socket.destroy()
  })
  await new Promise<void>((resolve) => server.listen(Number(port), hostname, resolve))
  return {
    asked: () => asked,
    close: () => new Promise<void>((resolve) => server.close(() => resolve())),
  }
}
