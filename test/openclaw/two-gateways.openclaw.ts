/**
 * Two real OpenClaw gateways delegate to each other over a real mesh. Both are started while the mesh is down. The parts run one after
 * another and share the processes, since a start of OpenClaw takes half a minute and 0.9 GB.
 */
import { bounds } from './parts/bounds.ts'
import { firstContact } from './parts/first-contact.ts'
import { longTasks } from './parts/long-tasks.ts'
import { toolsInOpenClaw } from './parts/tools.ts'
import { makeWorld, type World } from './world.ts'

describe('two OpenClaw gateways', () => {
  let made: World | null = null
  const world = () =>
    made ??
    (() => {
      throw new Error('there is no world')
    })()

  before('the plugin is built and installed', async () => {
    made = await timed('build, mesh, plugins install', makeWorld)
  })
  before('both start while the mesh is down', async () => {
    const { a, b, mesh } = world()
    await mesh.gateway.stop()
    await timed('two OpenClaw gateways', () => Promise.all([a.start(), b.start()]))
  })
  afterEach(function () {
    if (this.currentTest?.state === 'failed' && made !== null)
      for (const { name, log } of [made.a, made.b])
        process.stderr.write(
          `the last lines of ${name}:\n${log().split('\n').slice(-25).join('\n')}\n`,
        )
  })
  after(() => made?.close())

  describe('meet', () => firstContact(world))
  describe('have tools', () => toolsInOpenClaw(world))
  describe('have tasks that take long', () => longTasks(world))
  describe('are bounded', () => bounds(world))
})

async function timed<T>(what: string, work: () => Promise<T>): Promise<T> {
  const began = performance.now()
  const made = await work()
  process.stdout.write(`  ${what}: ${((performance.now() - began) / 1000).toFixed(1)} s\n`)
  return made
}
