/**
 * Gateway and agents export spans to a real OpenTelemetry Collector, which hands them on to a store. A Collector that is
 * dead or slow holds no call up.
 */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Agent } from '@clawmesh/agent-sdk'
import { describeClosing } from '../../support/closes-everything.ts'
import { closeServer, listenOnFreePort } from '../../support/http-origin.ts'
import { type Mesh, startMesh } from '../../support/mesh.ts'
import type { Program } from '../../support/start-program.ts'
import { waitFor } from '../../support/wait-for.ts'
import { type CollectorShipper, collector } from './shippers.ts'
import { type SpanStore, startSpanStore } from './span-store.ts'

const NAMES = [
  'delegate read',
  'clawmesh.delegation.v1.DelegationService/Delegate',
  'task read',
  'fetch GET',
  'egress GET',
]
const HANG = { withinMs: 120_000 }

describeClosing('spans through a Collector', function () {
  this.timeout(600_000)
  let dir: string
  let store: SpanStore
  let shipper: CollectorShipper
  let program: Program
  let mesh: Mesh
  let planner: Agent
  const origin = createServer((_request, response) => response.end('page'))

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'spans-'))
    store = await startSpanStore()
    shipper = await collector({
      ...{ dir, gatewayLogs: join(dir, 'none'), openclawLogs: join(dir, 'none') },
      ...{ logs: '127.0.0.1:1', traces: store.address },
    })
    program = await shipper.start()
    const port = await listenOnFreePort(origin)
    const traces = { url: shipper.tracesUrl }
    mesh = await startMesh({
      policy: {
        _global: { egress: { allowCidrs: ['127.0.0.0/8'], ports: [port] } },
        acme: {
          egress: { allow: [`page.example:${port}`] },
          delegation: { allow: [{ from: '*', to: '*' }] },
        },
      },
      config: { traces },
    })
    mesh.addHost('page.example', ['127.0.0.1'])
    planner = await mesh.agent('acme', 'planner', { traces })
    const researcher = await mesh.agent('acme', 'researcher', { traces })
    const serving = await researcher.serve({
      listen: '127.0.0.1:0',
      skills: {
        read: async (_task, ctx) => (await ctx.fetch(`http://page.example:${port}/`)).text(),
      },
    })
    mesh.announce('acme', 'researcher', serving.address.port)
  })
  after(async () => {
    await mesh?.close()
    await program?.close()
    await store?.close()
    await closeServer(origin)
    await rm(dir, { recursive: true, force: true })
  })

  const task = () => planner.delegate('researcher', { skill: 'read' })
  /** A task whose whole tree comes into the store. */
  const arrives = async () => {
    const { traceId, result } = await begun()
    await result
    return await waitFor(
      `the spans of ${traceId}; ${program.lastLines().slice(-3).join('\n')}`,
      () => {
        const found = store.spans.filter((span) => span.traceId === traceId)
        return NAMES.every((name) => found.some((span) => span.name === name)) && found
      },
      HANG,
    )
  }
  const begun = async () => {
    const one = task()
    return { traceId: one.traceId, result: one.result() }
  }
  const dropped = async () => {
    const text = await (await fetch(`http://${mesh.gateway.admin}/metrics`)).text()
    return Number(/^clawmesh_spans_total\{result="dropped"\} (\d+)$/m.exec(text)?.[1] ?? 0)
  }

  it('arrive in the store as one tree, each within the one before', async () => {
    const spans = await arrives()
    const chain = NAMES.map((name) => spans.find((span) => span.name === name))
    for (const [index, span] of chain.entries())
      assert.equal(span?.parentSpanId, chain[index - 1]?.spanId ?? '', NAMES[index])
    assert.deepEqual(
      chain.map((span) => span?.service),
      ['planner', 'clawmesh-gateway', 'researcher', 'researcher', 'clawmesh-gateway'],
    )
    assert.equal(await dropped(), 0)
  })

  it('wait for nobody while the Collector is dead, and arrive again when it is back', async () => {
    program.signal('SIGKILL')
    await program.close()
    for (let round = 0; round < 10; round += 1)
      await Promise.all([task(), task(), task()].map((one) => one.result()))
    program = await shipper.start()
    await arrives()
  })

  it('wait for nobody while the Collector takes and does not answer', async () => {
    program.signal('SIGSTOP')
    try {
      for (let round = 0; round < 10; round += 1)
        await Promise.all([task(), task(), task()].map((one) => one.result()))
    } finally {
      program.signal('SIGCONT')
    }
    await arrives()
  })

  it('wait in the queue of the Collector while the store is away', async () => {
    store.refuse(true)
    const { traceId, result } = await begun()
    await result
    await waitFor('a refusal', () => store.refused() > 0, HANG)
    store.refuse(false)
    await waitFor(
      'the span',
      () => store.spans.some((span) => span.traceId === traceId && span.name === 'egress GET'),
      HANG,
    )
  })
})
