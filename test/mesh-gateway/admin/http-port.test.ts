/** How long a port for operators waits: for a client that does nothing, and for an answer that is being made. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { silentLog } from '@clawmesh/agent-sdk'
import {
  createHttpPort,
  type HttpPortOptions,
  send,
} from '../../../mesh-gateway/src/admin/http-port.ts'
import type { Port } from '../../../mesh-gateway/src/net/port.ts'

const IDLE_MS = 500

describe('a port for operators', () => {
  let port: Port
  const open = async (more: Partial<HttpPortOptions> & Pick<HttpPortOptions, 'answer'>) => {
    port = await createHttpPort({
      ...{ name: 'admin', listen: { host: '127.0.0.1', port: 0 }, idleMs: IDLE_MS, ...more },
      ...{ connectionRefused: () => {}, log: silentLog },
    })
  }
  afterEach(() => port.close())

  const url = () => `http://127.0.0.1:${port.address.port}/`
  const headers = { connection: 'close' }

  it('gives an answer that is made for longer than a connection may idle', async () => {
    await open({
      takesBody: () => true,
      async answer(request, response) {
        const body = await text(request)
        await sleep(IDLE_MS * 3)
        send(response, 200, 'text/plain', `${body} is done`)
      },
    })
    for (const method of ['GET', 'POST']) {
      const body = method === 'POST' ? 'a replay' : null
      const answer = await fetch(url(), { method, body, headers })
      assert.equal(await answer.text(), `${body ?? ''} is done`)
    }
  })

  it('says so when an answer takes too long, and goes on', async () => {
    const late = Promise.withResolvers<void>()
    await open({
      answerMs: 200,
      async answer(_request, response) {
        await late.promise
        send(response, 200, 'text/plain', 'done')
      },
    })
    const answer = await fetch(url())
    assert.equal(answer.status, 503)
    assert.equal(answer.headers.get('connection'), 'close')
    assert.equal(await answer.text(), '{"error":"the answer takes longer than 0.2 s"}\n')
    late.resolve()
    assert.equal(await (await fetch(url(), { headers })).text(), 'done')
  })

  it('ends a client that does not read its answer, or does not send its body', async () => {
    const large = 'x'.repeat(50_000_000)
    await open({
      takesBody: () => true,
      async answer(request, response) {
        if (request.method === 'POST') await text(request)
        send(response, 200, 'text/plain', large)
      },
    })
    const ended = async (head: string) => {
      const socket = connect(port.address.port, '127.0.0.1').pause()
      socket.on('error', () => {})
      socket.write(head)
      await once(socket, 'connect')
      // what the kernel holds for a client that reads nothing says nothing of the other end: writing does
      const clock = setInterval(() => socket.write('x'), IDLE_MS * 3)
      await new Promise<void>((resolve) => socket.once('close', () => resolve()))
      clearInterval(clock)
    }
    await ended('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n')
    await ended('POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\n')
  })
})
