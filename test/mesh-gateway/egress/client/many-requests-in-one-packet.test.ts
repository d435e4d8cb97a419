/** One packet holds thousands of requests. They are served one by one, and others come in between. */
import assert from 'node:assert/strict'
import { rawClient } from '../fixture.ts'
import { setUp } from '../setup.ts'

const REQUESTS = 1_000

describe('a packet with a thousand requests', () => {
  const setup = setUp()
  afterEach(setup.close)

  for (const [what, request, answer] of [
    ['to the gateway itself', 'GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n', 'HTTP/1.1 200 '],
    [
      'that are refused',
      'GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n',
      /HTTP\/1\.1 4\d\d /,
    ],
  ] as const)
    it(`${what} leaves the event loop to others after each of them`, async () => {
      const egress = await setup.egress(80)
      const client = await rawClient(egress.number)
      let over = false
      let turns = 0
      const count = () => {
        turns += 1
        if (!over) setImmediate(count)
      }
      setImmediate(count)
      client.send(request.repeat(REQUESTS))
      await client.until((text) => text.split(answer).length > REQUESTS)
      over = true
      client.socket.destroy()
      assert.ok(turns >= REQUESTS, `they were served in ${turns} turns`)
    })
})
