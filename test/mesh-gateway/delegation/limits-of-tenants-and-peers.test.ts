import assert from 'node:assert/strict'
import type { ServerHttp2Stream } from 'node:http2'
import type { IdentityStore } from '@clawmesh/agent-sdk/mesh'
import { MeshError } from '@clawmesh/proto'
import type { Limits } from '../../../mesh-gateway/src/limits/limits.ts'
import { waitFor } from '../../support/wait-for.ts'
import { type Answer, call, echo, type Fixture, makeFixture } from './fixture.ts'

const DELEGATE = '/clawmesh.delegation.v1.DelegationService/Delegate'
const allow = [{ from: '*', to: '*' }]

describe('limits of tenants and of peers', () => {
  let mesh: Fixture
  let held: ServerHttp2Stream[] = []
  const stores = new Map<string, IdentityStore>()

  async function fixture(delegation: object, limits?: Limits): Promise<void> {
    mesh = await makeFixture(
      { tenant: 'acme', delegation: { allow, ...delegation } },
      limits === undefined ? {} : { limits },
    )
    for (const agent of ['a', 'b', 'c'])
      stores.set(agent, await mesh.ca.open(await mesh.ca.agentDir({ tenant: 'acme', agent })))
    const mine: ServerHttp2Stream[] = []
    held = mine
    const hold = (stream: ServerHttp2Stream) => void mine.push(stream)
    await mesh.peer('b', echo, stores.get('b'))
    await mesh.peer('c', hold, stores.get('c'))
    await mesh.peer('a', echo, stores.get('a'))
  }
  afterEach(() => mesh.close())

  async function ask(from: string, to: string, more: Record<string, string> = {}): Promise<Answer> {
    const store = stores.get(from)
    assert.ok(store)
    const headers = { ':authority': `${to}.acme.mesh.internal`, ...more }
    return await call(await mesh.connect(store), headers)
  }
  const delegate = (from: string, to: string, more: Record<string, string> = {}) =>
    ask(from, to, { ':path': DELEGATE, ...more })
  const someHeld = (count: number) =>
    waitFor(`${count} calls at the callee`, () => (held.length === count ? true : undefined))
  const letGo = () => {
    for (const stream of held.splice(0)) echo(stream)
  }

  it('calls per minute of the tenant count whoever calls, and say when to come again', async () => {
    await fixture({ tenantLimits: { callsPerMinute: 20 } })
    assert.equal((await ask('a', 'b')).status, 0)
    assert.equal((await ask('b', 'a')).status, 0)
    const refused = await ask('a', 'b')
    assert.equal(refused.error?.code, 'MESH_RATE_LIMITED')
    assert.ok((refused.error?.retryAfterMs ?? 0) > 1_000)
    assert.match(refused.message, /its tenant/)
  })

  it('open calls of the tenant count whoever calls, and those of one agent as well', async () => {
    await fixture({
      tenantLimits: { concurrentStreams: 2 },
      agents: { a: { limits: { concurrentStreams: 1 } } },
    })
    const first = ask('a', 'c')
    await someHeld(1)
    const own = await ask('a', 'b')
    assert.equal(own.error?.code, 'MESH_LIMIT_CONCURRENCY')
    assert.match(own.message, /this agent/)
    const second = ask('b', 'c')
    await someHeld(2)
    assert.match((await ask('b', 'a')).message, /its tenant/)
    letGo()
    await Promise.all([first, second])
    assert.equal((await ask('a', 'b')).status, 0)
  })

  it('a peer gets no more tasks at once than it may have; the next waits for its turn', async () => {
    await fixture({ agents: { c: { peerLimits: { concurrentTasks: 1 } } } })
    const first = delegate('a', 'c')
    await someHeld(1)
    let secondAnswered = false
    const second = delegate('b', 'c').then((answer) => {
      secondAnswered = true
      return answer
    })
    // what is no task does not wait: who is busy can still be asked and cancelled
    const look = ask('a', 'c')
    await someHeld(2)
    assert.equal(secondAnswered, false)
    letGo()
    assert.equal((await first).status, 0)
    assert.equal((await look).status, 0)
    await someHeld(1)
    letGo()
    assert.equal((await second).status, 0)
  })

  it('the deadline of a call ends its waiting, and so does its caller, and neither takes a turn', async () => {
    await fixture({ peerLimits: { concurrentTasks: 1 } })
    const first = delegate('a', 'c')
    await someHeld(1)
    const late = await delegate('b', 'c', { 'grpc-timeout': '200m' })
    assert.equal(late.error?.code, 'MESH_CALL_DEADLINE')
    const store = stores.get('b')
    assert.ok(store)
    const session = await mesh.connect(store)
    const record = mesh.nextRecord()
    const gone = session.request({
      ':method': 'POST',
      ':path': DELEGATE,
      ':authority': 'c.acme.mesh.internal',
      'content-type': 'application/grpc',
    })
    gone.on('error', () => {})
    await waitFor('it to wait', async () =>
      /clawmesh_active\{plane="delegation"\} 2/.test(await mesh.metrics.text()) ? true : undefined,
    )
    gone.close(8)
    assert.equal((await record).reason, 'MESH_CALL_CANCELED')
    letGo()
    await first
    const next = delegate('b', 'c')
    await someHeld(1)
    letGo()
    assert.equal((await next).status, 0)
  })

  it('who may not wait is refused with a time to come again', async () => {
    await fixture({ peerLimits: { concurrentTasks: 1, queueLength: 0 } })
    const first = delegate('a', 'c')
    await someHeld(1)
    const refused = await delegate('b', 'c')
    assert.equal(refused.error?.code, 'MESH_LIMIT_CONCURRENCY')
    assert.equal(refused.error?.retryAfterMs, 1_000)
    letGo()
    await first
  })

  it('a loop is refused, and does not wait for itself', async () => {
    await fixture({ peerLimits: { concurrentTasks: 1 } })
    let token = ''
    const keep = (stream: ServerHttp2Stream, headers: readonly string[]) => {
      token = headers[headers.indexOf('x-mesh-delegation') + 1] ?? ''
      held.push(stream)
    }
    await mesh.peer('a', (stream) => void held.push(stream), stores.get('a'))
    await mesh.peer('b', keep, stores.get('b'))
    const busy = delegate('c', 'a')
    await someHeld(1)
    const root = delegate('a', 'b')
    await someHeld(2)
    const back = await delegate('b', 'a', { 'x-mesh-delegation': token })
    assert.equal(back.error?.code, 'MESH_CHAIN_LOOP_DETECTED')
    letGo()
    await Promise.all([root, busy])
  })

  it('limits that cannot be judged are a refusal that may be tried again', async () => {
    const away = async () => {
      throw new MeshError('MESH_LIMIT_UNAVAILABLE', undefined, { retryAfterMs: 1_000 })
    }
    await fixture({ limits: { callsPerMinute: 10 } }, { take: away, enter: away })
    const refused = await ask('a', 'b')
    assert.equal(refused.status, 14)
    assert.equal(refused.error?.code, 'MESH_LIMIT_UNAVAILABLE')
    assert.equal(refused.error?.retryAfterMs, 1_000)
  })

  it('what is granted after the call has ended is given back', async () => {
    const asked = Promise.withResolvers<void>()
    const granted = Promise.withResolvers<() => void>()
    const left = Promise.withResolvers<void>()
    await fixture(
      { limits: { concurrentStreams: 10 } },
      {
        take: () => null,
        enter() {
          asked.resolve()
          return granted.promise
        },
      },
    )
    const store = stores.get('a')
    assert.ok(store)
    const stream = (await mesh.connect(store)).request({
      ':method': 'POST',
      ':path': '/test.v1.Echo/Unary',
      ':authority': 'b.acme.mesh.internal',
      'content-type': 'application/grpc',
    })
    stream.on('error', () => {})
    await asked.promise
    const record = mesh.nextRecord()
    stream.close(8)
    await record
    granted.resolve(() => left.resolve())
    await left.promise
  })
})
