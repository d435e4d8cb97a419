import assert from 'node:assert/strict'
import { type Delegation, MeshError } from '@clawmesh/agent-sdk'
import { type StandInMesh, startStandInMesh } from '../stand-in/mesh.ts'

describe('a second look at a delegation', () => {
  let mesh: StandInMesh
  before(async () => {
    mesh = await startStandInMesh()
    await mesh.serve({
      skills: {
        say(task, ctx) {
          ctx.message('one')
          ctx.message('two')
          return task.text()
        },
        async wait(_, ctx) {
          await new Promise((resolve) => ctx.signal.addEventListener('abort', resolve))
        },
      },
    })
  })
  after(() => mesh.close())
  afterEach(() => {
    mesh.gateway.refuse = () => null
  })

  const kinds = async (delegation: Delegation) => {
    const seen: string[] = []
    for await (const { kind } of delegation) seen.push(kind)
    return seen
  }
  const ALL = ['accepted', 'status', 'message', 'message', 'result']

  it('may be iterated at once after it was asked for its result', async () => {
    const delegation = mesh.a.delegate('b', { skill: 'say', input: 'x' })
    const result = delegation.result()
    assert.deepEqual(await kinds(delegation), ALL)
    assert.equal((await result).text(), 'x')
  })

  it('may be iterated twice at once, also where its key leads to another task', async () => {
    const asked = { skill: 'say', input: 'x', idempotencyKey: 'key' }
    const first = mesh.a.delegate('b', asked)
    assert.deepEqual(await Promise.all([kinds(first), kinds(first)]), [ALL, ALL])
    const second = mesh.a.delegate('b', asked)
    assert.deepEqual(await Promise.all([kinds(second), kinds(second)]), [ALL, ALL])
    assert.equal(second.id, first.id)
  })

  it('tells each that iterates why the peer never had the task, and asks it nothing', async () => {
    mesh.gateway.refuse = () => new MeshError('MESH_POLICY_NOT_ALLOWED')
    const before = mesh.gateway.calls.length
    const delegation = mesh.a.delegate('b', { skill: 'say' })
    const refused = { code: 'MESH_POLICY_NOT_ALLOWED' }
    await Promise.all([
      assert.rejects(delegation.result(), refused),
      assert.rejects(kinds(delegation), refused),
      assert.rejects(kinds(delegation), refused),
    ])
    assert.deepEqual(
      mesh.gateway.calls.slice(before).map(({ path }) => path.split('/').at(-1)),
      ['Delegate'],
    )
  })

  it('of a task that is watched may be iterated and cancelled before its next event', async () => {
    const delegated = mesh.a.delegate('b', { skill: 'wait' })
    let last = 0
    for await (const { kind, seq } of delegated) {
      last = seq
      if (kind === 'status') break
    }
    const watched = mesh.a.watch('b', delegated.id, last)
    const result = assert.rejects(watched.result(), { code: 'MESH_TASK_CANCELED' })
    const again = watched[Symbol.asyncIterator]()
    const next = again.next()
    assert.equal((await watched.cancel()).state, 'canceled')
    await Promise.all([result, next])
    await assert.rejects(delegated.result(), { code: 'MESH_TASK_CANCELED' })
  })
})
