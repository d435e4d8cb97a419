/** What is open for long has a record before it ends, so that a gateway that is killed has said what was open; what is short has one record. */
import assert from 'node:assert/strict'
import type { AuditRecord } from '../../../mesh-gateway/src/audit/audit-record.ts'
import { waitFor } from '../../support/wait-for.ts'
import { call, echo, frame, makeFixture, OPEN_POLICY } from '../delegation/fixture.ts'
import { rawClient, sendRaw } from '../egress/fixture.ts'
import { basic, connectTo, get, setUp } from '../egress/setup.ts'

function recording(openAfterMs: number) {
  const records: AuditRecord[] = []
  const audit = {
    openAfterMs,
    write: (record: AuditRecord) => void records.push(record),
    healthy: () => true,
    close: async () => {},
  }
  const opened = () => waitFor('the record of what is open', () => records.length > 0)
  return { records, audit, opened }
}

describe('the audit log of what is open for long', () => {
  describe('on the egress port', () => {
    const setup = setUp()
    afterEach(setup.close)

    const open = async (openAfterMs: number) => {
      const upstream = await setup.upstream((socket) => {
        socket.on('data', (data: Buffer) => {
          if (data.includes('GET /stream'))
            socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n')
          else if (data.includes('GET /short'))
            socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
          else socket.write(data)
        })
      })
      const { port } = upstream
      const told = recording(openAfterMs)
      const egress = await setup.egress(port, { port: { audit: told.audit } })
      const auth = basic(await egress.token({ destinations: [`api.test:${port}`] }), 'bot-01')
      const start = async (text: string, begun: string) => {
        const client = await rawClient(egress.number)
        client.send(text)
        await client.until((got) => got.endsWith(begun))
        return client
      }
      return { ...told, port, auth, start, number: egress.number }
    }

    it('tells of a tunnel while it is open, once, and names that record at its end', async () => {
      const { records, opened, port, auth, start } = await open(100)
      const client = await start(`${connectTo(port, auth)}x`, '\r\n\r\nx')
      await opened()
      client.socket.resetAndDestroy()
      await waitFor('the end', () => records.length > 1)
      const [first, last] = records
      assert.ok(first?.event === 'egress' && last?.event === 'egress')
      const { phase, status, bytes_up, destination_ip, agent_id, action_allowed } = first
      assert.deepEqual(
        { phase, status, bytes_up, destination_ip, agent_id, action_allowed },
        {
          ...{ phase: 'open', status: null, bytes_up: null },
          ...{ destination_ip: '127.0.0.1', agent_id: 'bot-01', action_allowed: true },
        },
      )
      assert.ok(first.duration_ms >= 100)
      assert.deepEqual([last.phase, last.status, last.bytes_up], ['end', 200, 1])
      assert.ok(first.open_id !== null && first.open_id === last.open_id)
      assert.equal(records.length, 2)
    })

    it('tells of an answer that goes on', async () => {
      const { records, opened, port, auth, start } = await open(100)
      const client = await start(get(port, auth, '/stream'), 'begun\r\n')
      await opened()
      client.socket.resetAndDestroy()
      await waitFor('the end', () => records.length > 1)
      assert.deepEqual(
        records.map(({ phase }) => phase),
        ['open', 'end'],
      )
      assert.equal(records[0]?.event === 'egress' && records[0].path, '/stream')
      assert.equal(records[0]?.open_id, records[1]?.open_id)
    })

    it('has one record of what is short', async () => {
      const { records, number, port, auth } = await open(60_000)
      const short = get(port, `${auth}Connection: close\r\n`, '/short')
      assert.match(await sendRaw(number, short), /200/)
      await waitFor('the record', () => records.length > 0)
      assert.deepEqual(
        records.map(({ phase, open_id }) => [phase, open_id]),
        [[null, null]],
      )
    })
  })

  describe('on the delegation port', () => {
    it('tells of a call while it is open, once, and names that record at its end; of a short one its end alone', async () => {
      const { records, audit } = recording(100)
      const mesh = await makeFixture(OPEN_POLICY, { audit })
      try {
        const dir = await mesh.ca.agentDir({ tenant: 'acme', agent: 'planner' })
        const session = await mesh.connect(await mesh.ca.open(dir))
        const peer = await mesh.peer('researcher', (stream, headers) => {
          if (headers.includes('/test.v1.Echo/Unary')) {
            echo(stream)
            return
          }
          stream.respond({ ':status': 200, 'content-type': 'application/grpc' })
          stream.write(frame(Buffer.from('begun')))
        })
        const authority = { ':authority': peer.name }
        assert.equal((await call(session, authority)).status, 0)
        const stream = session.request({
          ...{ ...authority, ':method': 'POST', ':path': '/test.v1.Echo/Stream' },
          ...{ 'content-type': 'application/grpc', te: 'trailers' },
        })
        stream.on('error', () => {})
        await waitFor('the record of what is open', () => records.length > 1)
        stream.close(8)
        await waitFor('the end', () => records.length > 2)
        assert.deepEqual(
          records.map(({ phase }) => phase),
          [null, 'open', 'end'],
        )
        const [, first, last] = records
        assert.ok(first?.event === 'delegation' && last?.event === 'delegation')
        assert.equal(first.grpc_method, 'test.v1.Echo/Stream')
        assert.deepEqual([first.grpc_status, first.reason], [null, null])
        assert.equal(first.destination_ip, '127.0.0.1')
        assert.deepEqual([last.grpc_status, last.reason], [1, 'MESH_CALL_CANCELED'])
        assert.ok(first.open_id !== null && first.open_id === last.open_id)
      } finally {
        await mesh.close()
      }
    })
  })
})
