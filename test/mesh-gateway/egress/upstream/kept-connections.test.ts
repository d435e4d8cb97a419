import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { sendRaw, type Upstream } from '../fixture.ts'
import { basic, type Setup, setUp } from '../setup.ts'

/** The pool has one second for a moment. */
const MOMENT_MS = 1_050

describe('a connection to a destination that is kept', () => {
  let setup: Setup
  beforeEach(() => {
    setup = setUp()
  })
  afterEach(() => setup.close())

  /** A destination that serves one request on a connection and resets it at the second, as if it had closed it just before. */
  async function world(keepAlive: string) {
    const upstream = await setup.upstream((socket) => {
      let requests = 0
      socket.on('data', () => {
        requests += 1
        if (requests > 1) socket.resetAndDestroy()
        else socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 2\r\n${keepAlive}\r\nok`)
      })
    })
    return { upstream, ...(await through(upstream)) }
  }

  async function through({ port }: Upstream) {
    const egress = await setup.egress(port)
    const auth = basic(await egress.token({ destinations: [`api.test:${port}`] }))
    const send = async (method: string, body = '') => {
      const answer = await sendRaw(
        egress.number,
        `${method} http://api.test:${port}/ HTTP/1.1\r\nHost: api.test:${port}\r\nConnection: close\r\nContent-Length: ${body.length}\r\n${auth}\r\n${body}`,
      )
      return Number(answer.slice(9, 12))
    }
    return { send }
  }

  for (const [method, body] of [
    ['GET', ''],
    ['POST', '{}'],
    ['POST', ''],
    ['PUT', '{}'],
    ['PATCH', '{}'],
  ] as const)
    it(`carries no ${method} with ${body.length} bytes once the time that its destination announced is nearly over`, async () => {
      const { send, upstream } = await world('Keep-Alive: timeout=1, max=100\r\n')
      assert.equal(await send('GET'), 200)
      assert.equal(await send(method, body), 200)
      assert.equal(upstream.connections.length, 2)
    })

  it('carries a request that cannot be repeated only when it was used a moment ago, or the destination said that it stays', async () => {
    for (const [keepAlive, connections] of [
      ['', 2],
      ['Keep-Alive: timeout=60\r\n', 1],
    ] as const) {
      const upstream = await setup.upstream((socket) => {
        const answer = `HTTP/1.1 200 OK\r\nContent-Length: 2\r\n${keepAlive}\r\nok`
        socket.on('data', () => socket.write(answer))
      })
      const { send } = await through(upstream)
      assert.equal(await send('GET'), 200)
      assert.equal(await send('POST', '{}'), 200)
      assert.equal(upstream.connections.length, 1)
      await sleep(MOMENT_MS)
      assert.equal(await send('POST', '{}'), 200)
      assert.equal(upstream.connections.length, connections)
    }
  })

  it('carries a request that can be repeated, which is sent again when it was closed', async () => {
    const { send, upstream } = await world('')
    assert.equal(await send('GET'), 200)
    assert.equal(await send('GET'), 200)
    assert.equal(upstream.connections.length, 2)
  })
})
