import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { connect as tcpConnect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Skill } from '@clawmesh/agent-sdk'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { CallToolResultSchema } from '@modelcontextprotocol/sdk/types.js'
import { type Mesh, startMesh } from '../../support/mesh.ts'
import { waitFor } from '../../support/wait-for.ts'
import { type RunningCommand, runCommand, startCommand } from '../agent-process.ts'
import { blockOf } from '../tools/call.ts'

type Args = Readonly<Record<string, unknown>>
type Headers = Readonly<Record<string, string>>

const INITIALIZE = JSON.stringify({
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: {
    protocolVersion: '2025-06-18',
    capabilities: {},
    clientInfo: { name: 'raw', version: '1' },
  },
})

const PING = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' })

describe('mesh-agent mcp over HTTP', function () {
  this.timeout(180_000)
  let mesh: Mesh
  let dir: string
  let door: RunningCommand
  let url: URL
  let secret: string
  let secretFile: string
  let clients: Client[]
  let running: { readonly signal: AbortSignal; finish(value: string): void }[]

  const skills: Record<string, Skill> = {
    echo: (task) => task.text(),
    async gated(_task, ctx) {
      const { promise, resolve } = Promise.withResolvers<string>()
      running.push({ signal: ctx.signal, finish: resolve })
      ctx.signal.addEventListener('abort', () => resolve('aborted'), { once: true })
      return promise
    },
  }

  const flags = async () => [
    ...['mcp', '--identity', await mesh.identity('acme', 'planner')],
    ...['--gateway', mesh.gateway.delegation, '--state', join(dir, 'state')],
    ...['--listen', '127.0.0.1:0', '--secret-file', secretFile],
  ]
  const start = async (more: readonly string[] = []) => {
    const command = startCommand([...(await flags()), ...more])
    const said = await waitFor('the port', () => /on (http:\S+);/.exec(command.stderr()))
    return { command, url: new URL(said[1] ?? '') }
  }

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-mcp-'))
    secretFile = join(dir, 'state', 'secret')
    mesh = await startMesh({
      policy: { acme: { delegation: { allow: [{ from: 'planner', to: 'researcher' }] } } },
    })
    await mesh.serve('acme', 'researcher', { skills })
    const started = await start([
      '--allow-origin',
      'https://console.example',
      '--max-sessions',
      '5',
    ])
    door = started.command
    url = started.url
    secret = (await readFile(secretFile, 'utf8')).trim()
  })
  beforeEach(() => {
    clients = []
    running = []
  })
  afterEach(async () => {
    for (const { finish } of running) finish('over')
    for (const client of clients) await client.close()
  })
  after(async () => {
    door.signal('SIGTERM')
    const { code } = await door.ended
    await mesh.close()
    await rm(dir, { recursive: true, force: true })
    assert.equal(code, 0)
  })

  const connect = async () => {
    const transport = new StreamableHTTPClientTransport(url, {
      requestInit: { headers: { authorization: `Bearer ${secret}` } },
    })
    const client = new Client({ name: 'test', version: '1' })
    await client.connect(transport)
    clients.push(client)
    const call = async (name: string, args: Args, options = {}) => {
      const result = CallToolResultSchema.parse(
        await client.callTool({ name, arguments: { ...args } }, CallToolResultSchema, options),
      )
      const facts = result._meta?.['clawmesh/details']
      assert.ok(typeof facts === 'object' && facts !== null)
      const [first] = result.content
      return { text: first?.type === 'text' ? first.text : '', facts: { ...facts } as Args }
    }
    return { transport, call, end: () => transport.terminateSession() }
  }

  /** As a program without an MCP library. */
  const post = (headers: Headers, body = INITIALIZE, method = 'POST', path = '/mcp') => {
    const { promise, resolve, reject } = Promise.withResolvers<{
      status: number
      text: string
      id: string
    }>()
    const sent = httpRequest(
      {
        host: url.hostname,
        port: url.port,
        path,
        method,
        headers: { ...headers },
        agent: false,
      },
      async (response) => {
        let text = ''
        for await (const piece of response) text += String(piece)
        const id = String(response.headers['mcp-session-id'] ?? '')
        resolve({ status: response.statusCode ?? 0, text, id })
      },
    )
    sent.once('error', reject)
    sent.end(body)
    return promise
  }
  const good = () => ({
    authorization: `Bearer ${secret}`,
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
  })

  it('serves two sessions in one process, and their tasks are of one agent', async () => {
    const [one, two] = [await connect(), await connect()]
    const results = await Promise.all([
      one.call('mesh_delegate', { peer: 'researcher', skill: 'echo', input: 'one' }),
      two.call('mesh_delegate', { peer: 'researcher', skill: 'echo', input: 'two' }),
    ])
    assert.deepEqual(
      results.map(({ text }) => blockOf(text).inside),
      ['one', 'two'],
    )
    const kept = await one.call('mesh_delegate', {
      peer: 'researcher',
      skill: 'gated',
      wait_seconds: 0,
    })
    await one.end()
    await waitFor('the skill', () => running.length === 1)
    assert.equal(running[0]?.signal.aborted, false)
    running[0]?.finish('over both')
    const found = await two.call('mesh_task', { action: 'wait', id: kept.facts.id })
    assert.equal(blockOf(found.text).inside, 'over both')
    await two.end()
  })

  it('cancels what a session waits for when the session is ended', async () => {
    const session = await connect()
    const waiting = session
      .call('mesh_delegate', { peer: 'researcher', skill: 'gated' })
      .catch(() => 'ended')
    await waitFor('the skill', () => running.length === 1)
    await session.end()
    await waitFor('the cancel', () => running[0]?.signal.aborted)
    await clients.at(-1)?.close()
    assert.equal(await waiting, 'ended')
  })

  it('lets in a program that knows the secret, and nothing else', async () => {
    const { status, id } = await post(good())
    assert.equal(status, 200)
    assert.match(id, /^[0-9a-f-]{36}$/)
    await post({ ...good(), 'mcp-session-id': id }, '', 'DELETE')
    const refused = async (headers: Headers, expected: number, why: RegExp) => {
      const answer = await post({ ...good(), ...headers })
      assert.equal(answer.status, expected, JSON.stringify(headers))
      assert.match(answer.text, why)
      assert.ok(!answer.text.includes(secret))
    }
    await refused({ authorization: '' }, 401, /Authorization/)
    await refused({ authorization: 'Bearer wrong' }, 401, /Authorization/)
    await refused({ authorization: `Basic ${secret}` }, 401, /Authorization/)
    // a name that was pointed at this machine (DNS rebinding)
    await refused({ host: 'evil.example' }, 403, /Host/)
    await refused({ host: `127.0.0.1:${Number(url.port) + 1}` }, 403, /Host/)
    await refused({ origin: 'https://evil.example' }, 403, /web pages/)
    await refused({ origin: 'null' }, 403, /web pages/)
    const allowed = await post({ ...good(), origin: 'https://console.example' })
    assert.equal(allowed.status, 200)
    await post({ ...good(), 'mcp-session-id': allowed.id }, '', 'DELETE')
    const slashed = await post(good(), INITIALIZE, 'POST', '/mcp/')
    assert.equal(slashed.status, 200)
    await post({ ...good(), 'mcp-session-id': slashed.id }, '', 'DELETE')
    for (const path of ['/other', '/mcp//', '/mcp/x'])
      assert.equal((await post(good(), INITIALIZE, 'POST', path)).status, 404, path)
    assert.equal((await stat(secretFile)).mode & 0o777, 0o600)
  })

  it('outlives what is no message, and a session that does not exist', async () => {
    const cases: readonly (readonly [Headers, string, string, number])[] = [
      [good(), '{', 'POST', 400],
      [good(), '[]', 'POST', 400],
      [good(), '{"jsonrpc":"2.0","id":1,"method":"tools/list"}', 'POST', 400],
      [{ ...good(), 'content-type': 'text/plain' }, INITIALIZE, 'POST', 415],
      [{ ...good(), accept: 'text/html' }, INITIALIZE, 'POST', 406],
      [{ ...good(), 'mcp-session-id': 'no-such' }, PING, 'POST', 404],
      [{ ...good(), 'mcp-session-id': 'no-such' }, '{', 'POST', 404],
      [{ ...good(), 'mcp-session-id': 'no-such' }, '', 'GET', 404],
      [{ ...good(), 'mcp-session-id': 'no-such' }, 'x'.repeat(5 * 1024 * 1024), 'POST', 404],
      [good(), '', 'GET', 400],
      [good(), '', 'DELETE', 400],
      [good(), 'x'.repeat(5 * 1024 * 1024), 'POST', 413],
    ]
    for (const target of ['//', '//:', '/mcp/..'])
      assert.equal((await post(good(), INITIALIZE, 'POST', target)).status, 404, target)
    for (const [headers, body, method, status] of cases) {
      const answer = await post(headers, body, method).catch(() => ({ status: 413 }))
      assert.equal(answer.status, status, `${method} ${body.slice(0, 60)}`)
    }
    // a head that never ends is not waited for by the others
    const slow = tcpConnect(Number(url.port), url.hostname)
    slow.write('POST /mcp HTTP/1.1\r\n')
    const { call, end } = await connect()
    assert.match((await call('mesh_peers', {})).text, /- researcher/)
    await end()
    slow.destroy()
  })

  it('begins a session for a client that sends the id of one that has ended', async () => {
    const begun = await post({ ...good(), 'mcp-session-id': 'ended' })
    assert.equal(begun.status, 200)
    const session = { ...good(), 'mcp-session-id': begun.id }
    assert.equal((await post(session, PING)).status, 200)
    await post(session, '', 'DELETE')
  })

  it('has room for so many sessions, and says when there is none', async () => {
    const ids: string[] = []
    for (let i = 0; i < 5; i += 1) {
      const { status, id, text } = await post(good())
      assert.equal(status, 200, text)
      ids.push(id)
    }
    const full = await post(good())
    assert.equal(full.status, 503)
    assert.match(full.text, /too many sessions/)
    await post({ ...good(), 'mcp-session-id': ids[0] ?? '' }, '', 'DELETE')
    const again = await post(good())
    assert.equal(again.status, 200, again.text)
    for (const id of [...ids.slice(1), again.id])
      await post({ ...good(), 'mcp-session-id': id }, '', 'DELETE')
  })

  it('says what keeps it from listening', async () => {
    const readable = join(dir, 'readable')
    await writeFile(readable, `${'x'.repeat(30)}\n`, { mode: 0o644 })
    const ends = async (...more: string[]) => runCommand([...(await flags()), ...more])
    const [taken, open, bare] = await Promise.all([
      ends('--listen', `127.0.0.1:${url.port}`),
      ends('--listen', '0.0.0.0:7777'),
      ends('--secret-file', readable),
    ])
    assert.equal(taken.code, 1)
    assert.match(
      taken.stderr,
      /cannot listen on 127\.0\.0\.1:\d+ \(EADDRINUSE\)\nmesh-agent: hint: /,
    )
    assert.equal(open.code, 2)
    assert.match(open.stderr, /must be a loopback address/)
    assert.equal(bare.code, 1)
    assert.match(bare.stderr, /others can use it \(mode 0644\)\nmesh-agent: hint: chmod 600/)
  })
})
