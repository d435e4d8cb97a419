/**
 * Two real OpenClaw gateways delegate to each other over a real mesh. Both are started while the mesh is down. The parts run one after
 * another and share the processes, since a start of OpenClaw takes half a minute and 0.9 GB.
 */
import { waitFor } from '../support/wait-for.ts'
import { bounds } from './parts/bounds.ts'
import { relayProcesses, startTraffic, type Traffic, wayOut } from './parts/egress.ts'
import { firstContact } from './parts/first-contact.ts'
import { longTasks } from './parts/long-tasks.ts'
import { mcpDoor } from './parts/mcp-door.ts'
import { theGuide } from './parts/the-guide.ts'
import { toolsInOpenClaw } from './parts/tools.ts'
import { makeWorld, type World } from './world.ts'

describe('two OpenClaw gateways', () => {
  let made: World | null = null
  let flowing: Traffic | null = null
  const world = () => given(made)
  const traffic = () => given(flowing)

  before('the plugin is built and installed', async () => {
    made = await timed('build, mesh, plugins install', makeWorld)
  })
  before('both start while the mesh is down', async () => {
    const { a, b, mesh } = world()
    await mesh.gateway.stop()
    await timed('two OpenClaw gateways', () => Promise.all([a.start(), b.start()]))
  })
  afterEach(function () {
    if (this.currentTest?.state !== 'failed' || made === null) return
    for (const { name, log } of [made.a, made.b])
      process.stderr.write(
        `the last lines of ${name}:\n${log().split('\n').slice(-15).join('\n')}\n`,
      )
  })
  after(async () => {
    await flowing?.stop()
    await made?.close()
  })

  describe('meet', () => firstContact(world))
  describe('have tools', () => {
    before('traffic goes through the relay from now on', async () => {
      const port = world().relay.port
      await waitFor('the relay', async () => (await relayProcesses(port)).length > 0)
      flowing = await startTraffic(world())
    })
    toolsInOpenClaw(world)
  })
  describe('have tasks that take long', () => longTasks(world))
  describe('are bounded', () => bounds(world))
  describe('are clients of MCP', () => mcpDoor(world))
  describe('reach the outside', () => wayOut(world, traffic))
  describe('follow the guide', () => theGuide(world))
  describe('in the end', () => {
    before(async () => {
      const { a, b } = world()
      const bytes = await Promise.all([a.residentBytes(), b.residentBytes()])
      const megabytes = bytes.map((each) => Math.round(each / 1_000_000))
      process.stdout.write(`    resident memory: ${megabytes.join(' and ')} MB\n`)
      await a.end()
    })
    it('the relay ends with OpenClaw', async () => {
      const port = world().relay.port
      await waitFor('the end of it', async () => (await relayProcesses(port)).length === 0)
    })
  })
})

function given<T>(value: T | null): T {
  if (value === null) throw new Error('there is none yet')
  return value
}

async function timed<T>(what: string, work: () => Promise<T>): Promise<T> {
  const began = performance.now()
  const made = await work()
  process.stdout.write(`  ${what}: ${((performance.now() - began) / 1000).toFixed(1)} s\n`)
  return made
}
