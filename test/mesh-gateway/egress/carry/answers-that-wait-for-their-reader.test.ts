/** What was answered and has not gone out yet, since its reader is slow, when the connection is to end. */
import assert from 'node:assert/strict'
import { type RawClient, rawClient, sendRaw } from '../fixture.ts'
import { basic, get, setUp } from '../setup.ts'

const BODY = 'x'.repeat(10_000)

describe('an answer that waits for its reader', () => {
  const setup = setUp()
  afterEach(setup.close)

  /**
   * Clients that have asked for so many answers that the last of them wait in the memory of the gateway, more and less: the
   * buffers of the system are of any size.
   */
  async function open(keepAliveMs: number) {
    const answered = new Map<string, number>()
    const { port } = await setup.http((request, response) => {
      const path = request.url ?? ''
      answered.set(path, (answered.get(path) ?? 0) + 1)
      response.end(BODY)
    })
    const egress = await setup.egress(port, { port: { timeouts: { keepAliveMs } } })
    const auth = basic(await egress.token({ destinations: [`api.test:${port}`] }))
    const ask = async (path: string, times: number): Promise<RawClient> => {
      const client = await rawClient(egress.number)
      client.socket.pause()
      client.send(get(port, auth, path).repeat(times))
      return client
    }
    /** Once so many requests of somebody else have brought it no further. */
    const settled = async (path: string): Promise<number> => {
      let before = 0
      for (let still = 0; still < 20; ) {
        await sendRaw(egress.number, get(port, `${auth}Connection: close\r\n`, '/other'))
        const now = answered.get(path) ?? 0
        still = now === before ? still + 1 : 0
        before = now
      }
      return before
    }
    const first = await ask('/first', 4_000)
    const most = await settled('/first')
    first.socket.destroy()
    const clients: { readonly client: RawClient; readonly answers: () => number }[] = []
    for (let less = 0; less < 8; less += 3) {
      const client = await ask(`/${less}`, most - less)
      clients.push({ client, answers: () => answered.get(`/${less}`) ?? 0 })
      await settled(`/${less}`)
    }
    return { egress, clients }
  }

  async function assertWhole({ egress, clients }: Awaited<ReturnType<typeof open>>) {
    const { action_allowed: allowed, bytes_down: size } = await egress.record(0)
    assert.ok(allowed && size === BODY.length)
    for (const { client, answers } of clients) {
      client.socket.resume()
      const text = await client.rest()
      assert.equal(text.match(/HTTP\/1\.1 200/g)?.length, answers())
      assert.equal(text.match(/x{10000}/g)?.length, answers(), 'the end of an answer is missing')
      client.socket.destroy()
    }
  }

  it('goes out whole when the gateway drains', async () => {
    const opened = await open(60_000)
    const drained = opened.egress.port.drain(15_000)
    await assertWhole(opened)
    await drained
  })

  it('goes out whole when nothing more is asked', async () => {
    const opened = await open(50)
    // who asks nothing, is closed after that time: it is over for all of them
    const silent = await rawClient(opened.egress.number)
    silent.send('GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await silent.rest()
    silent.socket.destroy()
    await assertWhole(opened)
  })
})
