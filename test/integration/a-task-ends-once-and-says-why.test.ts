/** Cancelled, expired, orphaned, rejected, failed: each end has its code, and nothing comes after it. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createAgent, type Delegation, MeshError, type TaskEvent } from '@clawmesh/agent-sdk'
import { type StandInMesh, startStandInMesh } from '../agent-sdk/stand-in/mesh.ts'

describe('a task ends once and says why', () => {
  let mesh: StandInMesh
  const aborted: unknown[] = []

  before(async () => {
    mesh = await startStandInMesh()
    await mesh.serve({
      orphanGraceMs: 50,
      heartbeatMs: 20,
      skills: {
        async stubborn(_task, ctx) {
          ctx.signal.addEventListener('abort', () => {
            aborted.push(ctx.signal.reason)
            ctx.message('too late')
          })
          ctx.message('running')
          await once(ctx.signal, 'abort')
          ctx.message('much too late')
          return 'ignored'
        },
        throws() {
          throw new Error('the password is hunter2')
        },
        chooses() {
          throw new MeshError('MESH_RATE_LIMITED', 'come back later')
        },
        own() {
          throw new MeshError('QUOTA_EXHAUSTED', 'no more today')
        },
        rejects: (_task, ctx) => ctx.reject('not on a Sunday'),
        cyclic() {
          const loop: { self?: object } = {}
          loop.self = loop
          return loop
        },
        echo: (task) => task.input,
        nothing: () => undefined,
        async gives(task, ctx) {
          return (await ctx.delegate('b', { skill: task.text() }).result()).text()
        },
      },
    })
  })
  after(() => mesh.close())

  const fails = async (delegation: Delegation, code: string, message?: RegExp) => {
    const error = await delegation.result().then(
      () => assert.fail('it completed'),
      (reason: unknown) => reason,
    )
    assert.ok(error instanceof MeshError)
    assert.equal(error.code, code)
    if (message !== undefined) assert.match(error.message, message)
    return error
  }
  const running = async (delegation: Delegation) => {
    for await (const event of delegation) if (event.kind === 'message') return
  }

  it('cancel ends it at once, even when the skill does not listen, and later events are dropped', async () => {
    const delegation = mesh.a.delegate('b', { skill: 'stubborn' })
    const events: TaskEvent[] = []
    for await (const event of delegation) {
      events.push(event)
      if (event.kind === 'message') {
        const task = await delegation.cancel('no longer needed')
        assert.equal(task.state, 'canceled')
      }
    }
    const last = events.at(-1)
    assert.ok(last?.kind === 'failed')
    assert.equal(last.state, 'canceled')
    await fails(delegation, 'MESH_TASK_CANCELED', /no longer needed/)
    const reason = aborted.at(-1)
    assert.ok(reason instanceof MeshError && reason.message === 'no longer needed')
    assert.equal((await mesh.a.get('b', delegation.id)).lastSeq, last.seq)
  })

  it('cancelling it again changes nothing', async () => {
    const delegation = mesh.a.delegate('b', { skill: 'nothing' })
    await delegation.result()
    assert.equal((await delegation.cancel()).state, 'completed')
  })

  it('a deadline ends it as expired', async () => {
    await fails(mesh.a.delegate('b', { skill: 'stubborn', deadlineMs: 100 }), 'MESH_TASK_EXPIRED')
    await fails(
      mesh.a.delegate('b', { skill: 'stubborn', deadline: new Date(Date.now() - 1) }),
      'MESH_TASK_EXPIRED',
    )
  })

  it('a caller that has gone orphans it after the grace, unless it was detached', async () => {
    const other = await mesh.agent('c')
    const left = other.delegate('b', { skill: 'stubborn' })
    const detached = other.delegate('b', { skill: 'stubborn', detached: true })
    await Promise.all([running(left), running(detached)])
    const ended = new Promise<void>((resolve) => {
      const seen = aborted.length
      const look = () => (aborted.length > seen ? resolve() : setTimeout(look, 5))
      look()
    })
    // the gateway goes, so that nothing can be said; then it is back for others
    mesh.gateway.breakConnections()
    mesh.gateway.refuse = () => new MeshError('MESH_POLICY_DENIED')
    await ended
    mesh.gateway.refuse = () => null
    const again = await mesh.agent('c')
    assert.equal((await again.get('b', left.id)).state, 'orphaned')
    assert.equal((await again.get('b', detached.id)).state, 'working')
    assert.equal((await again.watch('b', detached.id).cancel()).state, 'canceled')
  })

  it('aborting the signal cancels it at the peer too', async () => {
    const controller = new AbortController()
    const delegation = mesh.a.delegate('b', { skill: 'stubborn', signal: controller.signal })
    await running(delegation)
    controller.abort()
    await fails(delegation, 'MESH_CALL_CANCELED')
    const watched = mesh.a.watch('b', delegation.id)
    await fails(watched, 'MESH_TASK_CANCELED')
    await fails(
      mesh.a.delegate('b', { skill: 'echo', signal: AbortSignal.abort() }),
      'MESH_CALL_CANCELED',
    )
  })

  it('what a skill throws stays in its log, unless it is a MeshError', async () => {
    const error = await fails(mesh.a.delegate('b', { skill: 'throws' }), 'MESH_TASK_FAILED')
    assert.doesNotMatch(error.message, /hunter2/)
    await fails(mesh.a.delegate('b', { skill: 'chooses' }), 'MESH_RATE_LIMITED', /come back later/)
    await fails(mesh.a.delegate('b', { skill: 'cyclic' }), 'MESH_TASK_FAILED')
    const rejected = await fails(mesh.a.delegate('b', { skill: 'rejects' }), 'MESH_TASK_REJECTED')
    assert.equal(rejected.message, 'not on a Sunday')
    assert.equal(rejected.facts.state, 'rejected')
  })

  it("a code of a skill's own reaches the caller, over another agent too", async () => {
    for (const skill of ['own', 'gives'] as const) {
      const asked = skill === 'gives' ? { skill, input: 'own' } : { skill }
      const error = await fails(mesh.a.delegate('b', asked), 'MESH_TASK_FAILED', /^no more today$/)
      assert.equal(error.facts.code, 'QUOTA_EXHAUSTED')
      assert.equal(error.hint, error.row.hint)
    }
  })

  it('a skill that throws says so on stderr, where no log was given', async () => {
    const said: string[] = []
    const write = process.stderr.write
    process.stderr.write = (text: string | Uint8Array) => said.push(String(text)) > 0
    const identity = await mesh.ca.agentDir({ tenant: 'acme', agent: 'c' })
    const c = await createAgent({ gateway: mesh.gateway.address, identity })
    try {
      const serving = await c.serve({
        ...{ listen: '127.0.0.1:0', drainMs: 200 },
        skills: {
          throws() {
            throw new Error('the disk is full')
          },
        },
      })
      mesh.gateway.peers.set('c.acme.mesh.internal', serving.address.port)
      await fails(mesh.a.delegate('c', { skill: 'throws' }), 'MESH_TASK_FAILED')
    } finally {
      await c.close()
      process.stderr.write = write
    }
    const [line = ''] = said.filter((each) => each.includes('the skill failed'))
    assert.match(
      line,
      /^clawmesh error: the skill failed delegation_id=\S+ skill=throws caller=\S+/,
    )
    assert.match(line, /Error: the disk is full\n.*at /)
  })

  it('a skill whose name is nearly right is named, and no other', async () => {
    const nearly = mesh.a.delegate('b', { skill: 'stuborn' })
    const { message } = await fails(nearly, 'MESH_TASK_SKILL_UNKNOWN')
    assert.equal(message, 'the agent has no such skill; stubborn is one')
    const unlike = await fails(mesh.a.delegate('b', { skill: 'x' }), 'MESH_TASK_SKILL_UNKNOWN')
    assert.equal(unlike.message, 'the agent has no such skill')
  })

  it('refusals are not tried again', async () => {
    const calls = mesh.gateway.calls.length
    await fails(mesh.a.delegate('b', { skill: 'unknown' }), 'MESH_TASK_SKILL_UNKNOWN')
    await fails(mesh.a.watch('b', '01890a5d-ac96-774b-bcce-b302099a8057'), 'MESH_TASK_NOT_FOUND')
    mesh.gateway.refuse = () =>
      new MeshError('MESH_POLICY_NOT_ALLOWED', 'no rule', { facts: { rule: 'x' } })
    const error = await fails(mesh.a.delegate('b', { skill: 'echo' }), 'MESH_POLICY_NOT_ALLOWED')
    mesh.gateway.refuse = () => null
    assert.equal(error.facts.rule, 'x')
    assert.equal(mesh.gateway.calls.length, calls + 3)
  })

  it('a failure of a task given on arrives with its code', async () => {
    const delegation = mesh.a.delegate('b', { skill: 'gives', input: 'rejects' })
    await assert.rejects(delegation.result())
  })

  it('all kinds of input come back as they went', async () => {
    const input = [
      { kind: 'text', text: 'täxt \u{1f600}', mediaType: 'text/markdown' },
      { kind: 'json', json: { a: [1, null, 'x'] } },
      { kind: 'bytes', bytes: Buffer.from([0, 255]), mediaType: 'image/png' },
    ] as const
    const { output } = await mesh.a.delegate('b', { skill: 'echo', input }).result()
    assert.deepEqual(output, input)
    assert.deepEqual((await mesh.a.delegate('b', { skill: 'nothing' }).result()).output, [])
  })

  it('a handle that nobody looks at does no harm', async () => {
    mesh.a.delegate('b', { skill: 'throws' })
    mesh.a.delegate('nobody', { skill: 'throws' })
    await mesh.a.delegate('b', { skill: 'nothing' }).result()
  })

  it('the same key attaches to the same task; other content is a conflict; keys do not cross callers', async () => {
    const c = await mesh.agent('d')
    const ask = (agent: typeof c, input: string) =>
      agent.delegate('b', { skill: 'echo', input, idempotencyKey: 'k1' })
    const first = ask(mesh.a, 'one')
    await first.result()
    const second = ask(mesh.a, 'one')
    assert.equal((await second.result()).id, first.id)
    assert.equal(second.id, first.id)
    await fails(ask(mesh.a, 'two'), 'MESH_TASK_CONFLICT')
    const foreign = ask(c, 'two')
    assert.equal((await foreign.result()).text(), 'two')
    assert.notEqual(foreign.id, first.id)
  })

  it("somebody else's task is not there", async () => {
    const c = await mesh.agent('e')
    const mine = mesh.a.delegate('b', { skill: 'nothing' })
    await mine.result()
    const missing = { code: 'MESH_TASK_NOT_FOUND' }
    await assert.rejects(c.get('b', mine.id), missing)
    await assert.rejects(c.watch('b', mine.id).result(), missing)
    await assert.rejects(c.watch('b', mine.id).cancel(), missing)
  })

  it('a cursor beyond the end is refused', async () => {
    const mine = mesh.a.delegate('b', { skill: 'nothing' })
    await mine.result()
    await fails(mesh.a.watch('b', mine.id, 1_000), 'MESH_TASK_CURSOR_INVALID')
  })

  it('wrong use of the API is a TypeError', () => {
    assert.throws(() => mesh.a.delegate('not a name', { skill: 'echo' }), TypeError)
    assert.throws(() => mesh.a.delegate('b', { skill: '' }), TypeError)
    assert.throws(() => mesh.a.delegate('b', { skill: 'echo', deadlineMs: 0 }), TypeError)
    assert.throws(() => mesh.a.delegate('b', { skill: 'echo', input: { n: 1n } }), TypeError)
    assert.throws(() => mesh.a.watch('b', 'x'), TypeError)
    const big = Buffer.alloc(4 * 1024 * 1024)
    assert.throws(() => mesh.a.delegate('b', { skill: 'echo', input: big }), {
      code: 'MESH_LIMIT_SIZE',
    })
  })
})
