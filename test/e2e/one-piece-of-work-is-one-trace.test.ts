/** Delegations, fetches, token exchanges: the audit lines of both planes show one trace id for all that is done for one task. */
import assert from 'node:assert/strict'
import { createServer, type Server } from 'node:http'
import type { Agent } from '@clawmesh/agent-sdk'
import { parseTraceparent } from '@clawmesh/proto'
import { closeServer, listenOnFreePort } from '../support/http-origin.ts'
import { type Mesh, startMesh } from '../support/mesh.ts'
import { waitFor } from '../support/wait-for.ts'

const idOf = (traceparent: string) => parseTraceparent(traceparent)?.traceId
const named = (digits: string) => `00-${digits.repeat(32)}-${'1'.repeat(16)}-01`

describe('one piece of work is one trace', function () {
  this.timeout(60_000)
  let mesh: Mesh
  let origin: Server
  let planner: Agent
  let researcher: Agent
  const seen: string[] = []

  before(async () => {
    origin = createServer((request, response) => {
      seen.push(String(request.headers.traceparent))
      response.end('page')
    })
    const port = await listenOnFreePort(origin)
    mesh = await startMesh({
      policy: {
        _global: { egress: { allowCidrs: ['127.0.0.0/8'], ports: [port] } },
        acme: {
          egress: { allow: [`open.example:${port}`] },
          delegation: { allow: [{ from: '*', to: '*' }] },
        },
      },
    })
    mesh.addHost('open.example', ['127.0.0.1'])
    planner = await mesh.agent('acme', 'planner')
    await mesh.serve('acme', 'writer', {
      skills: {
        async write(_task, ctx) {
          const page = await ctx.fetch(`http://open.example:${port}/`)
          return page.text()
        },
      },
    })
    const serving = await mesh.serve('acme', 'researcher', {
      skills: {
        async read(_task, ctx) {
          await ctx.fetch(`http://open.example:${port}/`)
          // a tunnel, in which nobody answers TLS: its record is what counts
          await researcher.fetch(`https://open.example:${port}/`).catch(() => {})
          await researcher.peers()
          await ctx.delegate('writer', { skill: 'write' }).result()
        },
        async asks(_task, ctx) {
          const answer = await ctx.ask('which page?')
          return `${ctx.traceparent} ${_task.chain?.rootId} ${answer.text()}`
        },
      },
    })
    researcher = serving.agent
    url = `http://open.example:${port}/`
  })
  let url = ''
  after(async () => {
    await mesh.close()
    await closeServer(origin)
  })

  /** What was done under a trace, by method, once there is so much of it. */
  async function doneUnder(traceId: string | undefined, count: number) {
    const lines = await waitFor(`${count} audit lines of ${traceId}`, async () => {
      const found = (await mesh.audit()).filter((line) => line.trace_id === traceId)
      return found.length >= count ? found : undefined
    })
    const what = lines.map(
      ({ agent_id, grpc_method, method }) =>
        `${agent_id} ${String(grpc_method ?? method).replace(/^.*\//, '')}`,
    )
    return what.sort()
  }
  const TASK = [
    'planner Delegate',
    'researcher CONNECT',
    'researcher Delegate',
    'researcher ExchangeToken',
    'researcher GET',
    'researcher ListPeers',
    'writer ExchangeToken',
    'writer GET',
  ]

  it('that a caller names in an option', async () => {
    const traceparent = named('a')
    const task = planner.delegate('researcher', { skill: 'read', traceparent })
    await task.result()
    assert.deepEqual(await doneUnder(idOf(traceparent), TASK.length), TASK)
    const lines = (await mesh.audit()).filter((line) => line.root_id === task.rootId)
    assert.deepEqual(
      new Set(lines.map((line) => `${line.event} ${line.trace_id}`)),
      new Set([`delegation ${task.traceId}`, `egress ${task.traceId}`]),
      'the caller knows the tree as both planes record it',
    )
  })

  it('that begins with the delegation when nobody names it', async () => {
    const before = seen.length
    await planner.delegate('researcher', { skill: 'read' }).result()
    const mine = seen.slice(before).map(idOf)
    assert.equal(new Set(mine).size, 1)
    assert.deepEqual(await doneUnder(mine[0], TASK.length), TASK)
  })

  it('of a fetch outside of any task, with its exchange, and of the list of peers', async () => {
    const fresh = await mesh.agent('acme', 'loner')
    const traceparent = named('b')
    const before = seen.length
    await (await fresh.fetch(url, { headers: { traceparent } })).text()
    await fresh.peers({ traceparent })
    const expected = ['loner ExchangeToken', 'loner GET', 'loner ListPeers']
    assert.deepEqual(await doneUnder(idOf(traceparent), 3), expected)
    const [got = ''] = seen.slice(before)
    assert.equal(idOf(got), idOf(traceparent))
    assert.notEqual(got, traceparent, 'each hop is a span of its own')
  })

  it('of all calls about a task: its answer, its cancel, and the Watch that goes on after the gateway died', async () => {
    const traceparent = named('c')
    const asked = planner.delegate('researcher', { skill: 'asks', traceparent, detached: true })
    assert.equal(asked.traceId, idOf(traceparent))
    const other = planner.delegate('researcher', { skill: 'asks', traceparent, detached: true })
    for (const one of [asked, other])
      for await (const event of one) if (event.kind === 'input-required') break
    await mesh.gateway.kill()
    await mesh.gateway.start()
    await other.cancel()
    await asked.sendInput('this one')
    const [trace = '', root, ...answer] = (await asked.result()).text().split(' ')
    assert.match(root ?? '', /^[0-9a-f-]{36}$/)
    assert.deepEqual(
      [idOf(trace), root, answer],
      [idOf(traceparent), asked.rootId, ['this', 'one']],
    )
    await assert.rejects(other.result(), { code: 'MESH_TASK_CANCELED' })
    const done = await doneUnder(idOf(traceparent), 5)
    for (const method of ['Watch', 'Cancel', 'SendInput', 'Get'])
      assert.ok(done.includes(`planner ${method}`), `${method} of ${done}`)
    const lines = await mesh.audit()
    const about = lines.filter((line) => line.delegation_id === asked.id)
    assert.deepEqual(new Set(about.map((line) => line.trace_id)), new Set([idOf(traceparent)]))
    assert.deepEqual(new Set(about.map((line) => line.root_id)), new Set([asked.rootId]))
  })

  it('that is named later, for a task that another process began', async () => {
    const begun = planner.delegate('researcher', { skill: 'read', detached: true })
    await begun.result()
    const traceparent = named('d')
    const again = await mesh.agent('acme', 'planner')
    await again.watch('researcher', begun.id, 0, { traceparent }).result()
    await again.get('researcher', begun.id, { traceparent })
    for await (const _ of again.list('researcher', {}, { traceparent })) break
    await again.explain('researcher', '', { traceparent })
    await again.whoAmI({ traceparent })
    const expected = ['Explain', 'Get', 'List', 'Watch', 'WhoAmI'].map((one) => `planner ${one}`)
    assert.deepEqual(await doneUnder(idOf(traceparent), 5), expected)
  })

  it('and what is no traceparent is wrong use', async () => {
    for (const traceparent of ['', 'x', `00-${'0'.repeat(32)}-${'1'.repeat(16)}-01`])
      assert.throws(() => planner.delegate('researcher', { skill: 'read', traceparent }), TypeError)
    const asked = { traceparent: 'x' }
    await assert.rejects(planner.peers(asked), TypeError)
    await assert.rejects(planner.explain('researcher', '', asked), TypeError)
    await assert.rejects(planner.whoAmI(asked), TypeError)
    const id = '0190a1b2-0000-7000-8000-000000000000'
    assert.throws(() => planner.watch('researcher', id, 0, asked), TypeError)
    assert.throws(() => planner.list('researcher', {}, asked), TypeError)
    await assert.rejects(planner.get('researcher', id, asked), TypeError)
  })
})
