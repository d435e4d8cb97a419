/**
 * A task belongs to the tree of delegations that it was begun in, whoever looks at it and by whichever call. When the tree is
 * revoked, streams end and the task itself ends at its callee, also when nobody follows it.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Agent } from '@clawmesh/agent-sdk'
import { MeshError } from '@clawmesh/proto'
import { runHere } from '../mesh-gateway/cli/run-here.ts'
import { type Mesh, startMesh } from '../support/mesh.ts'
import { startPausableRelay } from '../support/pausable-relay.ts'
import { waitFor } from '../support/wait-for.ts'

const OPEN = { acme: { delegation: { allow: [{ from: '*', to: '*' }] } } }
const id = (agent: string) => `spiffe://mesh.internal/tenant/acme/agent/${agent}`

interface Held {
  readonly signal: AbortSignal
  /** Milliseconds since the epoch; null while it runs. */
  endedMs: number | null
}

describe('what begins in a tree of delegations ends with it', function () {
  this.timeout(120_000)
  let mesh: Mesh
  let planner: Agent
  /** The tasks that the researcher holds, by their input. */
  const holding = new Map<string, Held>()
  let count = 0

  before(async () => {
    mesh = await startMesh({
      policy: OPEN,
      config: { revocation: { list: 'revoked.json' }, audit: { openAfterMs: 200 } },
    })
    await mesh.serve('acme', 'writer', { skills: { echo: (task) => task.text() } })
    await mesh.serve('acme', 'researcher', {
      orphanGraceMs: 60_000,
      skills: {
        async hold(task, ctx) {
          const held: Held = { signal: ctx.signal, endedMs: null }
          // its audit line tells the root of the tree
          await ctx.delegate('writer', { skill: 'echo', input: task.text() }).result()
          holding.set(task.text(), held)
          ctx.message('begun')
          if (!ctx.signal.aborted) await once(ctx.signal, 'abort')
          held.endedMs = Date.now()
        },
        async ask(task, ctx) {
          holding.set(task.text(), { signal: ctx.signal, endedMs: null })
          await ctx.delegate('writer', { skill: 'echo', input: task.text() }).result()
          await ctx.ask('well?')
        },
      },
    })
    planner = await mesh.agent('acme', 'planner')
  })
  after(() => mesh.close())
  beforeEach(async () => {
    count += 1
    await mesh.setPolicy(OPEN)
  })

  /** A task that has begun, and the root of its tree. */
  async function begin(
    by: Agent,
    more: {
      readonly detached?: boolean
      readonly skill?: string
      readonly idempotencyKey?: string
    } = {},
  ) {
    const input = `${by.identity.agent} ${count}`
    const before = (await mesh.audit()).length
    const task = by.delegate('researcher', { skill: 'hold', input, ...more })
    const wanted = more.skill === 'ask' ? 'input-required' : 'message'
    for await (const event of task) if (event.kind === wanted) break
    const line = await waitFor('the line of the inner delegation', async () =>
      (await mesh.audit())
        .slice(before)
        .find(({ agent_id, root_id }) => agent_id === 'researcher' && root_id !== null),
    )
    const held = holding.get(input) ?? assert.fail('it is not held')
    return { task, held, root: String(line.root_id) }
  }
  async function revoke(...what: readonly string[]): Promise<void> {
    const args = ['revoke', ...what, '--config', join(mesh.dir, 'gateway.json')]
    const { code, stderr } = await runHere(mesh.dir, args)
    assert.equal(code, 0, stderr)
  }
  const codeOf = (work: Promise<unknown>) =>
    work.then(
      () => 'OK',
      (error: unknown) => (error instanceof MeshError ? error.code : String(error)),
    )
  /** How long after it was asked for, in milliseconds. */
  async function ended(held: Held, sinceMs: number): Promise<number> {
    const endedMs = await waitFor('the end of the task', () => held.endedMs ?? undefined)
    return endedMs - sinceMs
  }
  const isWatch = (line: Readonly<Record<string, unknown>>) =>
    String(line.grpc_method).endsWith('/Watch')

  it('a stream that Watch has resumed, and the task', async () => {
    const [host = '', port] = mesh.gateway.delegation.split(':')
    const relay = await startPausableRelay({ host, port: Number(port) })
    const far = await mesh.agent('acme', 'far', { gateway: `127.0.0.1:${relay.port}` })
    const { task, held, root } = await begin(far)
    const result = codeOf(task.result())
    relay.cut()
    await mesh.auditLine(
      'the Watch that is open',
      (one) => isWatch(one) && one.delegation_id === task.id && one.phase === 'open',
    )
    await revoke('txn', root)
    const { mtimeMs } = await stat(join(mesh.dir, 'revoked.json'))
    assert.equal(await result, 'MESH_CHAIN_REVOKED')
    const tookMs = Math.round(await ended(held, mtimeMs))
    process.stdout.write(`      the task ended ${tookMs} ms after the list was written\n`)
    // callers, callees and gateway share the processors of this machine with other tests
    assert.ok(tookMs < 5_000, `${tookMs}`)
    const line = await mesh.auditLine(
      'the resumed Watch',
      (one) => isWatch(one) && one.delegation_id === task.id && one.reason === 'MESH_CHAIN_REVOKED',
    )
    assert.equal(line.root_id, root)
    assert.deepEqual(line.chain, [id('far')])
    await far.close()
    await relay.close()
  })

  it('a task whose gateway was restarted', async () => {
    const { task, held, root } = await begin(planner)
    const result = codeOf(task.result())
    await mesh.gateway.kill()
    await mesh.gateway.start()
    await revoke('txn', root)
    assert.equal(await result, 'MESH_CHAIN_REVOKED')
    await ended(held, 0)
  })

  it('a task that nobody follows', async () => {
    const { held, root } = await begin(planner, { detached: true })
    const leaver = await mesh.agent('acme', 'leaver')
    const other = await begin(leaver, { detached: true })
    await leaver.close()
    await revoke('txn', other.root)
    await ended(other.held, 0)
    assert.equal(held.endedMs, null, 'a task of another tree goes on')
    await revoke('txn', root)
    await ended(held, 0)
  })

  it('a task of which the gateway learns only when it is back', async () => {
    const leaver = await mesh.agent('acme', 'leaver')
    const { held, root } = await begin(leaver, { detached: true })
    await leaver.close()
    await mesh.gateway.kill()
    await revoke('txn', root)
    assert.equal(held.endedMs, null)
    await mesh.gateway.start()
    await ended(held, 0)
  })

  it('a task that waits for an answer, and no call about it passes afterwards, with or without a token', async () => {
    const { task, held, root } = await begin(planner, { detached: true, skill: 'ask' })
    await revoke('txn', root)
    await waitFor('the end', () => (held.signal.aborted ? true : undefined))
    // it began no tree that the gateway would know it by
    const again = await mesh.agent('acme', 'planner')
    const looks = [
      again.watch('researcher', task.id).result(),
      again.get('researcher', task.id),
      again.watch('researcher', task.id).cancel(),
      again.watch('researcher', task.id).sendInput('well', '1'),
    ]
    const codes = await Promise.all(looks.map(codeOf))
    assert.deepEqual([...codes.slice(0, 3)], Array(3).fill('MESH_CHAIN_REVOKED'))
    assert.notEqual(codes[3], 'OK')
    const watch = await mesh.auditLine(
      'a Watch of the ended task',
      (one) => isWatch(one) && one.delegation_id === task.id && one.reason === 'MESH_CHAIN_REVOKED',
    )
    assert.equal(watch.root_id, root)
  })

  it('a call of another tree that attached to the task by its key', async () => {
    const { task, held, root } = await begin(planner, { detached: true, idempotencyKey: 'once' })
    const again = await mesh.agent('acme', 'planner')
    const input = `planner ${count}`
    const attached = again.delegate('researcher', {
      ...{ skill: 'hold', input, detached: true, idempotencyKey: 'once' },
    })
    const asked = attached.id
    for await (const event of attached) if (event.kind === 'message') break
    assert.equal(attached.id, task.id)
    const result = codeOf(attached.result())
    await revoke('txn', root)
    assert.equal(await result, 'MESH_CHAIN_REVOKED')
    await ended(held, 0)
    const line = await mesh.auditLine('of the second call', (one) => one.delegation_id === asked)
    assert.equal(line.root_id, root)
  })

  it('a task whose chain has a revoked agent in it', async () => {
    const mallory = await mesh.agent('acme', 'mallory')
    const { held } = await begin(mallory, { detached: true })
    await mallory.close()
    await revoke('agent', 'acme/mallory')
    await ended(held, 0)
  })
})
