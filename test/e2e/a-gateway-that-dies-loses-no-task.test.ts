/** The gateway is killed in the middle of a task and started again: the result arrives all the same. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { type Mesh, startMesh } from '../support/mesh.ts'
import { waitFor } from '../support/wait-for.ts'

async function refused(address: string): Promise<boolean> {
  const [host = '', port] = address.split(':')
  const socket = connect(Number(port), host)
  const answer = await Promise.race([
    once(socket, 'connect').then(() => false),
    once(socket, 'close').then(() => true),
  ]).catch(() => true)
  socket.destroy()
  return answer
}

describe('a gateway that dies loses no task', () => {
  let mesh: Mesh
  let ran = 0
  let goOn: () => void = () => {}

  before(async () => {
    mesh = await startMesh({
      policy: { acme: { delegation: { allow: [{ from: 'planner', to: 'worker' }] } } },
    })
    await mesh.serve('acme', 'worker', {
      skills: {
        async work(_task, ctx) {
          ran += 1
          const proceed = new Promise<void>((resolve) => {
            goOn = resolve
          })
          for (let i = 0; i < 5; i += 1) ctx.message(`before ${i}`)
          await proceed
          for (let i = 0; i < 5; i += 1) ctx.message(`after ${i}`)
          return 'done'
        },
      },
    })
  })
  after(() => mesh.close())

  it('killed with kill -9 mid-task and restarted: every event once, in order, and the skill ran once', async () => {
    const planner = await mesh.agent('acme', 'planner')
    const task = planner.delegate('worker', { skill: 'work' })
    const seqs: number[] = []
    const texts: string[] = []
    for await (const event of task) {
      seqs.push(event.seq)
      if (event.kind === 'message') texts.push(event.text)
      if (event.kind !== 'message' || event.text !== 'before 4') continue
      await mesh.gateway.kill()
      // goes on while nobody listens
      goOn()
      await mesh.gateway.start()
    }
    assert.equal((await task.result()).text(), 'done')
    assert.deepEqual(
      seqs,
      seqs.map((_, i) => i + 1),
    )
    assert.deepEqual(texts, [
      ...[0, 1, 2, 3, 4].map((i) => `before ${i}`),
      ...[0, 1, 2, 3, 4].map((i) => `after ${i}`),
    ])
    assert.equal(ran, 1)
  }).timeout(120_000)

  it('told to end, lets the call in flight end, refuses new ones, and exits with 0 in time', async () => {
    const planner = await mesh.agent('acme', 'planner')
    const task = planner.delegate('worker', { skill: 'work' })
    const events = task[Symbol.asyncIterator]()
    for (;;) {
      const { value } = await events.next()
      if (value?.kind === 'message' && value.text === 'before 4') break
    }
    const stopped = mesh.gateway.stop()
    await waitFor('new connections to be refused', () => refused(mesh.gateway.delegation))
    goOn()
    assert.equal((await task.result()).text(), 'done')
    const { code, signal } = await stopped
    assert.deepEqual({ code, signal }, { code: 0, signal: null })
    await mesh.gateway.start()
    assert.equal((await planner.whoAmI()).agent, 'planner')
  }).timeout(120_000)
})
