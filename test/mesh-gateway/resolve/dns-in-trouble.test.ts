/** What the resolver makes of servers that fail as servers fail: SERVFAIL, no data, and both at once. */
import assert from 'node:assert/strict'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { decode, encode } from 'dns-packet'
import { createResolver } from '../../../mesh-gateway/src/resolve/create-resolver.ts'
import { ResolveFailure, type Resolver } from '../../../mesh-gateway/src/resolve/resolver.ts'

const [NO_ERROR, SERVFAIL, NXDOMAIN, REFUSED] = [0, 2, 3, 5]

interface Told {
  readonly code?: number
  readonly ips?: readonly (readonly [ip: string, ttl: number])[]
}

describe('DNS in trouble', () => {
  let socket: Socket
  let told: Partial<Record<string, Told>>
  let asked: string[]
  let nowMs: number
  let resolver: Resolver
  beforeEach(async () => {
    told = {}
    asked = []
    nowMs = 0
    socket = createSocket('udp4')
    socket.on('message', (message, from) => {
      const query = decode(message)
      const [question] = query.questions ?? []
      if (question === undefined) return
      const { name, type } = question
      asked.push(type)
      const { code = NO_ERROR, ips = [] } = told[type] ?? {}
      const answers =
        type === 'A' || type === 'AAAA' ? ips.map(([data, ttl]) => ({ type, name, ttl, data })) : []
      const packet = encode({
        ...{ type: 'response', id: query.id ?? 0, flags: 0x8180 | code },
        ...{ questions: [question], answers },
      })
      socket.send(packet, from.port, from.address)
    })
    socket.bind(0, '127.0.0.1')
    await once(socket, 'listening')
    const servers = [`127.0.0.1:${socket.address().port}`]
    resolver = createResolver({ servers, now: () => nowMs })
  })
  afterEach(() => {
    resolver.close()
    socket.close()
  })

  const kindOf = (asking: Promise<unknown>) =>
    asking.then(
      () => 'answered',
      (error: unknown) => (error instanceof ResolveFailure ? error.kind : String(error)),
    )
  const addresses = () => kindOf(resolver.addresses('a.test'))

  it('is not "no such name": SERVFAIL and REFUSED say nothing of the name, and are asked about again', async () => {
    for (const code of [SERVFAIL, REFUSED]) {
      told = { A: { code }, AAAA: { code }, SRV: { code } }
      assert.equal(await addresses(), 'failed')
      assert.equal(await kindOf(resolver.services('_grpc._tcp.a.test')), 'failed')
      asked = []
      assert.equal(await addresses(), 'failed')
      assert.ok(asked.length > 0)
    }
  })

  it('of one question leaves "no data" of the other without meaning, whichever it is', async () => {
    for (const quiet of [NO_ERROR, NXDOMAIN]) {
      told = { A: { code: quiet }, AAAA: { code: SERVFAIL } }
      assert.equal(await addresses(), 'failed')
      told = { A: { code: SERVFAIL }, AAAA: { code: quiet } }
      assert.equal(await addresses(), 'failed')
    }
  })

  it('of one question does not take away the answers of the other', async () => {
    told = { A: { ips: [['127.0.0.1', 60]] }, AAAA: { code: SERVFAIL } }
    assert.deepEqual(await resolver.addresses('a.test'), [{ ip: '127.0.0.1', ttlMs: 60_000 }])
  })

  it('is none when there is no data, or no such name: that is known for two seconds', async () => {
    assert.equal(await kindOf(resolver.services('_grpc._tcp.a.test')), 'not-found')
    assert.equal(await addresses(), 'not-found')
    asked = []
    nowMs = 1_999
    assert.equal(await addresses(), 'not-found')
    assert.deepEqual(asked, [])
    nowMs = 2_000
    told = { A: { code: NXDOMAIN }, AAAA: { code: NXDOMAIN } }
    assert.equal(await addresses(), 'not-found')
    assert.ok(asked.length > 0)
  })

  it('an answer is kept as long as the shortest TTL in it, and an hour at most', async () => {
    const ips = [
      ['127.0.0.1', 86_400],
      ['127.0.0.2', 10],
    ] as const
    const isKept = async (ms: number) => {
      nowMs = ms
      asked = []
      await resolver.addresses('a.test')
      return asked.length === 0
    }
    told = { A: { ips } }
    await resolver.addresses('a.test')
    assert.equal(await isKept(9_999), true)
    told = { A: { ips: [['127.0.0.1', 86_400]] } }
    assert.equal(await isKept(10_000), false)
    assert.equal(await isKept(10_000 + 3_599_999), true)
    assert.equal(await isKept(10_000 + 3_600_000), false)
  })
})
