/** Two workers at the same ports: what an agent may do is what one gateway would let it do. */
import assert from 'node:assert/strict'
import { readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import type { Agent, Skill } from '@clawmesh/agent-sdk'
import { MeshError } from '@clawmesh/proto'
import {
  type SeveralWorkers,
  socketsOf,
  startSeveralWorkers,
  type Tunnel,
} from '../mesh-gateway/workers/several-workers.ts'
import { describeClosing } from '../support/closes-everything.ts'
import { type Mesh, startMesh } from '../support/mesh.ts'
import { waitFor } from '../support/wait-for.ts'

describeClosing('workers share the ports and what they count', function () {
  this.timeout(120_000)
  let world: SeveralWorkers
  const egress = {
    agents: {
      hasty: { limits: { requestsPerMinute: 1, burst: 20 } },
      narrow: { limits: { concurrentTunnels: 4 } },
    },
  }

  const opened: Tunnel[] = []
  before(async () => {
    world = await startSeveralWorkers({ egress, config: { revocation: { list: 'revoked.json' } } })
  })
  afterEach(async () => {
    closeAll(opened.splice(0))
    await waitFor('all to have ended', async () => (await world.metric('clawmesh_active')) === 0)
  })
  after(() => world.close())

  const ask = async (agent: string) => {
    const tunnel = await world.ask(agent)
    opened.push(tunnel)
    return tunnel
  }
  const askTimes = (times: number, agent: string) =>
    Promise.all(Array.from({ length: times }, () => ask(agent)))
  /** So that each worker has some: of those that come at once a busy one may get none. */
  const askInTurn = async (times: number, agent: string) => {
    const tunnels: Tunnel[] = []
    for (let i = 0; i < times; i += 1) tunnels.push(await ask(agent))
    return tunnels
  }
  const statuses = (tunnels: readonly Tunnel[], status: number) =>
    tunnels.filter((one) => one.status === status).length
  const closeAll = (tunnels: readonly Tunnel[]) => {
    for (const { socket } of tunnels) socket.destroy()
  }

  it('connections spread evenly over the workers', async () => {
    const pids = await world.pids()
    assert.equal(pids.length, 2)
    const before = await Promise.all(pids.map(socketsOf))
    assert.equal(statuses(await askInTurn(20, 'bot'), 200), 20)
    const after = await Promise.all(pids.map(socketsOf))
    // each tunnel is two sockets
    assert.deepEqual(
      after.map((count, i) => count - (before[i] ?? 0)),
      [20, 20],
    )
    assert.equal(await world.metric('clawmesh_active', 'plane="egress"'), 20)
  })

  it('the rate of an agent holds exactly over all of them', async () => {
    const counted = () =>
      Promise.all([
        world.metric('clawmesh_decisions_total', 'action="allow"'),
        world.metric('clawmesh_decisions_total', 'reason="MESH_RATE_LIMITED"'),
        world.metric('clawmesh_request_duration_seconds_count'),
        world.metric('clawmesh_token_validation_seconds_count'),
      ])
    const before = await counted()
    const tunnels = await askTimes(60, 'hasty')
    assert.equal(statuses(tunnels, 200), 20)
    assert.equal(statuses(tunnels, 429), 40)
    // and the sums of the metrics are those of one gateway
    closeAll(tunnels)
    await waitFor('all to have ended', async () => (await world.metric('clawmesh_active')) === 0)
    const after = await counted()
    assert.deepEqual(
      after.map((count, i) => count - (before[i] ?? 0)),
      [20, 40, 60, 2],
    )
  })

  it('no port of the gateway can be reached through it, the one of the supervisor included', async () => {
    const { admin, egress: own, delegation } = world.gateway
    await world.setPolicy({ ...egress, allow: [world.upstream, admin, own, delegation] })
    // its token is made from here on: what it may reach is in it
    for (const target of [admin, own, delegation])
      for (let i = 0; i < 4; i += 1)
        await waitFor(`the refusal of ${target}`, async () => {
          const { status, body } = await world.ask('curious', target)
          assert.equal(status, 403)
          // until the change of policy has come, that is the reason
          return body.includes('MESH_EGRESS_ADDRESS_REFUSED')
        })
  })

  it('a change of policy reaches the tunnels at every worker, and so does a token that is taken back', async () => {
    const kept = await askInTurn(6, 'bot')
    const taken = await askInTurn(6, 'other')
    const denied = await askInTurn(6, 'third')
    assert.equal(statuses([...kept, ...taken, ...denied], 200), 18)
    const revoked = await fetch(`http://${world.gateway.egress}/v1/token/revoke`, {
      method: 'POST',
      headers: { authorization: `Bearer ${await world.tokenOf('other')}` },
    })
    assert.equal(revoked.status, 200)
    await waitFor('the end of every tunnel of the token', () =>
      taken.every(({ socket }) => socket.destroyed),
    )
    for (const refused of await askTimes(4, 'other')) assert.equal(refused.status, 403)
    await world.setPolicy({ agents: { ...egress.agents, third: { deny: [world.upstream] } } })
    await waitFor('the end of every tunnel that is no longer allowed', () =>
      denied.every(({ socket }) => socket.destroyed),
    )
    for (const tunnel of kept) assert.equal(await tunnel.echoes(), true)
  })

  it('SIGHUP opens the audit log anew at every worker, and no record is lost', async () => {
    const records = async (file: string) =>
      (await readFile(file, 'utf8').catch(() => ''))
        .split('\n')
        .filter((line) => line.includes('"agent_id":"scribe"'))
    const { auditFile, pid } = world.gateway
    closeAll(await askTimes(10, 'scribe'))
    await waitFor('ten records', async () => (await records(auditFile)).length === 10)
    // a worker was handed the connection, and knows from where it came all the same
    for (const line of await records(auditFile)) assert.match(line, /"client_ip":"127\.0\.0\.1"/)
    await rename(auditFile, join(world.dir, 'old.jsonl'))
    process.kill(pid, 'SIGHUP')
    await waitFor('a new file', () =>
      readFile(auditFile).then(
        () => true,
        () => false,
      ),
    )
    let sent = 10
    await waitFor('both workers to write to it', async () => {
      closeAll(await askTimes(4, 'scribe'))
      sent += 4
      const before = (await records(join(world.dir, 'old.jsonl'))).length
      closeAll(await askTimes(4, 'scribe'))
      sent += 4
      await waitFor('all records', async () => {
        const old = await records(join(world.dir, 'old.jsonl'))
        return old.length + (await records(auditFile)).length === sent
      })
      return (await records(join(world.dir, 'old.jsonl'))).length === before
    })
  })

  it('tunnels at once are counted together, given back as they end, and at once when a worker is killed', async () => {
    const open = await askInTurn(4, 'narrow')
    assert.equal(statuses(open, 200), 4)
    assert.equal(statuses(await askTimes(8, 'narrow'), 429), 8)
    const granted = async () => {
      const next = (await askTimes(4, 'narrow')).filter(({ status }) => status === 200)
      open.push(...next)
      return next.length > 0 && next
    }
    open.shift()?.socket.destroy()
    assert.equal((await waitFor('the place of the one that ended', granted)).length, 1)

    // the last of this suite: a worker ends
    const [killed = 0] = await world.pids()
    process.kill(killed, 'SIGKILL')
    await waitFor('the end of its tunnels', () => open.some(({ socket }) => socket.destroyed))
    const alive = () => open.filter(({ socket }) => !socket.destroyed)
    // all of its places: of those that ask meanwhile some come before they are given back
    await waitFor('their places', async () => {
      await granted()
      return alive().length >= 4
    })
    assert.equal(alive().length, 4)
    for (const tunnel of alive()) assert.equal(await tunnel.echoes(), true)
  })
})

describeClosing('workers share what they count of delegations', function () {
  this.timeout(120_000)
  let mesh: Mesh
  let skill: Skill = () => undefined
  let researcher: Agent
  before(async () => {
    mesh = await startMesh({
      config: { workers: 2 },
      policy: {
        acme: {
          delegation: {
            allow: [{ from: '*', to: '*' }],
            maxDelegationsPerRoot: 4,
            agents: { hasty: { limits: { callsPerMinute: 10 } } },
          },
        },
      },
    })
    const { agent } = await mesh.serve('acme', 'researcher', {
      skills: { work: ((task, ctx) => skill(task, ctx)) satisfies Skill },
    })
    researcher = agent
    await mesh.serve('acme', 'writer', { skills: { work: () => 'written' } })
  })
  after(() => mesh?.close())

  const codeOf = (attempt: Promise<unknown>) =>
    attempt.then(
      () => 'OK',
      (error: unknown) => (error instanceof MeshError ? error.code : String(error)),
    )

  it('the budget of a tree, wherever its calls come in', async () => {
    const codes: string[] = []
    skill = async () => {
      for (let i = 0; i < 4; i += 1)
        codes.push(await codeOf(researcher.delegate('writer', { skill: 'work' }).result()))
    }
    const planner = await mesh.agent('acme', 'planner')
    await planner.delegate('researcher', { skill: 'work' }).result()
    assert.deepEqual(codes, ['OK', 'OK', 'OK', 'MESH_CHAIN_BUDGET_EXCEEDED'])
  })

  it('calls per minute, over connections to different workers', async () => {
    skill = () => undefined
    const patience = { startGiveUpMs: 200 }
    const codes: string[] = []
    for (let i = 0; i < 4; i += 1) {
      const hasty = await mesh.agent('acme', 'hasty', { patience })
      codes.push(await codeOf(hasty.delegate('researcher', { skill: 'work' }).result()))
    }
    assert.deepEqual(codes.toSorted(), [
      'MESH_RATE_LIMITED',
      'MESH_RATE_LIMITED',
      'MESH_RATE_LIMITED',
      'OK',
    ])
  })
})
