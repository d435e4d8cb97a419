/** Tasks that take longer than what happens around them. */
import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { waitFor } from '../../support/wait-for.ts'
import { call, delegate, sleepers, taskIdOf } from '../prompts.ts'
import type { World } from '../world.ts'

const sleep = (seconds: number) =>
  call('exec', { command: `sleep ${seconds} && echo slept ${seconds}` })

export function longTasks(world: () => World): void {
  const begun = (seconds: number) =>
    waitFor(`B's exec of ${seconds} s`, async () => (await sleepers(seconds)).length > 0, {
      withinMs: 120_000,
      everyMs: 50,
    })
  const resultOf = (id: string) =>
    world().a.turn(call('mesh_task', { action: 'wait', id, wait_seconds: 120 }))

  it('the watchdog of this OpenClaw waits for 900 s, longer than a call of the plugin', async () => {
    // no setting changes it: before-the-watchdog.test.ts shows by a stand-in clock that a call ends after 600 s
    const dist = join(world().openclaw.dir, 'node_modules/openclaw/dist')
    const names = (await readdir(dist)).filter((name) =>
      name.startsWith('diagnostic-run-activity-'),
    )
    const texts = await Promise.all(names.map((name) => readFile(join(dist, name), 'utf8')))
    const floors = texts.flatMap(
      (text) => /BLOCKED_TOOL_CALL_ABORT_FLOOR_MS = ([\de]+);/.exec(text)?.[1] ?? [],
    )
    assert.deepEqual(floors.map(Number), [900_000])
  })

  it('a task outlives wait_seconds, and is fetched by mesh_task in another conversation', async () => {
    const said = await world().a.turn(delegate(sleep(5), { wait_seconds: 1 }))
    const id = taskIdOf(said)
    assert.notEqual(id, '', said)
    assert.match(await resultOf(id), /slept 5/)
  })

  it('the gateway of the mesh is restarted in the middle of a task', async () => {
    const { a, mesh } = world()
    const waits = a.turn(delegate(sleep(8)))
    await begun(8)
    await mesh.gateway.stop()
    await mesh.gateway.start()
    assert.match(await waits, /slept 8/)
  })

  it("the plugin's configuration is edited on both sides while a task runs", async () => {
    const { a, b } = world()
    const waits = a.turn(delegate(sleep(25)))
    await begun(25)
    const peers = (config: Record<string, unknown>, more: readonly string[]) =>
      withPlugin(config, (plugin) => ({ ...plugin, peers: [...Object(plugin.peers), ...more] }))
    await a.edit((config) => peers(config, ['oc-later']))
    await b.edit((config) => peers(config, ['oc-later']))
    assert.match(await waits, /slept 25/)
    assert.deepEqual([(await a.ready()).status, (await b.ready()).status], [200, 200])
    // OpenClaw applies no edit while a turn is under way or is being put away, and does not come back to it by itself
    const asksLater = call('mesh_task', { action: 'status', peer: 'oc-later', id: 'x' })
    let edits = 0
    await waitFor(
      'an edit that is applied',
      async () => {
        await new Promise((resolve) => setTimeout(resolve, 10_000))
        edits += 1
        await a.edit((config) => peers(config, [`oc-again-${edits}`]))
        await new Promise((resolve) => setTimeout(resolve, 20_000))
        return !/CLAWMESH_PEER_NOT_DECLARED|not found/.test(await a.turn(asksLater))
      },
      { withinMs: 240_000 },
    )
    assert.match(await a.turn(delegate('edited')), /SAID: edited/)
  })

  it("A's client goes away, and B's exec child is gone within 2 s", async () => {
    const leaves = new AbortController()
    const waits = world().a.turn(delegate(sleep(4321)), { signal: leaves.signal })
    waits.catch(() => {})
    await begun(4321)
    const began = performance.now()
    leaves.abort()
    await waitFor('the end of the child', async () => (await sleepers(4321)).length === 0)
    const ms = performance.now() - began
    process.stdout.write(`      gone after ${Math.round(ms)} ms\n`)
    await assert.rejects(waits)
  })

  it('B is killed in the middle of a task, which then is interrupted and not run again', async () => {
    const { a, b, model } = world()
    const said = await a.turn(delegate(`KILLED ${sleep(3210)}`, { wait_seconds: 0 }))
    const id = taskIdOf(said)
    await begun(3210)
    await b.kill()
    for (const pid of await sleepers(3210)) process.kill(Number(pid), 'SIGKILL')
    // also as OpenClaw would, which runs interrupted turns of sessions that it has written down again
    const turnsOfIt = () =>
      model.asked.filter(
        ({ prompt, system }) =>
          /^KILLED/.test(prompt) ||
          (/a request of another agent/i.test(system) &&
            !/SAID|alive/.test(prompt) &&
            /restart|interrupt/i.test(prompt)),
      ).length
    const before = turnsOfIt()
    await b.start()
    const told = await waitFor(
      'its end',
      async () => {
        const found = await resultOf(id)
        return /MESH_TASK_INTERRUPTED/.test(found) && found
      },
      { withinMs: 120_000, everyMs: 1_000 },
    )
    assert.match(told, /restarted/)
    assert.equal(turnsOfIt(), before)
    await waitFor(
      'the next task',
      async () => /SAID: alive/.test(await a.turn(delegate('alive'))),
      {
        withinMs: 120_000,
        everyMs: 1_000,
      },
    )
  })
}

function withPlugin(
  config: Record<string, unknown>,
  change: (plugin: Record<string, unknown>) => Record<string, unknown>,
): Record<string, unknown> {
  const plugins = Object(config.plugins)
  const entry = Object(plugins.entries?.clawmesh)
  const entries = {
    ...plugins.entries,
    clawmesh: { ...entry, config: change({ ...entry.config }) },
  }
  return { ...config, plugins: { ...plugins, entries } }
}
