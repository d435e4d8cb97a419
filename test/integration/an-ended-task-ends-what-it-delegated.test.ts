/** However a task ends, what its skill gave away ends too, down the tree; and its three clocks are three. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import {
  type Agent,
  createMemoryTaskStore,
  type ServeOptions,
  type TaskInfo,
} from '@clawmesh/agent-sdk'
import { channelCredentials, checkIsGateway } from '@clawmesh/agent-sdk/mesh'
import { DELEGATION_SERVICE, loadProto, serviceOf, uuidV7 } from '@clawmesh/proto'
import { Client, Metadata, status } from '@grpc/grpc-js'
import { type StandInMesh, startStandInMesh } from '../agent-sdk/stand-in/mesh.ts'
import { waitFor } from '../support/wait-for.ts'

describe('an ended task ends what it delegated', () => {
  let mesh: StandInMesh
  let c: Agent
  const given = new Map<string, string>()

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
    async short() {
      await new Promise((resolve) => setTimeout(resolve, 300))
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
      taskStore: createMemoryTaskStore({ retentionMs: 400 }),
    })
  })
  after(() => mesh.close())

  const begun = async (id: string) => {
    const below = await waitFor('the task to be given on', () => given.get(id))
    await waitFor('the task at c', async () => (await leaf(below)) !== null)
    return below
  }
  const canceled = (id: string) =>
    waitFor('the end of the task at c', async () => (await leaf(id))?.state === 'canceled')

  it('cancelled', async () => {
    const task = mesh.a.delegate('b', { skill: 'gives' })
    const below = await begun(task.id)
    await task.cancel()
    await canceled(below)
  })

  it('expired', async () => {
    const task = mesh.a.delegate('b', { skill: 'gives', deadlineMs: 700 })
    const below = await begun(task.id)
    await assert.rejects(task.result(), { code: 'MESH_TASK_EXPIRED' })
    await canceled(below)
  })

  it('orphaned', async () => {
    const other = await mesh.agent('other', { patience: { idleMs: 100, giveUpMs: 1 } })
    const task = other.delegate('b', { skill: 'gives' })
    const result = task.result()
    result.catch(() => {})
    const below = await begun(task.id)
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
    const request = {
      ...{ delegation_id: uuidV7(), skill: 'short', input: [], idempotency_key: '' },
      ...{ task_deadline: null, detached: true, labels: {} },
    }
    const proto = loadProto('clawmesh/delegation/v1/delegation.proto')
    const method = serviceOf(proto, DELEGATION_SERVICE).Delegate ?? assert.fail('no Delegate')
    const call = raw.makeServerStreamRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      new Metadata(),
      { host: 'b.acme.mesh.internal', deadline: Date.now() + 150 },
    )
    call.resume()
    const [error] = await once(call, 'error')
    raw.close()
    assert.equal(error.code, status.DEADLINE_EXCEEDED)
    const again = await mesh.agent('raw')
    const watched = again.watch('b', request.delegation_id)
    assert.equal((await watched.result()).text(), 'done')
    const { updated } = await again.get('b', request.delegation_id)
    await waitFor('the end of its retention', () =>
      again.get('b', request.delegation_id).then(
        () => false,
        () => true,
      ),
    )
    assert.ok(Date.now() >= updated.getTime() + 400)
  })
})
