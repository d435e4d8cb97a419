/** What is taken and entered for a request, in which order, and given back: with limits that answer at once, and later, as over Redis. */
import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import {
  type Bounds,
  bodyLimit,
  enterLimits,
  isTunnel,
  limitScopes,
  takeOwnRate,
} from '../../../mesh-gateway/src/egress/enter-limits.ts'
import { parseRequestHead } from '../../../mesh-gateway/src/egress/http1/request-head.ts'
import { Refused } from '../../../mesh-gateway/src/egress/refused.ts'
import {
  parseAbsoluteTarget,
  parseConnectTarget,
} from '../../../mesh-gateway/src/egress/request.ts'
import type { Limits, Release } from '../../../mesh-gateway/src/limits/limits.ts'

const UNLIMITED = {
  ...{ requestsPerMinute: null, burst: null, concurrentTunnels: null },
  ...{ concurrentRequests: null, maxBodyBytes: null },
}
type Own = { readonly [name in keyof typeof UNLIMITED]?: number | null }

describe('the limits of a request', () => {
  let asked: string[]
  let left: string[]
  /** Of what is asked for, e.g. `take egress:acme 5 5`; null: granted. */
  let answers: Map<string, number | 'full' | Error>
  beforeEach(() => {
    asked = []
    left = []
    answers = new Map()
  })
  const judge = (question: string) => {
    asked.push(question)
    const answer = answers.get(question) ?? null
    if (answer instanceof Error) throw answer
    return answer
  }
  const atOnce: Limits = {
    take(key, perMinute, burst) {
      const answer = judge(`take ${key} ${perMinute} ${burst}`)
      return typeof answer === 'number' ? answer : null
    },
    enter(key, max): Release | null {
      const answer = judge(`enter ${key} ${max}`)
      return answer === 'full' ? null : () => void left.push(key)
    },
  }
  const later: Limits = {
    async take(...question) {
      await turn()
      return atOnce.take(...question)
    },
    async enter(...question) {
      await turn()
      return atOnce.enter(...question)
    },
  }

  const bounds = (own: Own, tenant: Own | null = null): Bounds => ({
    limits: { ...UNLIMITED, ...own },
    tenantLimits: tenant === null ? null : { ...UNLIMITED, ...tenant },
  })
  const request = (text: string) =>
    parseRequestHead(Buffer.from(`${text}\r\nHost: a.test\r\n\r\n`, 'latin1'))
  const GET = {
    head: request('GET http://a.test/ HTTP/1.1'),
    target: parseAbsoluteTarget('http://a.test/'),
  }
  const POST = {
    head: request('POST http://a.test/ HTTP/1.1\r\nContent-Length: 10'),
    target: GET.target,
  }
  const CHUNKS = {
    head: request('POST http://a.test/ HTTP/1.1\r\nTransfer-Encoding: chunked'),
    target: GET.target,
  }
  const SOCKET = {
    head: request('GET http://a.test/ HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket'),
    target: GET.target,
  }
  const CONNECT = {
    head: request('CONNECT a.test:443 HTTP/1.1'),
    target: parseConnectTarget('a.test:443'),
  }

  async function enter({ head, target }: typeof GET, by: Bounds, limits: Limits) {
    assert.ok(typeof target !== 'string')
    return await enterLimits(principal, by, target, head, limits)
  }
  const principal = { agent: { tenant: 'acme', agent: 'bot-01' } }

  for (const [kind, limits] of [
    ['at once', atOnce],
    ['later', later],
  ] as const)
    describe(`where they answer ${kind}`, () => {
      it('are taken of the tenant, entered of the agent and then of the tenant, and left once', async () => {
        const leave = await enter(
          GET,
          bounds(
            { requestsPerMinute: 3, concurrentRequests: 2, concurrentTunnels: 9 },
            { requestsPerMinute: 30, burst: 7, concurrentRequests: 20 },
          ),
          limits,
        )
        assert.ok(typeof leave === 'function')
        // the rate of the agent was taken before policy was asked
        assert.deepEqual(asked, [
          'enter egress-requests:acme/bot-01 2',
          'take egress:acme 30 7',
          'enter egress-requests:acme 20',
        ])
        leave()
        leave()
        assert.deepEqual(left, ['egress-requests:acme/bot-01', 'egress-requests:acme'])
      })

      for (const [what, entry] of [
        ['a tunnel', CONNECT],
        ['a WebSocket', SOCKET],
      ] as const)
        it(`count ${what} among tunnels`, async () => {
          const own = { concurrentRequests: 1, concurrentTunnels: 2 }
          answers.set('enter egress-tunnels:acme/bot-01 2', 'full')
          const refused = await enter(entry, bounds(own), limits)
          assert.ok(refused instanceof Refused)
          assert.deepEqual(asked, ['enter egress-tunnels:acme/bot-01 2'])
          assert.equal(refused.error.message, '2 tunnels at once are allowed to this agent')
          assert.equal(refused.error.retryAfterMs, 1_000)
          assert.deepEqual([refused.gate, refused.error.code], ['limits', 'MESH_LIMIT_CONCURRENCY'])
        })

      for (const [question, answer, code, message, retryAfterMs] of [
        [
          'enter egress-requests:acme/bot-01 2',
          'full',
          'MESH_LIMIT_CONCURRENCY',
          '2 requests at once are allowed to this agent',
          1_000,
        ],
        [
          'take egress:acme 30 30',
          1_234,
          'MESH_RATE_LIMITED',
          '30 requests per minute are allowed to its tenant',
          1_234,
        ],
        [
          'enter egress-requests:acme 20',
          'full',
          'MESH_LIMIT_CONCURRENCY',
          '20 requests at once are allowed to its tenant',
          1_000,
        ],
      ] as const)
        it(`leave nothing of a request that ${question} refuses, or cannot answer`, async () => {
          const all = bounds(
            { concurrentRequests: 2 },
            { requestsPerMinute: 30, concurrentRequests: 20 },
          )
          answers.set(question, answer)
          const refused = await enter(GET, all, limits)
          assert.ok(refused instanceof Refused)
          assert.equal(refused.gate, 'limits')
          assert.deepEqual(
            [refused.error.code, refused.error.message, refused.error.retryAfterMs],
            [code, message, retryAfterMs],
          )
          assert.equal(asked.at(-1), question, 'nothing more is asked')
          const entered = asked.filter((one) => one.startsWith('enter') && one !== question)
          assert.equal(left.length, entered.length)
          const [before, fault] = [asked.splice(0), new Error('away')]
          answers.set(question, fault)
          left = []
          await assert.rejects(async () => enter(GET, all, limits), fault)
          assert.deepEqual([asked, left.length], [before, entered.length])
        })

      for (const [own, tenant, whose] of [
        [9, null, 'this agent'],
        [10, 9, 'its tenant'],
        [null, 9, 'its tenant'],
        [10, 10, null],
        [null, null, null],
      ] as const)
        it(`of ${own} and ${tenant} bytes ${whose === null ? 'take' : 'refuse'} a body of 10`, async () => {
          const by = bounds(
            { maxBodyBytes: own, concurrentRequests: 1 },
            tenant === null ? null : { maxBodyBytes: tenant },
          )
          const entered = await enter(POST, by, limits)
          assert.equal(entered instanceof Refused, whose !== null)
          if (entered instanceof Refused) {
            assert.equal(entered.error.code, 'MESH_LIMIT_SIZE')
            assert.equal(
              entered.error.message,
              `the body is larger than the 9 bytes allowed to ${whose}`,
            )
          }
          if (whose !== null) assert.deepEqual(asked, [], 'a body that is too large enters nothing')
          assert.equal(left.length, 0)
          assert.equal(
            typeof (await enter(CHUNKS, by, limits)),
            'function',
            'its length is not known',
          )
        })

      it('take one of the rate of an agent, with a burst of one at least', async () => {
        const { agent } = principal
        assert.equal(await takeOwnRate(agent, bounds({}), limits), null)
        assert.equal(await takeOwnRate(agent, bounds({ requestsPerMinute: 60 }), limits), null)
        assert.equal(await takeOwnRate(agent, bounds({ requestsPerMinute: 0.5 }), limits), null)
        assert.equal(
          await takeOwnRate(agent, bounds({ requestsPerMinute: 60, burst: 2 }), limits),
          null,
        )
        const key = 'take egress:acme/bot-01'
        assert.deepEqual(asked, [`${key} 60 60`, `${key} 0.5 1`, `${key} 60 2`])
        answers.set(`${key} 60 60`, 5)
        const refused = await takeOwnRate(agent, bounds({ requestsPerMinute: 60 }), limits)
        assert.equal(refused?.error.message, '60 requests per minute are allowed to this agent')
        assert.equal(refused?.error.retryAfterMs, 5)
      })
    })

  it('are entered at once where they answer at once, and only where there are any', () => {
    const entered = (by: Bounds, limits: Limits) => {
      asked = []
      const result = enterLimits(principal, by, ...one(GET), limits)
      return [result instanceof Promise, asked] as const
    }
    assert.deepEqual(entered(bounds({}), later), [false, []])
    const key = 'enter egress-requests:acme/bot-01 1'
    assert.deepEqual(entered(bounds({ concurrentRequests: 1 }), atOnce), [false, [key]])
    assert.deepEqual(entered(bounds({ concurrentRequests: 1 }), later), [true, []])
    assert.deepEqual(entered(bounds({}, { requestsPerMinute: 2 }), atOnce), [
      false,
      ['take egress:acme 2 2'],
    ])
    // of something else, or taken before
    for (const own of ['requestsPerMinute', 'concurrentTunnels', 'maxBodyBytes'])
      assert.deepEqual(entered(bounds({ [own]: 1 }), atOnce), [false, []], own)
  })
  function one({ target, head }: typeof GET) {
    assert.ok(typeof target !== 'string')
    return [target, head] as const
  }

  it('are of the agent, and of the tenant where it has any', () => {
    const { agent } = principal
    const scopes = (by: Bounds, tunnel: boolean) =>
      limitScopes(agent, by, tunnel).map(({ whose, room }) => `${room?.key}: ${whose}`)
    const some = { concurrentRequests: 1, concurrentTunnels: 1 }
    assert.deepEqual(scopes(bounds({}), false), ['undefined: this agent'])
    assert.deepEqual(scopes(bounds(some), true), ['egress-tunnels:acme/bot-01: this agent'])
    assert.deepEqual(scopes(bounds(some, some), false), [
      'egress-requests:acme/bot-01: this agent',
      'egress-requests:acme: its tenant',
    ])
    assert.deepEqual(
      [GET, POST, SOCKET, CONNECT].map((entry) => isTunnel(...one(entry))),
      [false, false, true, true],
    )
  })

  for (const [own, tenant, maxBytes, whose] of [
    [null, null, null, ''],
    [5, null, 5, 'this agent'],
    [null, 6, 6, 'its tenant'],
    [5, 6, 5, 'this agent'],
    [6, 6, 6, 'this agent'],
    [7, 6, 6, 'its tenant'],
  ] as const)
    it(`of ${own} bytes of the agent and ${tenant} of the tenant are ${maxBytes ?? 'none'} for a body`, () => {
      const limit = bodyLimit(
        bounds({ maxBodyBytes: own }, tenant === null ? null : { maxBodyBytes: tenant }),
      )
      assert.equal(limit?.maxBytes ?? null, maxBytes)
      if (limit !== null)
        assert.equal(
          limit.message,
          `the body is larger than the ${maxBytes} bytes allowed to ${whose}`,
        )
    })
})
