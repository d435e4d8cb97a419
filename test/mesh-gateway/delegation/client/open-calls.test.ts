/** Open calls take memory, so they are bounded also where policy sets no limit: of an agent, of a tenant and of all. */
import assert from 'node:assert/strict'
import type { ClientHttp2Session, ServerHttp2Stream } from 'node:http2'
import { waitFor } from '../../../support/wait-for.ts'
import { type Answer, call, echo, type Fixture, makeFixture } from '../fixture.ts'

const allow = [{ from: '*', to: '*' }]
const accept = [{ from: 'globex/*', to: '*' }]

describe('calls that are open at once', () => {
  let mesh: Fixture
  let held: ServerHttp2Stream[] = []
  const sessions = new Map<string, ClientHttp2Session>()

  async function open(limits: object = {}): Promise<void> {
    const acme = { tenant: 'acme', delegation: { allow, accept, limits } }
    const globex = { tenant: 'globex', delegation: { allow: [{ from: '*', to: 'acme/*' }] } }
    const guard = { maxCalls: 8, maxCallsPerTenant: 6, maxCallsPerAgent: 4 }
    mesh = await makeFixture([acme, globex], { guard })
    const mine: ServerHttp2Stream[] = []
    held = mine
    for (const [tenant, agent] of [
      ['acme', 'a'],
      ['acme', 'b'],
      ['globex', 'c'],
    ] as const) {
      const identity = await mesh.ca.open(await mesh.ca.agentDir({ tenant, agent }))
      sessions.set(agent, await mesh.connect(identity))
    }
    await mesh.peer('callee', (stream) => void mine.push(stream))
  }
  afterEach(() => mesh.close())

  async function ask(from: string): Promise<Answer> {
    const session = sessions.get(from)
    assert.ok(session)
    return await call(session, { ':authority': 'callee.acme.mesh.internal' })
  }
  /** Opens so many, which are all let in. */
  async function hold(from: string, count: number): Promise<Promise<Answer>[]> {
    const most = held.length + count
    const answers = Array.from({ length: count }, () => ask(from))
    await waitFor(`${most} calls at the callee`, () => (held.length === most ? true : undefined))
    return answers
  }
  async function refused(from: string, words: RegExp): Promise<void> {
    const answer = await ask(from)
    assert.equal(answer.error?.code, 'MESH_LIMIT_CONCURRENCY')
    assert.equal(answer.error?.retryAfterMs, 1_000)
    assert.match(answer.message, words)
  }

  it('are bounded for an agent, for its tenant and for all, and room is given back', async () => {
    await open()
    const answers = await hold('a', 4)
    await refused('a', /this agent/)
    answers.push(...(await hold('b', 2)))
    await refused('b', /its tenant/)
    answers.push(...(await hold('c', 2)))
    await refused('c', /the gateway/)
    for (const stream of held.splice(0)) echo(stream)
    for (const answer of await Promise.all(answers)) assert.equal(answer.status, 0)
    const again = await hold('a', 4)
    for (const stream of held.splice(0)) echo(stream)
    await Promise.all(again)
  })

  it('are as many as policy gives an agent, within the bound of its tenant', async () => {
    await open({ concurrentStreams: 5 })
    const answers = await hold('a', 5)
    await refused('a', /this agent/)
    answers.push(...(await hold('b', 1)))
    await refused('b', /its tenant/)
    for (const stream of held.splice(0)) echo(stream)
    await Promise.all(answers)
  })

  it('count those to the services of the gateway itself', async () => {
    await open()
    const session = sessions.get('a')
    assert.ok(session)
    const watches = Array.from({ length: 4 }, () => {
      const stream = session.request({
        ':method': 'POST',
        ':path': '/grpc.health.v1.Health/Watch',
        ':authority': 'gateway.mesh.internal',
        'content-type': 'application/grpc',
        te: 'trailers',
      })
      stream.on('error', () => {}).resume()
      stream.end(Buffer.alloc(5))
      return stream
    })
    await waitFor('the calls to be open', async () =>
      /clawmesh_active\{plane="delegation"\} 4/.test(await mesh.metrics.text()) ? true : undefined,
    )
    await refused('a', /this agent/)
    for (const stream of watches) stream.close(8)
  })
})
