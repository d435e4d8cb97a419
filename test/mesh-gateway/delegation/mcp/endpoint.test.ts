/** The MCP endpoint against bad input, over both versions of HTTP: each request gets an answer in words, and holds nothing afterwards. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import tls from 'node:tls'
import { checkIsGateway, clientTlsOptions } from '@clawmesh/agent-sdk/mesh'
import type { GuardLimits } from '../../../../mesh-gateway/src/config/guard-limits.ts'
import { createRefusalBudgets } from '../../../../mesh-gateway/src/limits/refusal-budget.ts'
import { type McpFetch, mcpFetch } from '../../../support/mcp-client.ts'
import { waitFor } from '../../../support/wait-for.ts'
import { call, echo, type Fixture, GATEWAY, makeFixture, OPEN_POLICY } from '../fixture.ts'

const KEYS = [randomBytes(32)]
const PING = { jsonrpc: '2.0', id: 1, method: 'ping' }
const INITIALIZE = {
  ...{ jsonrpc: '2.0', id: 1, method: 'initialize' },
  params: {
    protocolVersion: '2025-06-18',
    capabilities: {},
    clientInfo: { name: 'x', version: '1' },
  },
}

interface Rpc {
  readonly id: unknown
  readonly result?: Record<string, unknown>
  readonly error?: {
    readonly code: number
    readonly message: string
    readonly data?: { code: string }
  }
}

describe('the MCP endpoint', () => {
  const open: (() => Promise<void>)[] = []
  afterEach(async () => {
    for (const close of open.splice(0).toReversed()) await close()
  })

  async function start(guard: Partial<GuardLimits> = {}, keys = KEYS): Promise<Fixture> {
    const fixture = await makeFixture(OPEN_POLICY, { guard, mcp: { sessionKeys: () => keys } })
    open.push(() => fixture.close())
    return fixture
  }

  async function clientOf(
    fixture: Fixture,
    http2 = false,
    identityDir?: string,
  ): Promise<McpFetch> {
    const { host, port } = fixture.port.address
    const dir = identityDir ?? (await fixture.ca.agentDir({ tenant: 'acme', agent: 'planner' }))
    const client = await mcpFetch({
      ...{ delegation: `${host}:${port}`, name: GATEWAY, identityDir: dir, http2 },
    })
    open.push(client.close)
    return client
  }

  /** The messages of a body, whatever its form. */
  function rpcOf(text: string): Rpc[] {
    if (text === '') return []
    const data = /^(?:event|:)/.test(text)
      ? [...text.matchAll(/^data: (.*)$/gm)].map(([, json = '']) => json)
      : [text]
    return data.flatMap((json): Rpc[] => JSON.parse(json))
  }

  const callOf = (name: unknown, args: unknown, id: unknown = 5) => ({
    ...{ jsonrpc: '2.0', id, method: 'tools/call' },
    params: { name, arguments: args },
  })

  for (const http2 of [false, true])
    describe(`over HTTP/${http2 ? '2' : '1.1'}`, () => {
      it('refuses each bad request in words, with one record, and goes on', async () => {
        const fixture = await start()
        const client = await clientOf(fixture, http2)
        const cases: [string, unknown, Record<string, string>, number, string][] = [
          ['no JSON', '{', {}, 400, 'MESH_MCP_REQUEST'],
          ['nothing', '', {}, 400, 'MESH_MCP_REQUEST'],
          ['an empty batch', '[]', {}, 400, 'MESH_MCP_REQUEST'],
          ['a form', PING, { 'content-type': 'text/plain' }, 400, 'MESH_MCP_REQUEST'],
          [
            'a revision to come',
            PING,
            { 'mcp-protocol-version': '2999-01-01' },
            400,
            'MESH_MCP_REQUEST',
          ],
          ['a page', PING, { origin: 'https://evil.example' }, 403, 'MESH_MCP_ORIGIN'],
          [
            'a guessed session',
            PING,
            { 'mcp-session-id': 'A'.repeat(64) },
            404,
            'MESH_MCP_SESSION',
          ],
          ['an empty session', PING, { 'mcp-session-id': '' }, 404, 'MESH_MCP_SESSION'],
          [
            'a long header',
            PING,
            { 'x-long': 'x'.repeat(15_000), 'x-more': 'x'.repeat(15_000) },
            413,
            'MESH_LIMIT_SIZE',
          ],
        ]
        for (const [what, body, headers, status, code] of cases) {
          // HTTP/1.1 has its own bound on heads, before there is a request to answer
          if (!http2 && what === 'a long header') continue
          const before = fixture.records.length
          const answer = await client.post(body, headers)
          const [message] = rpcOf(await answer.text())
          assert.equal(answer.status, status, what)
          assert.equal(message?.error?.data?.code, code, what)
          assert.match(message?.error?.message ?? '', new RegExp(`^${code}: .+\\(.+\\)`), what)
          const records = fixture.records.slice(before)
          assert.deepEqual(
            records.map(({ reason, action_allowed, agent_id, request_id }) => [
              ...[reason, action_allowed, agent_id, request_id],
            ]),
            [[code, false, 'planner', answer.headers.get('x-request-id')]],
            what,
          )
        }
        assert.equal((await client.post(PING)).status, 200)
      })

      it('has its path with a slash at the end as well, and no other', async () => {
        const client = await clientOf(await start(), http2)
        const statusOf = async (path: string) => {
          const headers = { 'content-type': 'application/json' }
          const init = { method: 'POST', headers, body: JSON.stringify(PING) }
          const answer = await client.fetch(init, path)
          await answer.text()
          return answer.status
        }
        for (const path of ['/mcp', '/mcp?a', '/mcp/', '/mcp/?a'])
          assert.equal(await statusOf(path), 200, path)
        for (const path of ['/mcps', '/mcp//', '/mcp/a', '/a/mcp', '/MCP'])
          assert.notEqual(await statusOf(path), 200, path)
      })

      it('takes POST only, which refuses nothing: clients try the others', async () => {
        const fixture = await start()
        const client = await clientOf(fixture, http2)
        for (const method of ['GET', 'DELETE', 'PUT']) {
          const answer = await client.fetch({ method, headers: { accept: 'text/event-stream' } })
          assert.equal(answer.status, 405)
          assert.equal(answer.headers.get('allow'), 'POST')
          await answer.text()
        }
        assert.deepEqual(fixture.records, [])
      })

      it('answers faults of JSON-RPC under the id of their message', async () => {
        const fixture = await start()
        const client = await clientOf(fixture, http2)
        const cases: [unknown, number, unknown][] = [
          [{ jsonrpc: '2.0', id: 'a', method: 'resources/list' }, -32_601, 'a'],
          [{ jsonrpc: '2.0', id: 'b', method: 'constructor' }, -32_601, 'b'],
          [callOf('mesh_fetch', {}), -32_602, 5],
          [callOf('__proto__', {}), -32_602, 5],
          [callOf(7, {}), -32_602, 5],
          [{ jsonrpc: '1.0', id: 9, method: 'ping' }, -32_600, 9],
          [null, -32_600, null],
        ]
        for (const [message, code, id] of cases) {
          const answer = await client.post(message)
          assert.equal(answer.status, 200)
          const [rpc] = rpcOf(await answer.text())
          assert.deepEqual([rpc?.error?.code, rpc?.id], [code, id])
        }
        assert.equal(fixture.records.length, cases.length)
        const methods = new Set(fixture.records.map(({ grpc_method: method }) => method))
        // a method of the client's own making does not get into the record
        assert.deepEqual([...methods].sort(), ['mcp', 'mcp/tools/call'])
      })

      it('takes null and an empty list for no arguments', async () => {
        const client = await clientOf(await start(), http2)
        for (const none of [undefined, null, [], {}]) {
          const answer = await client.post(callOf('mesh_peers', none))
          const [rpc] = rpcOf(await answer.text())
          assert.equal(rpc?.result?.isError, false, JSON.stringify(rpc))
        }
      })

      it('checks arguments itself, and makes no call for wrong ones', async () => {
        const fixture = await start()
        const client = await clientOf(fixture, http2)
        const cases: [string, unknown][] = [
          ['mesh_delegate', {}],
          ['mesh_delegate', { peer: 5, skill: 'x' }],
          ['mesh_delegate', { peer: 'no peer!', skill: 'x' }],
          ['mesh_delegate', { peer: 'researcher', skill: 'no skill!' }],
          ['mesh_delegate', { peer: 'researcher', skill: 'x', extra: 1 }],
          ['mesh_delegate', { peer: 'researcher', skill: 'x', wait_seconds: -1 }],
          ['mesh_delegate', []],
          ['mesh_delegate', 'text'],
          ['mesh_task', { action: 'explode' }],
          ['mesh_task', { action: 'wait' }],
          ['mesh_task', { action: 'wait', id: 'no-id', peer: 'researcher' }],
          ['mesh_peers', { all: true }],
        ]
        for (const [name, args] of cases) {
          const answer = await client.post(callOf(name, args))
          const [rpc] = rpcOf(await answer.text())
          const details: unknown = rpc?.result?.structuredContent
          assert.equal(Reflect.get(Object(details), 'code'), 'TOOL_ARGUMENTS', JSON.stringify(args))
          assert.equal(rpc?.result?.isError, true)
        }
        assert.ok(fixture.records.every(({ grpc_method: method }) => method === 'mcp/tools/call'))
        assert.equal(fixture.records.length, cases.length)
      })

      it('sends its events and nothing else', async () => {
        const client = await clientOf(await start(), http2)
        const answer = await client.post(callOf('no_tool', {}))
        const error = {
          code: -32_602,
          message: 'there is no such tool; there are mesh_delegate, mesh_task, mesh_peers',
        }
        const data = JSON.stringify({ jsonrpc: '2.0', id: 5, error })
        assert.equal(await answer.text(), `: alive\n\nevent: message\ndata: ${data}\n\n`)
      })

      it('takes a body up to its bound, and no longer one', async () => {
        const fixture = await start({ mcpBodyBytes: 10_000 })
        const client = await clientOf(fixture, http2)
        const padded = (bytes: number) => {
          const empty = JSON.stringify({ ...PING, params: { pad: '' } }).length
          return JSON.stringify({ ...PING, params: { pad: 'x'.repeat(bytes - empty) } })
        }
        assert.equal((await client.post(padded(10_000))).status, 200)
        const answer = await client.post(padded(10_001))
        assert.equal(answer.status, 413)
        assert.match(await answer.text(), /MESH_LIMIT_SIZE/)
      })

      it('refuses an agent that has too many requests open, until one of them ends', async () => {
        const fixture = await start({ maxMcpRequestsPerAgent: 2 })
        const client = await clientOf(fixture, http2)
        const held: AbortController[] = []
        let arrived = 0
        await fixture.peer('researcher', () => {
          arrived += 1
        })
        for (const id of [1, 2]) {
          const stop = new AbortController()
          held.push(stop)
          const answer = await client.fetch({
            ...{ method: 'POST', signal: stop.signal },
            headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
            body: JSON.stringify(callOf('mesh_delegate', { peer: 'researcher', skill: 'x' }, id)),
          })
          answer.text().catch(() => {})
        }
        await waitFor('both calls', () => (arrived === 2 ? true : undefined))
        const full = await client.post(PING)
        assert.equal(full.status, 429)
        assert.equal(full.headers.get('retry-after'), '1')
        assert.match(await full.text(), /MESH_LIMIT_CONCURRENCY/)
        held[0]?.abort()
        await waitFor('a place', async () => {
          const answer = await client.post(PING)
          await answer.text()
          return answer.status === 200 ? true : undefined
        })
        held[1]?.abort()
      })

      it('leaves gRPC on the same port as it was', async () => {
        const fixture = await start()
        const client = await clientOf(fixture, http2)
        assert.equal((await client.post(PING)).status, 200)
        const planner = await fixture.ca.open(
          await fixture.ca.agentDir({ tenant: 'acme', agent: 'planner' }),
        )
        const peer = await fixture.peer('researcher', echo)
        const session = await fixture.connect(planner)
        const answer = await call(session, { ':authority': peer.name })
        assert.equal(answer.status, 0)
        // other paths are told the protocol to use, as ever
        const other = await client.fetch({ method: 'POST', body: '{}' }, '/mcpx')
        assert.equal(other.status, http2 ? 415 : 505)
        assert.match(await other.text(), /MESH_ROUTE_NOT_GRPC/)
      })

      it('is not there where it is off', async () => {
        const fixture = await makeFixture(OPEN_POLICY)
        open.push(() => fixture.close())
        const client = await clientOf(fixture, http2)
        const answer = await client.post(PING)
        assert.equal(answer.status, http2 ? 415 : 505)
        assert.match(await answer.text(), /MESH_ROUTE_NOT_GRPC/)
      })
    })

  it('speaks the revision that the client asks for, or else its newest', async () => {
    const client = await clientOf(await start())
    const asked = async (protocolVersion: unknown) => {
      const answer = await client.post({ ...INITIALIZE, params: { protocolVersion } })
      const [rpc] = rpcOf(await answer.text())
      assert.match(answer.headers.get('mcp-session-id') ?? '', /^[\w-]{64}$/)
      return rpc?.result?.protocolVersion
    }
    for (const version of ['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05'])
      assert.equal(await asked(version), version)
    for (const version of ['2099-01-01', '', 7, undefined])
      assert.equal(await asked(version), '2025-11-25')
  })

  it('keeps no sessions: a gateway that never saw one takes it, when it has the same keys, and begins another when not', async () => {
    const [one, other, strange] = [await start(), await start(), await start({}, [randomBytes(32)])]
    const begun = await (await clientOf(one)).post(INITIALIZE)
    const session = { 'mcp-session-id': begun.headers.get('mcp-session-id') ?? '' }
    await begun.text()
    const statusAt = async (fixture: Fixture) => {
      const answer = await (await clientOf(fixture)).post(PING, session)
      await answer.text()
      return answer.status
    }
    assert.equal(await statusAt(other), 200)
    assert.equal(await statusAt(strange), 404)
    // the client may send the id with which it begins anew
    const again = await (await clientOf(strange)).post(INITIALIZE, session)
    await again.text()
    assert.equal(again.status, 200)
    assert.notEqual(again.headers.get('mcp-session-id'), session['mcp-session-id'])
  })

  it('answers a batch of older clients, each message under its id', async () => {
    const client = await clientOf(await start())
    const answer = await client.post([
      { ...PING, id: 'a' },
      { jsonrpc: '2.0', method: 'notifications/initialized' },
      { ...PING, id: 'b' },
    ])
    const ids = rpcOf(await answer.text()).map(({ id }) => id)
    assert.deepEqual(ids.sort(), ['a', 'b'])
    const quiet = await client.post([{ jsonrpc: '2.0', method: 'notifications/initialized' }])
    assert.equal(quiet.status, 202)
  })

  it('answers with one JSON document where the client takes no stream', async () => {
    const client = await clientOf(await start())
    const answer = await client.post(callOf('mesh_peers', {}), { accept: 'application/json' })
    assert.equal(answer.headers.get('content-type'), 'application/json')
    const [rpc] = rpcOf(await answer.text())
    assert.equal(rpc?.result?.isError, false)
  })

  it('refuses a second request with an id that runs in the session', async () => {
    const fixture = await start()
    const client = await clientOf(fixture)
    const arrived = Promise.withResolvers<void>()
    await fixture.peer('researcher', () => arrived.resolve())
    const begun = await client.post(INITIALIZE)
    const session = { 'mcp-session-id': begun.headers.get('mcp-session-id') ?? '' }
    await begun.text()
    const wait = callOf('mesh_delegate', { peer: 'researcher', skill: 'x' }, 'one')
    const first = await client.post(wait, session)
    const second = await client.post(wait, session)
    const [rpc] = rpcOf(await second.text())
    assert.equal(rpc?.error?.code, -32_600)
    await arrived.promise
    await first.body?.cancel()
  })

  it('serves no certificate but an agent’s', async () => {
    const fixture = await start()
    const dir = await fixture.ca.gatewayDir({ name: 'gw-2', tenants: ['acme'] })
    const answer = await (await clientOf(fixture, false, dir)).post(PING)
    assert.equal(answer.status, 403)
    assert.match(await answer.text(), /MESH_IDENTITY_NOT_AGENT/)
  })

  it('counts refused requests against the agent, as calls', async () => {
    const refusals = createRefusalBudgets({ refusedPerAgent: 60, refusedPerAddress: 60 })
    const fixture = await makeFixture(OPEN_POLICY, {
      ...{ refusals, mcp: { sessionKeys: () => KEYS } },
    })
    open.push(() => fixture.close())
    const client = await clientOf(fixture)
    const codes = new Set<unknown>()
    for (let n = 0; n < 20; n += 1) {
      const [rpc] = rpcOf(await (await client.post('{')).text())
      codes.add(rpc?.error?.data?.code)
    }
    assert.deepEqual([...codes].sort(), ['MESH_MCP_REQUEST', 'MESH_RATE_LIMITED'])
  })

  describe('over bare HTTP/1.1', () => {
    async function socketTo(fixture: Fixture) {
      const dir = await fixture.ca.agentDir({ tenant: 'acme', agent: 'planner' })
      const planner = await fixture.ca.open(dir)
      const socket = tls.connect({
        ...clientTlsOptions(planner.current(), fixture.ca.spiffe, checkIsGateway, {
          servername: GATEWAY,
          alpn: ['http/1.1'],
        }),
        ...fixture.port.address,
      })
      let text = ''
      socket.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      socket.on('error', () => {})
      open.push(async () => void socket.destroy())
      await once(socket, 'secureConnect')
      // `once` would reject when the port ends it by a reset
      const ended = new Promise((resolve) => socket.once('close', resolve))
      return { socket, ended, said: () => text }
    }
    const head = (more: string) =>
      `POST /mcp HTTP/1.1\r\nhost: ${GATEWAY}\r\ncontent-type: application/json\r\n${more}\r\n`
    const body = JSON.stringify(PING)
    const whole = `${head(`content-length: ${body.length}\r\n`)}${body}`

    it('answers pipelined requests in their order', async () => {
      const { socket, said } = await socketTo(await start())
      socket.write(whole.repeat(3))
      await waitFor('three answers', () =>
        said().split('HTTP/1.1 200').length === 4 ? true : undefined,
      )
    })

    it('gives up a body that does not come', async () => {
      const fixture = await start({ handshakeMs: 300 })
      const { socket, ended, said } = await socketTo(fixture)
      socket.write(`${head('content-length: 100\r\n')}{`)
      await ended
      assert.match(said(), /^HTTP\/1\.1 504 .*MESH_CALL_DEADLINE/s)
      assert.equal(fixture.records[0]?.reason, 'MESH_CALL_DEADLINE')
    })

    it('forgets a client that leaves in the middle of a body', async () => {
      const fixture = await start()
      const { socket } = await socketTo(fixture)
      const record = fixture.nextRecord()
      socket.write(`${head('content-length: 100\r\n')}{`, () => socket.destroy())
      assert.equal((await record).reason, 'MESH_CALL_CANCELED')
    })

    it('answers a head that is no HTTP with the end of the connection', async () => {
      const { socket, ended, said } = await socketTo(await start())
      socket.write('\u0000\u0001\u0002 nonsense\r\n\r\n')
      await ended
      assert.equal(said(), '')
    })

    it('refuses lengths that contradict each other', async () => {
      const { socket, ended, said } = await socketTo(await start())
      socket.write(head('content-length: 2\r\ntransfer-encoding: chunked\r\n'))
      socket.write('0\r\n\r\n')
      await ended
      assert.equal(said(), '')
    })

    it('refuses headers that are given twice', async () => {
      const { socket, said } = await socketTo(await start())
      const session = 'mcp-session-id: a\r\nmcp-session-id: b\r\n'
      socket.write(`${head(`${session}content-length: ${body.length}\r\n`)}${body}`)
      await waitFor('the refusal', () => (said().includes('is given twice') ? true : undefined))
    })

    it('keeps an agent to its connections', async () => {
      const fixture = await start({ maxConnectionsPerAgent: 2 })
      const sockets = [await socketTo(fixture), await socketTo(fixture)]
      for (const { socket, said } of sockets) {
        socket.write(whole)
        await waitFor('an answer', () => (said().includes('HTTP/1.1 200') ? true : undefined))
      }
      const third = await socketTo(fixture)
      await third.ended
      assert.equal(third.said(), '')
      sockets[0]?.socket.destroy()
      await waitFor('room', async () => {
        const next = await socketTo(fixture)
        next.socket.write(whole)
        await Promise.race([next.ended, waitFor('it', () => next.said() !== '' || undefined)])
        return next.said() === '' ? undefined : true
      })
    })
  })
})
