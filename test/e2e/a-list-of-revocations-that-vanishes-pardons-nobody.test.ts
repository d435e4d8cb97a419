/** The gateway's own list goes away, is emptied, or an older copy is put back, beside a gateway that runs, and before it starts. */
import assert from 'node:assert/strict'
import { copyFile, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { runHere } from '../mesh-gateway/cli/run-here.ts'
import {
  type SeveralWorkers,
  startSeveralWorkers,
} from '../mesh-gateway/workers/several-workers.ts'
import { describeClosing } from '../support/closes-everything.ts'
import { waitFor } from '../support/wait-for.ts'

describeClosing('a list of revocations that vanishes pardons nobody', function () {
  this.timeout(300_000)
  let world: SeveralWorkers
  let list: string
  before(async () => {
    world = await startSeveralWorkers({ config: { revocation: { list: 'revoked.json' } } })
    list = join(world.dir, 'revoked.json')
  })
  after(() => world.close())

  const command = (...args: string[]) =>
    runHere(world.dir, [...args, '--config', world.gateway.configFile])
  const revoke = async (agent: string) => {
    const { code, stderr } = await command('revoke', 'agent', `acme/${agent}`)
    assert.equal(code, 0, stderr)
  }
  const status = async (agent: string) => {
    const { socket, status: answered } = await world.ask(agent)
    socket.destroy()
    return answered
  }
  /** At every worker. */
  const isRefused = async (agent: string) => {
    for (let n = 0; n < 4; n += 1) if ((await status(agent)) !== 403) return false
    return true
  }
  const lastReload = () => world.metric('clawmesh_reload_last_success', 'what="revocations"')
  const warnings = (says: RegExp) =>
    world.gateway
      .lastLines()
      .filter((line) => line.includes('revocations: not reloaded') && says.test(line))

  it('while the gateway runs: it keeps the last good one, says so once, and the commands refuse', async () => {
    for (const agent of ['planner', 'else', 'third']) assert.equal(await status(agent), 200)
    await revoke('planner')
    await waitFor('the refusal of the planner', () => isRefused('planner'))
    await copyFile(list, join(world.dir, 'kept'))
    const add = ['revoke', 'agent', 'acme/else']
    const issue = ['issue-token', '--agent-id', 'else']
    const places: [string, () => Promise<unknown>, RegExp, string[][]][] = [
      ['gone', () => rm(list), /there is no list of rev/, [add, ['revoke', '--list'], issue]],
      ['empty', () => writeFile(list, ''), /it is empty/, [add]],
      ['a directory', () => rm(list).then(() => mkdir(list)), /not a regular file/, [issue]],
    ]
    for (const [what, place, says, commands] of places) {
      await place()
      await waitFor(`the metric: ${what}`, async () => (await lastReload()) === 0)
      for (const { code, stdout, stderr } of await Promise.all(
        commands.map((args) => command(...args)),
      )) {
        assert.deepEqual([code, stdout], [1, ''], `${what}: ${stderr}`)
        assert.match(stderr, says)
        assert.match(stderr, /hint: put back/)
      }
      assert.ok(await isRefused('planner'), what)
      assert.equal(await status('else'), 200)
      // one by each of two workers, however often they have looked meanwhile; between two steps they may see another fault
      await waitFor(`the warnings: ${what}`, () => warnings(says).length === 2)
    }
    assert.match((await command('doctor')).stdout, /not a regular file/)
    await rm(list, { recursive: true })
    await rename(join(world.dir, 'kept'), list)
    await waitFor('the list that is back', async () => (await lastReload()) === 1)
    await revoke('else')
    await waitFor('the refusal of the other', () => isRefused('else'))
    assert.ok(await isRefused('planner'))
  })

  it('while the gateway runs: an older copy lets nobody in, and what is added to it is refused', async () => {
    await copyFile(list, join(world.dir, 'newest'))
    const older = (await readFile(list, 'utf8')).split('\n').slice(0, 3).join('\n')
    await writeFile(`${list}.next`, `${older}\n`)
    await rename(`${list}.next`, list)
    await waitFor('the metric', async () => (await lastReload()) === 0)
    assert.ok(await isRefused('else'))
    await revoke('third')
    await waitFor('the refusal of the third', () => isRefused('third'))
    for (const agent of ['planner', 'else']) assert.ok(await isRefused(agent), agent)
    await rename(join(world.dir, 'newest'), list)
    await waitFor('the list that is back', async () => (await lastReload()) === 1)
    assert.equal(await status('third'), 200)
  })

  it('before the gateway starts: it does not, and a list that was put back holds', async () => {
    await world.gateway.stop()
    await rename(list, join(world.dir, 'kept'))
    await assert.rejects(
      world.gateway.start(),
      /there is no list of revocations[\s\S]*put back the one/,
    )
    await writeFile(list, '')
    await assert.rejects(world.gateway.start(), /it is empty/)
    await rename(join(world.dir, 'kept'), list)
    await world.gateway.start()
    assert.ok(await isRefused('planner'))
    assert.equal(await status('third'), 200)
  })
})
