/** HTTP/1.1 on the delegation port: a packet with hundreds of requests has few of them served. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { type Battlefield, openBattlefield } from '../attacks/battlefield.ts'

const REQUESTS = 1_000

describe('a packet with a thousand requests over HTTP/1.1', () => {
  let field: Battlefield
  before(async () => {
    const keys = [randomBytes(32)]
    field = await openBattlefield({ mcp: { sessionKeys: () => keys } })
  })
  after(() => field.close())

  for (const [what, identity] of [
    ['a stranger', null],
    ['an agent', undefined],
  ] as const)
    it(`of ${what} ends its connection, after sixteen were served`, async () => {
      const socket = await field.dial({
        alpn: ['http/1.1'],
        ...(identity === null ? { identity } : {}),
      })
      const ofCanary = ({ tenant }: { readonly tenant: string | null }) => tenant === 'globex'
      const before = field.mesh.records.filter((one) => !ofCanary(one)).length
      const closed = new Promise((resolve) => socket.once('close', resolve))
      socket.on('error', () => {}).resume()
      const head = ['POST /mcp HTTP/1.1', 'Host: localhost', 'Content-Length: 0', '', '']
      socket.write(head.join('\r\n').repeat(REQUESTS))
      await closed
      await field.unharmed()
      const served = field.mesh.records.filter((one) => !ofCanary(one)).length - before
      assert.ok(served <= 16, `${served} were served`)
    })
})
