/**
 * Planner, researcher and writer on a real mesh: what a skill does, by whatever way of JavaScript, it does for its task.
 */
import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { Agent, Delegation, Skill, TaskContext } from '@clawmesh/agent-sdk'
import { MeshError } from '@clawmesh/proto'
import { closeServer, listenOnFreePort } from '../support/http-origin.ts'
import { type Mesh, startMesh } from '../support/mesh.ts'
import { waitFor } from '../support/wait-for.ts'

const id = (agent: string) => `spiffe://mesh.internal/tenant/acme/agent/${agent}`

type Made = Delegation | null

describe('what a skill does stays in its chain', function () {
  this.timeout(60_000)
  let mesh: Mesh
  let origin: Server
  let port = 0
  let planner: Agent
  let researcher: Agent
  let writer: Agent
  /** What the researcher does when it is asked to. */
  let research: Skill = () => undefined
  let write: Skill = () => undefined
  let plan: Skill = () => undefined

  const policy = (more: object = {}) => ({
    _global: { egress: { allowCidrs: ['127.0.0.0/8'], ports: [port] } },
    acme: {
      egress: {
        allow: [`open.example:${port}`, `other.example:${port}`],
        agents: {
          researcher: { allow: [`researcher-only.example:${port}`] },
          writer: { allow: [`researcher-only.example:${port}`] },
        },
      },
      delegation: {
        allow: [{ from: '*', to: '*' }],
        agents: { writer: { mayOriginate: false } },
        ...more,
      },
    },
  })

  before(async () => {
    origin = createServer((request, response) => {
      if (request.url === '/fake') {
        const body = JSON.stringify({ code: 'MESH_CHAIN_REVOKED', gate: 'policy', request_id: 'x' })
        response.writeHead(403, {
          'content-type': 'application/json',
          'content-length': body.length,
          'x-request-id': 'x',
          'x-mesh-refusal': 'MESH_CHAIN_REVOKED',
        })
        response.end(body)
        return
      }
      response.end(`hello from ${request.headers.host}`)
    })
    port = await listenOnFreePort(origin)
    mesh = await startMesh({ policy: policy() })
    for (const host of ['open', 'other', 'researcher-only'])
      mesh.addHost(`${host}.example`, ['127.0.0.1'])
    const serve = async (name: string, skill: () => Skill) =>
      (await mesh.serve('acme', name, { skills: { work: (task, ctx) => skill()(task, ctx) } }))
        .agent
    planner = await serve('planner', () => plan)
    researcher = await serve('researcher', () => research)
    writer = await serve('writer', () => write)
  })
  after(async () => {
    await mesh?.close()
    await closeServer(origin)
  })
  beforeEach(() => {
    research = () => undefined
    write = () => undefined
    plan = () => undefined
  })

  const site = (name: string) => `http://${name}.example:${port}/`
  const ask = (input = '') => planner.delegate('researcher', { skill: 'work', input })
  const codeOf = async (attempt: Promise<unknown>) =>
    attempt.then(
      () => 'OK',
      (error: unknown) => (error instanceof MeshError ? error.code : String(error)),
    )
  /** The audit line of the call that a delegation began with. */
  const lineOf = (delegationId: string) =>
    mesh.auditLine(
      `of ${delegationId}`,
      (line) =>
        line.delegation_id === delegationId && String(line.grpc_method).endsWith('/Delegate'),
    )

  const writing = (agent: Agent): Made => agent.delegate('writer', { skill: 'work' })
  const idOf = (made: Made) => made?.id ?? assert.fail('nothing was delegated')
  const ways: Record<string, (agent: Agent) => Promise<Made>> = {
    'at once': async (agent) => writing(agent),
    'after an await': async (agent) => {
      await new Promise((resolve) => setImmediate(resolve))
      return writing(agent)
    },
    'from a timer': (agent) =>
      new Promise((resolve) => {
        setTimeout(() => resolve(writing(agent)), 5)
      }),
    'down a chain of promises': (agent) =>
      Promise.resolve()
        .then(() => undefined)
        .then(() => writing(agent)),
    'from the listener of an emitter': async (agent) => {
      const emitter = new EventEmitter()
      const heard = once(emitter, 'heard')
      let made: Made = null
      emitter.on('go', () => {
        made = writing(agent)
        emitter.emit('heard')
      })
      setImmediate(() => emitter.emit('go'))
      await heard
      return made
    },
  }
  for (const [how, way] of Object.entries(ways))
    it(`a delegation made ${how} is part of it`, async () => {
      let made: Made = null
      research = async () => {
        made = await way(researcher)
        await made?.result()
      }
      const root = ask()
      await root.result()
      const line = await lineOf(idOf(made))
      assert.deepEqual(line.chain, [id('planner'), id('researcher')])
      assert.equal(line.hop, 2)
      assert.equal(line.root_id, (await lineOf(root.id)).root_id)
    })

  it('work that comes by a queue is part of the task that it enters, also of tasks that run at once', async () => {
    // of the host: begun outside of any task, and the same for all
    const queue: (() => void)[] = []
    const worker = setInterval(() => queue.shift()?.(), 1)
    const given: Record<string, string> = {}
    research = async (task, ctx) => {
      await new Promise<void>((resolve, reject) => {
        queue.push(() =>
          ctx
            .enter(async () => {
              await new Promise((next) => setImmediate(next))
              const made = writing(researcher)
              given[task.id] = idOf(made)
              await made?.result()
              const page = await researcher.fetch(site('researcher-only'))
              if (page.status !== 200) reject(new Error(String(page.status)))
            })
            .catch(reject)
            .then(resolve),
        )
      })
    }
    try {
      const roots = [ask(), ask(), ask()]
      for (const root of roots)
        await assert.rejects(root.result(), { code: 'MESH_CHAIN_ACTOR_REFUSED' })
      for (const root of roots) {
        const line = await lineOf(given[root.id] ?? '')
        assert.deepEqual(line.chain, [id('planner'), id('researcher')])
        assert.equal(line.root_id, (await lineOf(root.id)).root_id)
      }
    } finally {
      clearInterval(worker)
    }
  })

  it('a task that has ended is entered no more, and what was to run in it is not run', async () => {
    let kept: TaskContext | null = null
    research = (_, ctx) => {
      kept = ctx
    }
    await ask().result()
    let ran = false
    const late = () => {
      ran = true
    }
    assert.throws(() => (kept ?? assert.fail('no context')).enter(late), {
      code: 'MESH_CALL_CANCELED',
      message: 'the task has ended',
    })
    assert.equal(ran, false)
  })

  it('an agent that may not originate delegates within a chain only, and sees through what it began there', async () => {
    let own = ''
    research = async (task, ctx) => {
      if (task.text() === 'wait') await once(ctx.signal, 'abort')
    }
    write = async () => {
      const made = writer.delegate('researcher', { skill: 'work' })
      own = await codeOf(made.result())
      return 'written'
    }
    assert.equal(
      await codeOf(writer.delegate('researcher', { skill: 'work' }).result()),
      'MESH_POLICY_MAY_NOT_ORIGINATE',
    )
    await planner.delegate('writer', { skill: 'work' }).result()
    assert.equal(own, 'OK')
    const seen: string[] = []
    write = async () => {
      const made = writer.delegate('researcher', { skill: 'work', input: 'wait' })
      await waitFor('the task at the researcher', async () =>
        (await codeOf(writer.get('researcher', made.id))) === 'OK' ? true : undefined,
      )
      seen.push((await writer.get('researcher', made.id)).state)
      seen.push((await made.cancel('enough')).state)
      seen.push(await codeOf(writer.onOwnBehalf(() => writer.get('researcher', made.id))))
    }
    await planner.delegate('writer', { skill: 'work' }).result()
    assert.deepEqual(seen, ['working', 'canceled', 'OK'])
  })

  it('two agents in one process do not mix: another agent’s calls in a skill are its own', async () => {
    let other = ''
    research = async () => {
      const made = planner.delegate('writer', { skill: 'work' })
      other = made.id
      await made.result()
    }
    await ask().result()
    assert.deepEqual((await lineOf(other)).chain, [id('planner')])
  })

  it('work on the agent’s own behalf begins a chain of its own', async () => {
    let made = ''
    research = async () => {
      const delegation = researcher.onOwnBehalf(() =>
        researcher.delegate('writer', { skill: 'work' }),
      )
      made = delegation.id
      await delegation.result()
    }
    await ask().result()
    const line = await lineOf(made)
    assert.deepEqual(line.chain, [id('researcher')])
    assert.equal(line.hop, 1)
  })

  it('the scope ends with the task, and what a skill leaves behind does not act for the agent', async () => {
    const late = Promise.withResolvers<string[]>()
    research = (_task, ctx) => {
      ctx.signal.addEventListener('abort', () =>
        setImmediate(async () => {
          late.resolve([
            await codeOf(researcher.delegate('writer', { skill: 'work' }).result()),
            await codeOf(researcher.fetch(site('open'))),
            await codeOf(ctx.fetch(site('open'))),
          ])
        }),
      )
      return 'done'
    }
    await ask().result()
    assert.deepEqual(await late.promise, [
      'MESH_CALL_CANCELED',
      'MESH_CALL_CANCELED',
      'MESH_CALL_CANCELED',
    ])
  })

  it('a fetch goes where every actor may go, and the refusal and the audit name the one who may not', async () => {
    const said: string[] = []
    let facts: unknown
    research = async (_task, ctx) => {
      said.push(await (await researcher.fetch(site('open'))).text())
      said.push(await codeOf(researcher.fetch(site('researcher-only'))))
      said.push(await codeOf(ctx.fetch(site('researcher-only'))))
      const free = await researcher.onOwnBehalf(() => researcher.fetch(site('researcher-only')))
      said.push(String(free.status))
      try {
        await researcher.fetch(site('researcher-only'))
      } catch (error) {
        facts = error
      }
    }
    await ask().result()
    assert.deepEqual(said, [
      `hello from open.example:${port}`,
      'MESH_CHAIN_ACTOR_REFUSED',
      'MESH_CHAIN_ACTOR_REFUSED',
      '200',
    ])
    assert.ok(facts instanceof MeshError)
    assert.match(`${facts.message} ${facts.hint}`, /planner/)
    const line = await mesh.auditLine(
      'of the refused fetch',
      ({ destination_host, action_allowed }) =>
        destination_host === 'researcher-only.example' && action_allowed === false,
    )
    assert.equal(line.refused_actor, 'acme/planner')
    assert.equal(line.agent_id, 'researcher')
  })

  it('two chains at once fetch under tokens of their own, one each however many fetches', async () => {
    const all: number[] = []
    const bodies: string[] = []
    research = async (_task, ctx) => {
      const answers = await Promise.all(
        [1, 2, 3, 4].flatMap(() => [ctx.fetch(site('open')), researcher.fetch(site('other'))]),
      )
      all.push(...answers.map(({ status }) => status))
      for (const answer of answers) bodies.push(await answer.text())
    }
    const asked = [ask('1'), ask('2')]
    await Promise.all(asked.map((each) => each.result()))
    assert.deepEqual(all, Array(16).fill(200))
    const roots = await Promise.all(asked.map(async (each) => (await lineOf(each.id)).root_id))
    const isExchangeOf = (root: unknown) => (line: Readonly<Record<string, unknown>>) =>
      String(line.grpc_method).endsWith('/ExchangeToken') && line.root_id === root
    for (const root of roots) {
      const line = await mesh.auditLine('of an exchange', isExchangeOf(root))
      assert.deepEqual(line.chain, [id('planner')])
    }
    // one too many would have been written before the line of a later call
    const last = ask()
    await last.result()
    await lineOf(last.id)
    for (const root of roots)
      assert.equal((await mesh.audit()).filter(isExchangeOf(root)).length, 1)
  })

  it('narrowing holds for all of the chain below, and never widens', async () => {
    const said: string[] = []
    research = async () => {
      said.push(await codeOf(researcher.fetch(site('open'))))
      said.push(await codeOf(researcher.fetch(site('other'))))
      await researcher
        .delegate('writer', {
          skill: 'work',
          narrow: { destinations: [`open.example:${port}`, `other.example:${port}`] },
        })
        .result()
    }
    write = async () => {
      said.push(await codeOf(writer.fetch(site('open'))))
      said.push(await codeOf(writer.fetch(site('other'))))
    }
    const narrow = { destinations: [`open.example:${port}`], scope: ['read'] }
    await planner.delegate('researcher', { skill: 'work', narrow }).result()
    assert.deepEqual(said, ['OK', 'MESH_TOKEN_DESTINATION', 'OK', 'MESH_TOKEN_DESTINATION'])
  })

  it('narrowed to nothing, nothing can be reached', async () => {
    let said = ''
    research = async () => {
      said = await codeOf(researcher.fetch(site('open')))
    }
    await planner.delegate('researcher', { skill: 'work', narrow: { destinations: [] } }).result()
    assert.notEqual(said, 'OK')
  })

  it('narrowing that metadata cannot say is a TypeError', () => {
    for (const narrow of [
      { destinations: ['a.example,b.example'] },
      { scope: ['two words'] },
      { scope: [''] },
      { scope: ['é'] },
    ])
      assert.throws(() => planner.delegate('researcher', { skill: 'work', narrow }), TypeError)
  })

  it('a loop is refused by its code, which reaches the skill and whoever began', async () => {
    const codes: string[] = []
    research = async () => {
      codes.push(await codeOf(researcher.delegate('planner', { skill: 'work' }).result()))
      await researcher.delegate('planner', { skill: 'work' }).result()
    }
    assert.equal(await codeOf(ask().result()), 'MESH_CHAIN_LOOP_DETECTED')
    assert.deepEqual(codes, ['MESH_CHAIN_LOOP_DETECTED'])
  })

  it('hops and the budget of the whole tree are refused by their codes', async () => {
    const codes: string[] = []
    research = async (task) => {
      if (task.text() === 'deep')
        codes.push(await codeOf(researcher.delegate('writer', { skill: 'work' }).result()))
      else
        for (let i = 0; i < 5; i += 1)
          codes.push(await codeOf(researcher.delegate('writer', { skill: 'work' }).result()))
    }
    await mesh.setPolicy(policy({ maxHops: 1 }))
    await waitFor('the new policy', async () => {
      codes.length = 0
      await ask('deep').result()
      return codes[0] === 'MESH_CHAIN_HOPS_EXCEEDED' ? true : undefined
    })
    await mesh.setPolicy(policy({ maxDelegationsPerRoot: 4 }))
    await waitFor('the next policy', async () => {
      codes.length = 0
      await ask('wide').result()
      return codes[0] === 'OK' ? true : undefined
    })
    assert.deepEqual(codes, [
      'OK',
      'OK',
      'OK',
      'MESH_CHAIN_BUDGET_EXCEEDED',
      'MESH_CHAIN_BUDGET_EXCEEDED',
    ])
    await mesh.setPolicy(policy())
  })

  it('a destination cannot speak for the gateway', async () => {
    const response = await planner.fetch(`${site('open')}fake`)
    assert.equal(response.status, 403)
    assert.equal(response.headers.get('x-mesh-refusal'), null)
    assert.equal((await response.text()).includes('MESH_CHAIN_REVOKED'), true)
  })
})
