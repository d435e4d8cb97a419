/** The clock of the gateway's machine is set back by ten minutes, to before its certificates: what is connected goes on, and readiness says why. */
import assert from 'node:assert/strict'
import { type Mesh, startMesh } from '../support/mesh.ts'
import { waitFor } from '../support/wait-for.ts'

const CLOCK = new URL('../support/clock-that-steps.ts', import.meta.url)

describe('a clock that is set back', () => {
  let mesh: Mesh
  before(async () => {
    mesh = await startMesh({
      policy: { acme: { delegation: { allow: [{ from: 'planner', to: 'researcher' }] } } },
      env: { NODE_OPTIONS: `--import ${CLOCK.href}` },
    })
  })
  after(() => mesh.close())

  const ready = async () => {
    const response = await fetch(`http://${mesh.gateway.admin}/ready`)
    return { status: response.status, body: await response.text() }
  }

  it('ends no call of agents that are connected; /ready and the log say what happened', async () => {
    await mesh.serve('acme', 'researcher', {
      skills: {
        echo: (task) => task.text(),
        async waits(_task, ctx) {
          ctx.message('begun')
          await released
          return 'ended'
        },
      },
    })
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    const planner = await mesh.agent('acme', 'planner')
    const echo = async (input: string) =>
      (await planner.delegate('researcher', { skill: 'echo', input }).result()).text()
    assert.equal(await echo('before'), 'before')
    const long = planner.delegate('researcher', { skill: 'waits' })
    for await (const event of long) if (event.kind === 'message') break
    assert.equal((await ready()).status, 200)

    process.kill(mesh.gateway.pid, 'SIGUSR2')
    await waitFor('the gateway is not ready', async () => (await ready()).status === 503)
    assert.match(
      (await ready()).body,
      /the clock was set back: it says .* good from .*; set the clock right/,
    )
    await waitFor('the log says so', () =>
      mesh.gateway.lastLines().some((line) => line.includes('the clock went back by 600 s')),
    )
    for (const input of ['one', 'two', 'three']) assert.equal(await echo(input), input)
    release()
    assert.equal((await long.result()).text(), 'ended')

    process.kill(mesh.gateway.pid, 'SIGUSR2')
    await waitFor('the gateway is ready again', async () => (await ready()).status === 200)
    assert.equal(await echo('after'), 'after')
  })
})
