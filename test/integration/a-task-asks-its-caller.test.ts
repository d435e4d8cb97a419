/** A skill asks, the task waits, the caller answers: over broken connections, from another handle, once. */
import assert from 'node:assert/strict'
import { type Delegation, MeshError, type TaskEvent } from '@clawmesh/agent-sdk'
import { type StandInMesh, startStandInMesh } from '../agent-sdk/stand-in/mesh.ts'

describe('a task asks its caller', () => {
  let mesh: StandInMesh
  before(async () => {
    mesh = await startStandInMesh()
    await mesh.serve({
      skills: {
        async books(task, ctx) {
          const city = await ctx.ask('which city?')
          const nights = await ctx.ask({ question: 'how many nights?', most: 14 })
          return { hotel: `${task.text()} in ${city.text()}`, nights: nights.json() }
        },
        async two(_task, ctx) {
          const [a, b] = await Promise.all([ctx.ask('a?'), ctx.ask('b?')])
          return `${a.text()} ${b.text()}`
        },
        async forever(_task, ctx) {
          await ctx.ask('anybody?')
        },
      },
    })
  })
  afterEach(() => {
    mesh.gateway.refuse = () => null
  })
  after(() => mesh.close())

  const until = async (delegation: Delegation, kind: TaskEvent['kind']): Promise<TaskEvent> => {
    for await (const event of delegation) if (event.kind === kind) return event
    return assert.fail(`no event ${kind}`)
  }

  it('question and answer are events, and the state says that the task waits', async () => {
    const delegation = mesh.a.delegate('b', { skill: 'books', input: 'a room' })
    const told: unknown[] = []
    for await (const event of delegation) {
      if (event.kind === 'input-required') {
        told.push(event.question[0])
        const { state, pendingInputs } = await mesh.a.get('b', delegation.id)
        assert.deepEqual([state, pendingInputs], ['input-required', [event.inputId]])
        const answer = event.inputId === '1' ? 'Lyon' : { nights: 3 }
        assert.equal((await delegation.sendInput(answer)).state, 'working')
      }
      if (event.kind === 'input-received') told.push(event.answer[0])
    }
    assert.deepEqual(told, [
      { kind: 'text', text: 'which city?' },
      { kind: 'text', text: 'Lyon' },
      { kind: 'json', json: { question: 'how many nights?', most: 14 } },
      { kind: 'json', json: { nights: 3 } },
    ])
    const result = (await delegation.result()).json()
    assert.deepEqual(result, { hotel: 'a room in Lyon', nights: { nights: 3 } })
  })

  it('an answer is sent again for as long as the task would be looked for', async () => {
    let tries = 0
    mesh.gateway.refuse = (path) => {
      if (!path.endsWith('/SendInput')) return null
      tries += 1
      return tries <= 4 ? new MeshError('MESH_GATEWAY_DRAINING') : null
    }
    const patience = { idleMs: 60_000, giveUpMs: 1, startGiveUpMs: 60_000 }
    const hasty = await mesh.agent('a', { patience })
    const patient = await mesh.agent('a', { patience: { ...patience, giveUpMs: 60_000 } })
    const task = mesh.a.delegate('b', { skill: 'forever' })
    await until(task, 'input-required')
    const answer = (agent: typeof hasty) => agent.watch('b', task.id).sendInput('I', '1')
    await assert.rejects(answer(hasty), { code: 'MESH_GATEWAY_DRAINING' })
    assert.ok(tries < 4)
    assert.equal((await answer(patient)).id, task.id)
    assert.equal(tries, 5)
    mesh.gateway.refuse = () => null
    await task.result()
  })

  it('that nobody names the question of, is as patient: which one is open is asked for as long', async () => {
    const refused: string[] = []
    mesh.gateway.refuse = (path) => {
      if (!/\/(Get|SendInput)$/.test(path) || refused.length === 4) return null
      refused.push(path)
      return new MeshError('MESH_GATEWAY_DRAINING')
    }
    const patience = { idleMs: 60_000, giveUpMs: 1, startGiveUpMs: 60_000 }
    const hasty = await mesh.agent('a', { patience })
    const task = mesh.a.delegate('b', { skill: 'forever' })
    await until(task, 'input-required')
    const answer = hasty.watch('b', task.id).sendInput('I')
    await assert.rejects(answer, { code: 'MESH_GATEWAY_DRAINING' })
    assert.ok(refused.length < 4)
    mesh.gateway.refuse = () => null
    await task.sendInput('I')
    await task.result()
  })

  it('is sent no more when its caller has let go of the task, and says why', async () => {
    const patience = { idleMs: 60_000, giveUpMs: 60_000, startGiveUpMs: 60_000 }
    const patient = await mesh.agent('a', { patience })
    const letGo = new AbortController()
    const task = patient.delegate('b', { skill: 'forever', signal: letGo.signal })
    await until(task, 'input-required')
    const tried = Promise.withResolvers<void>()
    mesh.gateway.refuse = (path) => {
      if (!path.endsWith('/SendInput')) return null
      tried.resolve()
      return new MeshError('MESH_GATEWAY_DRAINING')
    }
    const answered = task.sendInput('I', '1')
    await tried.promise
    letGo.abort()
    await assert.rejects(answered, { code: 'MESH_CALL_CANCELED' })
    await assert.rejects(task.result(), { code: 'MESH_CALL_CANCELED' })
  })

  it('the connection breaks while it waits: the answer arrives all the same, also from another handle', async () => {
    const delegation = mesh.a.delegate('b', { skill: 'books', input: 'a tent' })
    await until(delegation, 'input-required')
    mesh.gateway.breakConnections()
    const { state } = await mesh.a.watch('b', delegation.id).sendInput('Nice')
    // it goes on, and may have asked its next question by the time that this is answered
    assert.ok(state === 'working' || state === 'input-required', state)
    while ((await mesh.a.get('b', delegation.id)).pendingInputs.length === 0)
      await new Promise(setImmediate)
    await mesh.gateway.kill()
    const sent = delegation.sendInput(2)
    await mesh.gateway.revive()
    await sent
    const result = (await delegation.result()).json()
    assert.deepEqual(result, { hotel: 'a tent in Nice', nights: 2 })
  })

  it('the same answer again changes nothing, another one is a conflict, and one that nobody asked for is refused', async () => {
    const delegation = mesh.a.delegate('b', { skill: 'books' })
    await until(delegation, 'input-required')
    const { lastSeq } = await delegation.sendInput('Lyon', '1')
    await delegation.sendInput('Lyon', '1')
    await assert.rejects(delegation.sendInput('Nice', '1'), { code: 'MESH_TASK_CONFLICT' })
    await assert.rejects(delegation.sendInput('x', '7'), { code: 'MESH_TASK_INPUT_UNEXPECTED' })
    await delegation.sendInput(1, '2')
    await delegation.result()
    assert.ok((await delegation.sendInput('Lyon', '1')).lastSeq >= lastSeq, 'after the end too')
    await assert.rejects(delegation.sendInput('x'), { code: 'MESH_TASK_INPUT_UNEXPECTED' })
  })

  it('several open questions are answered by name', async () => {
    const delegation = mesh.a.delegate('b', { skill: 'two' })
    const events: TaskEvent[] = []
    for await (const event of delegation) {
      events.push(event)
      if (event.kind !== 'input-required' || event.inputId !== '2') continue
      await assert.rejects(delegation.sendInput('which?'), TypeError)
      assert.equal((await delegation.sendInput('two', '2')).state, 'input-required')
      assert.equal((await delegation.sendInput('one')).state, 'working')
    }
    assert.equal((await delegation.result()).text(), 'one two')
  })

  it('a task that waits ends like any other: cancelled or expired', async () => {
    const cancelled = mesh.a.delegate('b', { skill: 'forever' })
    await until(cancelled, 'input-required')
    assert.deepEqual((await cancelled.cancel()).pendingInputs, [])
    await assert.rejects(cancelled.result(), { code: 'MESH_TASK_CANCELED' })
    await assert.rejects(cancelled.sendInput('x', '1'), { code: 'MESH_TASK_INPUT_UNEXPECTED' })
    const expired = mesh.a.delegate('b', { skill: 'forever', deadlineMs: 150 })
    await assert.rejects(expired.result(), { code: 'MESH_TASK_EXPIRED' })
  })

  it("nobody answers for another caller's task", async () => {
    const other = await mesh.agent('other')
    const delegation = mesh.a.delegate('b', { skill: 'forever' })
    await until(delegation, 'input-required')
    await assert.rejects(other.watch('b', delegation.id).sendInput('mine', '1'), {
      code: 'MESH_TASK_NOT_FOUND',
    })
    await delegation.cancel()
  })

  it('too large an answer is refused before it is sent', async () => {
    const delegation = mesh.a.delegate('b', { skill: 'forever' })
    await until(delegation, 'input-required')
    const big = Buffer.alloc(4 * 1024 * 1024)
    await assert.rejects(delegation.sendInput(big), { code: 'MESH_LIMIT_SIZE' })
    await delegation.cancel()
  })

  it('own tasks are listed, the newest first, over pages, by state and label', async () => {
    const lister = await mesh.agent('lister')
    const ids: string[] = []
    for (let i = 0; i < 120; i += 1) {
      const labels = { run: 'list', odd: String(i % 2 === 1) }
      const delegation = lister.delegate('b', {
        skill: i < 3 ? 'forever' : 'two',
        labels,
        detached: true,
      })
      if (i >= 3) await delegation.cancel()
      else await until(delegation, 'input-required')
      ids.unshift(delegation.id)
    }
    const all = async (filter: Parameters<typeof lister.list>[1]) => {
      const found: string[] = []
      for await (const { id } of lister.list('b', filter)) found.push(id)
      return found
    }
    assert.deepEqual(await all({}), ids)
    assert.deepEqual(await all({ states: ['input-required'] }), ids.slice(-3))
    assert.deepEqual(
      await all({ labels: { odd: 'true' }, states: ['canceled'] }),
      ids.slice(0, -3).filter((_, index) => index % 2 === 0),
    )
    const stranger = await mesh.agent('stranger')
    for await (const task of stranger.list('b')) assert.fail(`sees ${task.id}`)
    for (const id of ids.slice(-3)) await lister.watch('b', id).cancel()
  })
})
