/** Many clients that ask the admin port at once, as a program does that wants to keep the gateway busy. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type ClientRequest, request } from 'node:http'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { silentLog } from '@clawmesh/agent-sdk'
import { answerOf } from '../../../../mesh-gateway/src/admin/api/facts.ts'
import { openOperatorPorts } from '../../../../mesh-gateway/src/admin/open-operator-ports.ts'
import { makeFacts } from './facts-of-nobody.ts'

describe('many questions to the admin port at once', () => {
  let asked: number
  let release: () => void
  let ports: Awaited<ReturnType<typeof openOperatorPorts>>
  beforeEach(async () => {
    asked = 0
    const { promise, resolve } = Promise.withResolvers<void>()
    release = resolve
    const facts = makeFacts({
      async peers() {
        asked += 1
        await promise
        return []
      },
    })
    ports = await openOperatorPorts(
      {
        admin: { listen: { host: '127.0.0.1', port: 0 }, console: 'on' },
        health: { listen: null },
      },
      {
        names: () => [],
        metrics: { text: async () => '' },
        missing: () => [],
        connectionRefused: () => {},
        log: silentLog,
        status: () => [],
        facts: {
          ask: async (what, question) => ({
            answers: [await answerOf(facts, { what, asked: question })],
            silent: 0,
          }),
          workers: () => [],
        },
        agentOf: () => () => null,
      },
    )
  })
  afterEach(() => ports.close())

  const get = (path: string): ClientRequest => {
    const sent = request({ port: ports.admin.port, host: '127.0.0.1', path, agent: false })
    sent.on('error', () => {})
    return sent.end()
  }
  const statusOf = async (sent: ClientRequest): Promise<number | undefined> => {
    const [response] = await once(sent, 'response')
    await text(response)
    return response.statusCode
  }

  it('are answered two at a time, those of clients that left not at all, and probes meanwhile', async () => {
    const sent = Array.from({ length: 20 }, () => get('/api/peers'))
    const statuses = sent.slice(0, 10).map(statusOf)
    for (let probes = 0; probes < 10; probes += 1) assert.equal(await statusOf(get('/health')), 200)
    assert.equal(asked, 2)
    const closed = (one: ClientRequest) => new Promise((resolve) => one.once('close', resolve))
    const left = sent.slice(10).map(closed)
    for (const one of sent.slice(10)) one.destroy()
    await Promise.all(left)
    assert.equal(await statusOf(get('/health')), 200)
    release()
    assert.deepEqual(await Promise.all(statuses), Array(10).fill(200))
    assert.equal(await statusOf(get('/api/peers')), 200, 'the line goes on')
    assert.equal(asked, 11)
  })

  it('that never arrive whole keep no other client out', async () => {
    const head = [
      ...['POST /api/explain HTTP/1.1', 'host: localhost', 'content-type: application/json'],
      ...['content-length: 100', 'expect: 100-continue', '', ''],
    ].join('\r\n')
    const slow = Array.from({ length: 100 }, () => connect(ports.admin.port, '127.0.0.1'))
    const awaited = slow.map(async (socket) => {
      socket.on('error', () => {}).write(head)
      const [answer] = await once(socket, 'data')
      assert.match(String(answer), /^HTTP\/1\.1 100 /)
    })
    await Promise.all(awaited)
    assert.equal(await statusOf(get('/health')), 200)
    for (const socket of slow) socket.destroy()
  })
})
