/** What is decided anew while a request is on its way: nothing of it leaves any more. */
import assert from 'node:assert/strict'
import { rawClient, refusalOf } from '../fixture.ts'
import { basic, connectTo, get, setUp } from '../setup.ts'

describe('a request that is no longer allowed when its destination was found', () => {
  const setup = setUp()
  afterEach(setup.close)

  /** Before the one lookup is answered, `change` happens. */
  async function open(change: () => void) {
    let reached = ''
    const upstream = await setup.upstream((socket) =>
      socket.on('data', (data: Buffer) => {
        reached += data.toString('latin1')
        socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      }),
    )
    const egress = await setup.egress(upstream.port, {
      port: {
        resolver: {
          async addresses() {
            change()
            return [{ ip: '127.0.0.1', ttlMs: 1000 }]
          },
          services: () => Promise.reject(new Error('nobody asks for services')),
          close() {},
        },
      },
    })
    const auth = basic(await egress.token({ destinations: [`api.test:${upstream.port}`] }))
    return { egress, auth, port: upstream.port, reached: () => reached }
  }

  for (const [form, request] of [
    ['absolute form', (port: number, auth: string) => get(port, `${auth}Connection: close\r\n`)],
    [
      'a WebSocket',
      (port: number, auth: string) =>
        get(
          port,
          `${auth}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: a\r\nSec-WebSocket-Version: 13\r\n`,
        ),
    ],
    [
      'CONNECT',
      (port: number, auth: string) => `${connectTo(port, auth)}GET / HTTP/1.1\r\nHost: x\r\n\r\n`,
    ],
  ] as const) {
    it(`in ${form} sends nothing when policy has changed, and is told so`, async () => {
      let egress: Awaited<ReturnType<typeof open>>['egress'] | null = null
      let port = 0
      const opened = await open(() => egress?.setPolicy({ allow: [] }, { ports: [port] }))
      port = opened.port
      egress = opened.egress
      const client = await rawClient(egress.number)
      client.send(request(opened.port, opened.auth))
      const answer = await client.until((text) => /\}\s*$/.test(text))
      client.socket.destroy()
      assert.match(answer, /^HTTP\/1\.1 403 /)
      assert.equal(refusalOf(answer).code, 'MESH_POLICY_NOT_ALLOWED')
      const record = await egress.record(0)
      assert.equal(record.status, 403)
      assert.equal(record.bytes_up, 0)
      assert.equal(opened.reached(), '')
    })
  }
})
