/** Agents and the gateway export spans: one tree for one piece of work. A collector that is away or silent holds nothing up. */
import assert from 'node:assert/strict'
import { createServer, type ServerResponse } from 'node:http'
import type { Agent } from '@clawmesh/agent-sdk'
import { describeClosing } from '../support/closes-everything.ts'
import { type CollectedSpan, type Collector, startCollector } from '../support/collector.ts'
import { closeServer, listenOnFreePort } from '../support/http-origin.ts'
import { type Mesh, startMesh } from '../support/mesh.ts'
import { waitFor } from '../support/wait-for.ts'

describeClosing('a task is one tree of spans', function () {
  this.timeout(120_000)
  let collector: Collector
  let mesh: Mesh
  let planner: Agent
  let [url, closed] = ['', '']
  const origin = createServer((_request, response) => response.end('page'))

  before(async () => {
    collector = await startCollector()
    const port = await listenOnFreePort(origin)
    url = `http://page.example:${port}/`
    closed = `http://closed.example:${port}/`
    mesh = await startMesh({
      policy: {
        _global: { egress: { allowCidrs: ['127.0.0.0/8'], ports: [port] } },
        acme: {
          egress: { allow: [`page.example:${port}`] },
          delegation: { allow: [{ from: '*', to: '*' }] },
        },
      },
      config: { traces: { url: collector.url } },
    })
    mesh.addHost('page.example', ['127.0.0.1'])
    const traces = { url: collector.url }
    planner = await mesh.agent('acme', 'planner', { traces })
    const researcher = await mesh.agent('acme', 'researcher', { traces })
    const serving = await researcher.serve({
      listen: '127.0.0.1:0',
      skills: {
        read: async (_task, ctx) => (await ctx.fetch(url)).text(),
        brews: async (_task, ctx) => String((await ctx.fetch(url, { method: 'BREW' })).status),
        refuses: async (_task, ctx) => (await ctx.fetch(closed)).text(),
      },
    })
    mesh.announce('acme', 'researcher', serving.address.port)
  })
  after(async () => {
    await mesh?.close()
    await closeServer(origin)
    await collector?.close()
  })

  /** The spans of a trace, once there are those of these names. */
  const spansOf = (traceId: string, ...names: readonly string[]) =>
    waitFor(`${names.join(', ')} of ${traceId}`, () => {
      const found = collector.spans.filter((span) => span.traceId === traceId)
      return names.every((name) => found.some((span) => span.name === name)) && found
    })
  const named = (spans: readonly CollectedSpan[], name: string) => {
    const found = spans.filter((span) => span.name === name)
    assert.equal(found.length, 1, `${found.length} of ${name}`)
    const [span] = found
    assert.ok(span)
    return span
  }
  const DELEGATE = 'clawmesh.delegation.v1.DelegationService/Delegate'

  it('from the delegation to the page, each within the one before, with the trace id of the audit log', async () => {
    const task = planner.delegate('researcher', { skill: 'read' })
    await task.result()
    const names = ['delegate read', DELEGATE, 'task read', 'fetch GET', 'egress GET']
    const spans = await spansOf(task.traceId, ...names)
    const chain = names.map((name) => named(spans, name))
    assert.equal(chain[0]?.parentSpanId, null)
    for (const [i, span] of chain.entries()) {
      const within = chain[i - 1]
      if (within === undefined) continue
      assert.equal(span.parentSpanId, within.spanId, `${span.name} is within ${within.name}`)
    }
    assert.deepEqual(
      chain.map(({ resource }) => resource['service.name']),
      ['planner', 'clawmesh-gateway', 'researcher', 'researcher', 'clawmesh-gateway'],
    )
    assert.deepEqual(
      chain.map(({ kind }) => kind),
      [3, 2, 2, 3, 2],
    )
    assert.deepEqual(new Set(spans.map(({ error }) => error)), new Set([null]))
    // the token of the researcher is asked for within its fetch
    const exchange = named(spans, 'clawmesh.mesh.v1.MeshService/ExchangeToken')
    assert.equal(exchange.parentSpanId, named(spans, 'fetch GET').spanId)

    const line = await mesh.auditLine(
      'of the fetch',
      ({ trace_id, event }) => trace_id === task.traceId && event === 'egress',
    )
    const { attributes } = named(spans, 'egress GET')
    assert.equal(attributes['clawmesh.request_id'], line.request_id)
    assert.equal(attributes['clawmesh.agent_id'], 'researcher')
    assert.equal(attributes['server.address'], 'page.example')
    assert.equal(attributes['http.response.status_code'], 200)
    assert.ok(
      !JSON.stringify(spans, (_, value) => (typeof value === 'bigint' ? '' : value)).includes(
        'eyJ',
      ),
    )
  })

  it('of a trace that somebody else began, within the span that was named', async () => {
    const traceId = 'c0ffee'.padEnd(32, '0')
    const traceparent = `00-${traceId}-00f067aa0ba902b7-01`
    await planner.delegate('researcher', { skill: 'read', traceparent }).result()
    const spans = await spansOf(traceId, 'delegate read', DELEGATE, 'task read', 'egress GET')
    assert.equal(named(spans, 'delegate read').parentSpanId, '00f067aa0ba902b7')
    assert.equal(named(spans, DELEGATE).parentSpanId, named(spans, 'delegate read').spanId)
  })

  it('with the reason where something is refused', async () => {
    const task = planner.delegate('researcher', { skill: 'refuses' })
    await assert.rejects(task.result())
    const spans = await spansOf(task.traceId, 'delegate refuses', 'fetch GET', 'egress GET')
    for (const name of ['egress GET', 'fetch GET', 'task refuses', 'delegate refuses'])
      assert.match(named(spans, name).error ?? '', /^MESH_/, name)
    assert.equal(named(spans, 'egress GET').error, 'MESH_POLICY_NOT_ALLOWED')
    // the call itself went well: the task that it began did not
    assert.equal(named(spans, DELEGATE).error, null)
  })

  it('under few names, whatever method a client makes up', async () => {
    const task = planner.delegate('researcher', { skill: 'brews' })
    await task.result()
    const spans = await spansOf(task.traceId, 'fetch _OTHER', 'egress _OTHER')
    for (const name of ['fetch _OTHER', 'egress _OTHER']) {
      const { attributes } = named(spans, name)
      assert.equal(attributes['http.request.method'], '_OTHER')
      assert.equal(attributes['http.request.method_original'], 'BREW')
    }
  })

  const count = async (result: string) => {
    const text = await (await fetch(`http://${mesh.gateway.admin}/metrics`)).text()
    return Number(
      new RegExp(`^clawmesh_spans_total\\{result="${result}"\\} (\\d+)$`, 'm').exec(text)?.[1] ?? 0,
    )
  }

  it('and is told of by a metric', async () => {
    await waitFor('spans', async () => (await count('exported')) > 5)
    assert.equal(await count('dropped'), 0)
    assert.deepEqual(collector.faults, [])
  })

  it('while the collector is silent no call waits for it', async () => {
    const before = collector.posts()
    const silent: ServerResponse[] = []
    collector.answer((request, response) => {
      request.resume()
      silent.push(response)
    })
    const task = () => planner.delegate('researcher', { skill: 'read' }).result()
    await task()
    await waitFor('a post of each', () => silent.length >= 3)
    for (let i = 0; i < 10; i += 1) await Promise.all([task(), task(), task()])
    // each sends one batch at a time: the spans of 30 tasks wait for its answer
    assert.ok(collector.posts() - before < 30)
    for (const response of silent) response.destroy()
  })

  it('and once the collector is back, spans arrive again', async () => {
    collector.answer(null)
    const task = planner.delegate('researcher', { skill: 'read' })
    await task.result()
    await spansOf(task.traceId, 'delegate read', DELEGATE, 'task read', 'fetch GET', 'egress GET')
    assert.deepEqual(collector.faults, [])
  })
})
