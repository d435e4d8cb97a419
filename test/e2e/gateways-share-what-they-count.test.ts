/** Two gateways and a real Redis: budgets, rates and turns are those of the mesh, not of a gateway. */
import assert from 'node:assert/strict'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Agent, Skill } from '@clawmesh/agent-sdk'
import { MeshError } from '@clawmesh/proto'
import { type GatewayProcess, startGatewayProcess } from '../support/gateway-process.ts'
import { type Mesh, startMesh } from '../support/mesh.ts'
import { needProgram } from '../support/need-program.ts'
import { type RedisServer, startRedisServer } from '../support/redis-server.ts'
import { waitFor } from '../support/wait-for.ts'

describe('gateways share what they count', function () {
  this.timeout(60_000)
  let redis: RedisServer
  let mesh: Mesh
  let second: GatewayProcess
  let skill: Skill = () => undefined
  let researcher: Agent
  /** By the gateway that it uses. */
  let planners: readonly Agent[] = []
  const callers = new Map<string, readonly Agent[]>()

  const quick = { patience: { startGiveUpMs: 200 } }
  const policy = {
    acme: {
      delegation: {
        allow: [{ from: '*', to: '*' }],
        maxDelegationsPerRoot: 4,
        agents: {
          hasty: { limits: { callsPerMinute: 10 } },
          writer: { peerLimits: { concurrentTasks: 1 } },
        },
      },
    },
  }

  before(async function () {
    needProgram(this, 'redis-server')
    redis = await startRedisServer()
    const limits = { redis: { url: redis.url }, whenRedisIsAway: 'refuse' }
    mesh = await startMesh({ policy, config: { limits } })
    const dir = join(mesh.dir, 'second')
    await mkdir(dir)
    const shared = (name: string) => ({ dir: join(mesh.dir, name) })
    second = await startGatewayProcess({
      dir,
      config: {
        limits,
        ...{ identity: shared('gateway'), policy: shared('policy'), keys: shared('keys') },
        dns: { servers: [mesh.dns.address] },
      },
    })
    const by = async (name: string) => [
      await mesh.agent('acme', name, quick),
      await mesh.agent('acme', name, { ...quick, gateway: second.delegation }),
    ]
    planners = await by('planner')
    callers.set('hasty', await by('hasty'))
    // what it delegates goes by the second gateway, what comes to it by either
    researcher = await mesh.agent('acme', 'researcher', { ...quick, gateway: second.delegation })
    const skills = { work: ((task, ctx) => skill(task, ctx)) satisfies Skill }
    const serving = await researcher.serve({ listen: '127.0.0.1:0', skills })
    mesh.announce('acme', 'researcher', serving.address.port)
    await mesh.serve('acme', 'writer', {
      skills: {
        work: () => 'written',
        async waits(_task, ctx) {
          ctx.message('begun')
          await new Promise((resolve) => {
            release = () => resolve(undefined)
          })
        },
      },
    })
  })
  after(async () => {
    await second?.stop()
    await mesh?.close()
    await redis?.close()
  })
  let release = () => {}

  const codeOf = async (attempt: Promise<unknown>) =>
    attempt.then(
      () => 'OK',
      (error: unknown) => (error instanceof MeshError ? error.code : String(error)),
    )
  const delegated = (agent: Agent | undefined, to: string, what = 'work') =>
    codeOf(agent?.delegate(to, { skill: what }).result() ?? assert.fail('no agent'))

  it('the budget of a tree holds over both', async () => {
    const codes: string[] = []
    skill = async () => {
      for (let i = 0; i < 4; i += 1) codes.push(await delegated(researcher, 'writer'))
    }
    // one of four is spent at the first gateway
    await planners[0]?.delegate('researcher', { skill: 'work' }).result()
    assert.deepEqual(codes, ['OK', 'OK', 'OK', 'MESH_CHAIN_BUDGET_EXCEEDED'])
  })

  it('calls per minute hold over both, and the refusal says when to come again', async () => {
    skill = () => undefined
    const [here, there] = callers.get('hasty') ?? []
    assert.equal(await delegated(here, 'researcher'), 'OK')
    const refused = await there
      ?.delegate('researcher', { skill: 'work' })
      .result()
      .catch((error: unknown) => error)
    assert.ok(refused instanceof MeshError)
    assert.equal(refused.code, 'MESH_RATE_LIMITED')
    assert.ok((refused.retryAfterMs ?? 0) > 1_000)
  })

  it('a turn at a peer is one at both', async () => {
    const [here, there] = planners
    const first = here?.delegate('writer', { skill: 'waits' })
    for await (const event of first ?? []) if (event.kind === 'message') break
    let ended = false
    const next = delegated(there, 'writer').finally(() => {
      ended = true
    })
    // a task of the one that is busy can be looked at meanwhile
    assert.equal((await there?.get('writer', first?.id ?? ''))?.state, 'working')
    assert.equal(ended, false)
    release()
    await first?.result()
    assert.equal(await next, 'OK')
  })

  it('without Redis what is limited is refused, metrics say so, and it goes on by itself when Redis is back', async () => {
    const up = async (gateway: GatewayProcess) =>
      /clawmesh_limits_store_up\{store="redis"\} (\d)/.exec(
        await (await fetch(`http://${gateway.admin}/metrics`)).text(),
      )?.[1]
    skill = () => undefined
    assert.equal(await delegated(planners[0], 'researcher'), 'OK')
    await redis.kill()
    for (const planner of planners)
      await waitFor('a refusal', async () =>
        // whose turns are counted; the root of a tree needs no count
        (await delegated(planner, 'writer')) === 'MESH_LIMIT_UNAVAILABLE' ? true : undefined,
      )
    assert.equal(await up(second), '0')
    await redis.start()
    await waitFor('both', async () =>
      (await up(second)) === '1' && (await up(mesh.gateway)) === '1' ? true : undefined,
    )
    for (const planner of planners) assert.equal(await delegated(planner, 'researcher'), 'OK')
  })
})
