/**
 * Audit, suggest, enforce: what a few plain delegations leave in the audit log is enough for a policy under which all that the
 * SDK does with a task works, over a restart of the gateway too. And it allows nothing that was not seen.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Agent, createAgent, type Delegation, type TaskEvent } from '@clawmesh/agent-sdk'
import { MeshError } from '@clawmesh/proto'
import { makeWorkplace, type Workplace } from '../mesh-gateway/cli/gateway-command.ts'
import { type Mesh, type PolicyFiles, startMesh } from '../support/mesh.ts'
import { waitFor } from '../support/wait-for.ts'

describe('a policy that was suggested from an audit log', function () {
  this.timeout(240_000)
  let mesh: Mesh
  let place: Workplace
  let planner: Agent
  let researcher: Agent
  let goOn: () => void = () => {}
  let aborted = Promise.withResolvers<void>()

  before(async () => {
    place = await makeWorkplace()
    mesh = await startMesh({
      policy: { acme: { mode: 'audit' }, globex: { mode: 'audit' }, initech: { mode: 'audit' } },
    })
    await mesh.serve('initech', 'printer', { skills: { print: (task) => task.text() } })
    await mesh.serve('globex', 'writer', {
      skills: {
        // two hops within one tenant's limit, on behalf of another's chain
        write: async (task, ctx) => {
          const printed = await ctx
            .delegate('initech/printer', { skill: 'print', input: task.text() })
            .result()
          return printed.text()
        },
      },
    })
    ;({ agent: researcher } = await mesh.serve('acme', 'researcher', {
      skills: {
        echo: (task) => task.text(),
        relay: async (task, ctx) => {
          const written = await ctx
            .delegate('globex/writer', { skill: 'write', input: task.text() })
            .result()
          return written.text()
        },
        async ask(_task, ctx) {
          return (await ctx.ask('which city?')).text()
        },
        async wait(_task, ctx) {
          ctx.message('waiting')
          await Promise.race([
            new Promise<void>((resolve) => {
              goOn = resolve
            }),
            once(ctx.signal, 'abort').then(() => {
              aborted.resolve()
              ctx.signal.throwIfAborted()
            }),
          ])
          ctx.message('going on')
          return 'done'
        },
      },
    }))
    planner = await mesh.agent('acme', 'planner')
  })
  beforeEach(() => {
    aborted = Promise.withResolvers()
  })
  after(async () => {
    await mesh?.close()
    await place?.close()
  })

  const until = async (delegation: Delegation, kind: TaskEvent['kind']): Promise<TaskEvent> => {
    for await (const event of delegation) if (event.kind === kind) return event
    return assert.fail(`no event ${kind}`)
  }
  const replayed = async (dir: string) => {
    const args = ['policy', 'replay', '--audit', mesh.gateway.auditFile, '--dir', dir, '--json']
    const { code, stdout, stderr } = await place.run(...args)
    return { code, said: JSON.parse(stdout), stderr }
  }

  it('is made of plain delegations alone, and replay says that it refuses none of them', async () => {
    const relayed = await planner
      .delegate('researcher', { skill: 'relay', input: 'hello' })
      .result()
    assert.equal(relayed.text(), 'hello')
    // nobody has watched, asked, answered or cancelled anything so far
    const lines = await waitFor('a record of each call', async () => {
      const all = (await mesh.audit()).filter(({ callee }) => String(callee).includes('/agent/'))
      return all.length >= 3 ? all : undefined
    })
    assert.deepEqual(new Set(lines.map(({ grpc_method: method }) => method)), new Set([DELEGATE]))

    const out = join(place.dir, 'candidate')
    const args = ['policy', 'suggest', '--audit', mesh.gateway.auditFile, '--out', out]
    const suggested = await place.run(...args)
    assert.equal(suggested.code, 0, suggested.stderr)
    const policy: Record<string, Record<string, unknown>> = {}
    for (const tenant of ['acme', 'globex', 'initech'])
      policy[tenant] = JSON.parse(await readFile(join(out, `${tenant}.json`), 'utf8'))
    const methods = [DELEGATE]
    assert.deepEqual(policy.acme?.delegation, {
      allow: [
        { from: 'planner', to: 'researcher', methods },
        { from: 'researcher', to: 'globex/writer', methods },
      ],
      maxHops: 3,
      agents: { researcher: { mayOriginate: false } },
    })
    const { code, said, stderr } = await replayed(out)
    assert.deepEqual([code, said.newly_refused, said.newly_allowed], [0, 0, 0], stderr)

    await mesh.setPolicy(withoutNames(policy))
    await waitFor('the policy to be in force', async () => {
      const { action, mode } = await planner.explain('researcher')
      return action === 'allow' && mode === 'enforce' ? true : undefined
    })
  })

  it('lets the same happen again, through three tenants', async () => {
    const relayed = await planner
      .delegate('researcher', { skill: 'relay', input: 'again' })
      .result()
    assert.equal(relayed.text(), 'again')
  })

  it('lets the caller answer the questions of its task, look at it, list it and follow it again', async () => {
    const task = planner.delegate('researcher', { skill: 'ask' })
    await until(task, 'input-required')
    assert.equal((await planner.get('researcher', task.id)).state, 'input-required')
    assert.equal((await task.sendInput('Lyon')).id, task.id)
    assert.equal((await task.result()).text(), 'Lyon')
    assert.equal((await planner.watch('researcher', task.id).result()).text(), 'Lyon')
    const listed = await Array.fromAsync(planner.list('researcher'))
    assert.ok(listed.some(({ id }) => id === task.id))
  })

  it('lets the caller cancel its task, by word and by letting go of it', async () => {
    const byWord = planner.delegate('researcher', { skill: 'wait' })
    await until(byWord, 'message')
    assert.equal((await byWord.cancel('not needed')).state, 'canceled')
    await aborted.promise
    await assert.rejects(byWord.result(), failsAs('MESH_TASK_CANCELED'))

    aborted = Promise.withResolvers()
    const letting = new AbortController()
    const byAbort = planner.delegate('researcher', { skill: 'wait', signal: letting.signal })
    await until(byAbort, 'message')
    letting.abort()
    await aborted.promise
    await assert.rejects(byAbort.result())
  })

  it('lets the result of a task arrive, though the gateway is killed and started again meanwhile', async () => {
    const task = planner.delegate('researcher', { skill: 'wait' })
    const texts: string[] = []
    for await (const event of task) {
      if (event.kind !== 'message') continue
      texts.push(event.text)
      if (event.text !== 'waiting') continue
      await mesh.gateway.kill()
      goOn()
      await mesh.gateway.start()
    }
    assert.equal((await task.result()).text(), 'done')
    assert.deepEqual(texts, ['waiting', 'going on'])
  })

  it('allows nothing else: not the way back, no other peer, no chain of those that began none, no other method', async () => {
    const refused = async (from: Agent, to: string, code: string, method?: string) => {
      const explained = await from.explain(to, method)
      assert.deepEqual([explained.action, explained.code], ['deny', code], `${to} ${method}`)
      if (method !== undefined) return
      await assert.rejects(from.delegate(to, { skill: 'echo' }).result(), failsAs(code))
    }
    const stranger = await createAgent({
      gateway: mesh.gateway.delegation,
      identity: await mesh.identity('acme', 'stranger'),
    })
    try {
      await refused(planner, 'globex/writer', 'MESH_POLICY_NOT_ALLOWED')
      await refused(researcher, 'globex/writer', 'MESH_POLICY_MAY_NOT_ORIGINATE')
      await refused(researcher, 'planner', 'MESH_POLICY_MAY_NOT_ORIGINATE')
      await refused(stranger, 'researcher', 'MESH_POLICY_NOT_ALLOWED')
      for (const method of [WATCH, CANCEL])
        await refused(stranger, 'researcher', 'MESH_POLICY_NOT_ALLOWED', method)
      for (const method of ['pkg.Svc/Watch', 'grpc.health.v1.Health/Check'])
        await refused(planner, 'researcher', 'MESH_POLICY_NOT_ALLOWED', method)
    } finally {
      await stranger.close()
    }
  })

  it('is judged by replay as by the gateway: what it let through is not refused, what it refused is not allowed', async () => {
    const { code, said, stderr } = await replayed(join(place.dir, 'candidate'))
    assert.deepEqual([code, said.newly_refused, said.newly_allowed], [0, 0, 0], stderr)
    assert.ok(said.records > 15, String(said.records))
  })
})

const failsAs = (code: string) => (error: unknown) =>
  error instanceof MeshError && error.code === code

const SERVICE = 'clawmesh.delegation.v1.DelegationService'
const DELEGATE = `${SERVICE}/Delegate`
const WATCH = `${SERVICE}/Watch`
const CANCEL = `${SERVICE}/Cancel`

/** As the files of the test's mesh are given. */
function withoutNames(files: PolicyFiles): PolicyFiles {
  return Object.fromEntries(
    Object.entries(files).map(([tenant, { tenant: _, ...document }]) => [tenant, document]),
  )
}
