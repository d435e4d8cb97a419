/** The task goes on while its stream is cut, its connection broken or the gateway gone, and the caller sees every event once. */
import assert from 'node:assert/strict'
import type { TaskEvent } from '@clawmesh/agent-sdk'
import fc from 'fast-check'
import { type StandInMesh, startStandInMesh } from '../agent-sdk/stand-in/mesh.ts'

describe('a dropped stream loses no event', () => {
  let mesh: StandInMesh
  let started = 0
  let release = () => {}

  before(async () => {
    mesh = await startStandInMesh()
    await mesh.serve({
      skills: {
        async chatter(task, ctx) {
          started += 1
          for (let i = 0; i < 20; i += 1) ctx.message(`${task.text()} ${i} `)
          await ctx.artifact('file', Buffer.alloc(3_000, 'x'))
          ctx.progress(1)
          return [{ kind: 'text', text: 'é'.repeat(2_000) }]
        },
        async waits(_task, ctx) {
          ctx.message('before')
          await new Promise<void>((resolve) => {
            release = resolve
          })
          ctx.message('after')
          return 'done'
        },
        async large() {
          return Buffer.alloc(9 * 1024 * 1024, 'abc')
        },
      },
    })
  })
  afterEach(() => {
    mesh.gateway.cut = () => null
  })
  after(() => mesh.close())

  const story = (events: readonly TaskEvent[]) =>
    events.map(({ id: _id, time: _time, ...rest }) => rest)

  it('wherever the streams are cut, the same events come in the same order', async () => {
    const whole: TaskEvent[] = []
    for await (const event of mesh.a.delegate('b', { skill: 'chatter', input: 'hi' }))
      whole.push(event)
    assert.deepEqual(
      whole.map((event) => event.seq),
      Array.from({ length: 25 }, (_, i) => i + 1),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 9_000 }), { minLength: 1, maxLength: 4 }),
        async (cuts) => {
          const left = [...cuts]
          mesh.gateway.cut = () => left.shift() ?? null
          const before = started
          const events: TaskEvent[] = []
          const delegation = mesh.a.delegate('b', { skill: 'chatter', input: 'hi' })
          for await (const event of delegation) events.push(event)
          assert.deepEqual(story(events), story(whole))
          assert.equal((await delegation.result()).text(), 'é'.repeat(2_000))
          assert.equal(started, before + 1, 'the skill ran once')
        },
      ),
      { numRuns: 15 },
    )
  })

  it('the gateway dies in the middle of a task and comes back; the result arrives by Watch', async () => {
    const delegation = mesh.a.delegate('b', { skill: 'waits' })
    const events: string[] = []
    let killed: Promise<void> | null = null
    for await (const event of delegation) {
      events.push(event.kind === 'message' ? event.text : event.kind)
      if (event.kind === 'message' && event.text === 'before')
        killed = mesh.gateway.kill().then(() => {
          release()
          return mesh.gateway.revive()
        })
    }
    await killed
    assert.deepEqual(events, ['accepted', 'status', 'before', 'after', 'result'])
    assert.equal((await delegation.result()).text(), 'done')
    assert.ok(mesh.gateway.calls.some((call) => call.path.endsWith('/Watch')))
  })

  it('a gateway that is down when the task is given is waited for', async () => {
    await mesh.gateway.kill()
    const delegation = mesh.a.delegate('b', { skill: 'chatter', input: 'late' })
    const result = delegation.result()
    await mesh.gateway.revive()
    assert.equal((await result).text(), 'é'.repeat(2_000))
  })

  it('a result larger than one message arrives whole', async () => {
    const result = await mesh.a.delegate('b', { skill: 'large' }).result()
    assert.ok(Buffer.alloc(9 * 1024 * 1024, 'abc').equals(result.bytes() ?? Buffer.alloc(0)))
  })

  it('a task can be watched from any event on, by another handle', async () => {
    const first = mesh.a.delegate('b', { skill: 'chatter', input: 'again' })
    await first.result()
    const events: number[] = []
    for await (const event of mesh.a.watch('b', first.id, 20)) events.push(event.seq)
    assert.deepEqual(events, [21, 22, 23, 24, 25])
    const twice: number[] = []
    for await (const event of first) twice.push(event.seq)
    assert.equal(twice.length, 25, 'events can be had after the result, and again')
  })

  it('a cursor inside a result that came in pieces is refused, and no part is taken for the whole', async () => {
    const first = mesh.a.delegate('b', { skill: 'large' })
    await first.result()
    const { lastSeq } = await mesh.a.get('b', first.id)
    const before = mesh.a.watch('b', first.id, 2)
    assert.equal((await before.result()).bytes()?.length, 9 * 1024 * 1024)
    for (const inside of [3, lastSeq - 1])
      await assert.rejects(mesh.a.watch('b', first.id, inside).result(), {
        code: 'MESH_TASK_CURSOR_INVALID',
      })
  })
})
