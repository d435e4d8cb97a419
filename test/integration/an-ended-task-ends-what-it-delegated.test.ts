/** However a task ends, what its skill gave away ends too, down the tree; and its three clocks are three. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import {
  type Agent,
  createMemoryTaskStore,
  type ServeOptions,
  type TaskInfo,
} from '@clawmesh/agent-sdk'
import { channelCredentials } from '@clawmesh/agent-sdk/calls'
import { checkIsGateway } from '@clawmesh/agent-sdk/mesh'
import { DELEGATION_SERVICE, uuidV7 } from '@clawmesh/proto'
import { loadProto, serviceOf } from '@clawmesh/proto/wire'
import { Client, Metadata, status } from '@grpc/grpc-js'
import { type StandInMesh, startStandInMesh } from '../agent-sdk/stand-in/mesh.ts'
import { waitFor } from '../support/wait-for.ts'

const RETENTION_MS = 3_600_000

describe('an ended task ends what it delegated', () => {
  let mesh: StandInMesh
  let c: Agent
  const given = new Map<string, string>()
  /** Tasks of the skill `waits` that run, and what lets them end. */
  const begun = new Set<string>()
  const letGo = Promise.withResolvers<void>()
  /** Null: the store of b has the time of day. */
  let storeMs: number | null = null

  const skills: ServeOptions['skills'] = {
    async gives(task, ctx) {
      const delegation = ctx.delegate('c', { skill: 'stubborn', labels: { of: task.id } })
      given.set(task.id, delegation.id)
      if (task.text() === 'fails') {
        await waitFor('the task at c', async () => (await leaf(delegation.id)) !== null)
        throw new Error('no more')
      }
      await delegation.result()
    },
    async waits(task) {
      begun.add(task.id)
      await letGo.promise
      return 'done'
    },
  }
  const leaf = (id: string): Promise<TaskInfo | null> => mesh.b.get('c', id).catch(() => null)

  before(async () => {
    mesh = await startStandInMesh()
    c = await mesh.agent('c')
    const serving = await c.serve({
      listen: '127.0.0.1:0',
      drainMs: 0,
      orphanGraceMs: 60_000,
      skills: {
        async stubborn(_task, ctx) {
          await once(ctx.signal, 'abort')
        },
      },
    })
    mesh.gateway.peers.set('c.acme.mesh.internal', serving.address.port)
    await mesh.serve({
      skills,
      orphanGraceMs: 50,
      taskStore: createMemoryTaskStore({
        retentionMs: RETENTION_MS,
        now: () => storeMs ?? Date.now(),
      }),
    })
  })
  after(() => mesh.close())

  const isBelow = async (id: string) => {
    const below = await waitFor('the task to be given on', () => given.get(id))
    await waitFor('the task at c', async () => (await leaf(below)) !== null)
    return below
  }
  const canceled = (id: string) =>
    waitFor('the end of the task at c', async () => (await leaf(id))?.state === 'canceled')

  it('cancelled', async () => {
    const task = mesh.a.delegate('b', { skill: 'gives' })
    const below = await isBelow(task.id)
    await task.cancel()
    await canceled(below)
  })

  it('expired', async () => {
    const expires = async (deadlineMs: number): Promise<string> => {
      const task = mesh.a.delegate('b', { skill: 'gives', deadlineMs })
      await assert.rejects(task.result(), { code: 'MESH_TASK_EXPIRED' })
      const below = given.get(task.id)
      // on a slow machine it has expired before it was given on
      if (below === undefined || (await leaf(below)) === null) return expires(2 * deadlineMs)
      return below
    }
    await canceled(await expires(500))
  })

  it('orphaned', async () => {
    const other = await mesh.agent('other', { patience: { idleMs: 100, giveUpMs: 1 } })
    const task = other.delegate('b', { skill: 'gives' })
    const result = task.result()
    result.catch(() => {})
    const below = await isBelow(task.id)
    // it goes without a word: its connection breaks and it does not come back
    mesh.gateway.breakConnections()
    await waitFor('the orphan', async () => (await other.get('b', task.id)).state === 'orphaned')
    await canceled(below)
  })

  it('failed', async () => {
    const task = mesh.a.delegate('b', { skill: 'gives', input: 'fails' })
    await assert.rejects(task.result(), { code: 'MESH_TASK_FAILED' })
    await canceled(given.get(task.id) ?? '')
  })

  it('the deadline of a call ends the call, not the task; retention begins when the task has ended', async () => {
    const identity = await mesh.ca.open(await mesh.ca.agentDir({ tenant: 'acme', agent: 'raw' }))
    const credentials = channelCredentials(identity, {
      spiffe: mesh.ca.spiffe,
      expect: checkIsGateway,
    })
    const raw = new Client(mesh.gateway.address, credentials)
    const proto = loadProto('clawmesh/delegation/v1/delegation.proto')
    const method = serviceOf(proto, DELEGATION_SERVICE).Delegate ?? assert.fail('no Delegate')
    const callThatEnds = async (afterMs: number): Promise<string> => {
      const id = uuidV7()
      const request = {
        ...{ delegation_id: id, skill: 'waits', input: [], idempotency_key: '' },
        ...{ task_deadline: null, detached: true, labels: {} },
      }
      const call = raw.makeServerStreamRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        new Metadata(),
        { host: 'b.acme.mesh.internal', deadline: Date.now() + afterMs },
      )
      call.resume()
      const [error] = await once(call, 'error')
      assert.equal(error.code, status.DEADLINE_EXCEEDED)
      // on a slow machine it has ended before it arrived
      return begun.has(id) ? id : callThatEnds(2 * afterMs)
    }
    const id = await callThatEnds(150)
    raw.close()
    const again = await mesh.agent('raw')
    const watched = again.watch('b', id)
    const isThere = () =>
      again.get('b', id).then(
        () => true,
        () => false,
      )
    storeMs = Date.now() + 2 * RETENTION_MS
    assert.equal(await isThere(), true, 'it runs')
    storeMs = null
    letGo.resolve()
    assert.equal((await watched.result()).text(), 'done')
    const { created, updated } = await again.get('b', id)
    assert.ok(updated.getTime() > created.getTime() + 2)
    storeMs = updated.getTime() + RETENTION_MS - 1
    assert.equal(await isThere(), true)
    storeMs = updated.getTime() + RETENTION_MS + 1
    assert.equal(await isThere(), false)
  })
})
