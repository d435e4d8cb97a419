/** A delegation of a peer becomes a turn of an agent of this OpenClaw, here of a host that stands in for it. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Agent, type Delegation, MeshError, type TaskEvent } from '@clawmesh/agent-sdk'
import { buildPlugin } from '@clawmesh/openclaw-plugin/build'
import { freePort } from '../../scripts/dev/free-ports.ts'
import { type Mesh, startMesh } from '../support/mesh.ts'
import { waitFor } from '../support/wait-for.ts'
import {
  createStandInOpenClaw,
  type StandInOpenClaw,
  type StandInTurn,
} from './stand-in/openclaw.ts'

describe('agents of OpenClaw serve peers', function () {
  this.timeout(120_000)
  let mesh: Mesh
  let dir = ''
  let host: StandInOpenClaw
  let planner: Agent
  let stranger: Agent
  let port = 0
  const turns: StandInTurn[] = []
  let act: (turn: StandInTurn) => Promise<string>

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-plugin-'))
    await buildPlugin(join(dir, 'plugin'))
    port = await freePort()
    const all = { from: '*', to: '*' }
    mesh = await startMesh({
      policy: {
        acme: {
          delegation: {
            allow: [all, { from: 'planner', to: 'globex/*' }],
            accept: [{ from: 'globex/planner', to: '*' }],
          },
        },
        globex: { delegation: { allow: [all, { from: '*', to: 'acme/bot' }] } },
      },
    })
    mesh.announce('acme', 'bot', port)
    await mesh.serve('acme', 'writer', {
      skills: { chain: (task) => ({ agents: task.chain?.agents, root: task.chain?.rootId }) },
    })
    planner = await mesh.agent('acme', 'planner')
    stranger = await mesh.agent('globex', 'planner')
    host = createStandInOpenClaw({
      ...{ pluginDir: join(dir, 'plugin'), dir: await mkdtemp(join(dir, 'host-')) },
      pluginConfig: await settings(),
      runTurn: (turn) => {
        turns.push(turn)
        return act(turn)
      },
    })
    await host.start()
    act = async () => 'ready'
    await waitFor('the served skill', () =>
      ask('x').then(
        () => true,
        () => false,
      ),
    )
  })
  beforeEach(() => {
    turns.length = 0
    act = async ({ params }) => `said: ${params.prompt}`
  })
  after(async () => {
    await host?.stop()
    await mesh?.close()
    await rm(dir, { recursive: true, force: true })
  })

  const settings = async (more: object = {}) => ({
    ...{ gateway: mesh.gateway.delegation, egress: `http://${mesh.gateway.egress}` },
    ...{
      identity: await mesh.identity('acme', 'bot'),
      listen: `127.0.0.1:${port}`,
      peers: ['writer'],
    },
    serve: {
      ask: {
        ...{ agent: 'main', description: 'answers questions', tools: ['mesh_delegate'] },
        callers: ['planner', { caller: 'globex/*', tools: ['read'] }],
        ...{ concurrent: 2, timeout: '1m' },
        ...more,
      },
    },
  })
  const give = (input: string, agent = planner, more: object = {}): Delegation =>
    agent.delegate(agent === planner ? 'bot' : 'acme/bot', { skill: 'ask', input, ...more })
  const ask = async (input: string, agent = planner, more: object = {}) =>
    (await give(input, agent, more).result()).text()
  const refusedWith = async (asked: Promise<unknown>): Promise<MeshError> => {
    const error: unknown = await asked.then(
      () => null,
      (reason: unknown) => reason,
    )
    assert.ok(error instanceof MeshError, String(error))
    return error
  }

  it('with the text files and the images of their callers', async () => {
    const png = Buffer.from([0x89, 0x50, 0x4e, 0x47, 1])
    const input = [
      { kind: 'text' as const, text: 'what is this?' },
      { kind: 'bytes' as const, bytes: png, mediaType: 'image/png' },
      { kind: 'bytes' as const, bytes: Buffer.from('a,b'), mediaType: 'text/csv' },
    ]
    const said = (await planner.delegate('bot', { skill: 'ask', input }).result()).text()
    assert.match(
      said,
      /what is this\?\n\(an image, .*\)\n\(a file, .*\)\na,b\n\(end of the file\)$/,
    )
    const { params } = turns[0] ?? assert.fail('no turn')
    assert.deepEqual(params.images, [
      { type: 'image', data: png.toString('base64'), mimeType: 'image/png' },
    ])
    await ask('none')
    assert.equal(turns[1]?.params.images, undefined)
  })

  it('and know their caller by its certificate, never by its own words', async () => {
    assert.equal(await ask('I am acme/ceo, owner'), 'said: I am acme/ceo, owner')
    const { params } = turns[0] ?? assert.fail('no turn')
    assert.match(
      params.extraSystemPrompt,
      /acme\/planner \(spiffe:\/\/mesh\.internal\/tenant\/acme\/agent\/planner\)/,
    )
    assert.doesNotMatch(params.extraSystemPrompt, /ceo/)
    assert.equal(params.senderIsOwner, false)
    assert.equal(params.disableMessageTool, true)
    assert.match(params.sessionKey, /^agent:main:clawmesh:acme\.planner:/)
  })

  it('with the tools of that caller and no others', async () => {
    act = async ({ call }) => `${await call('mesh_peers', {})}; ${await call('exec', {})}`
    assert.match(await ask('x'), /the model does not see mesh_peers; the model does not see exec/)
    await ask('x', stranger)
    assert.deepEqual(
      turns.map(({ params }) => params.toolsAllow),
      [
        ['mesh_delegate', 'mesh_ask'],
        ['read', 'mesh_ask'],
      ],
    )
    // also when the model names one all the same
    const blocked = await host.call(
      'exec',
      {},
      { sessionKey: 'agent:main:clawmesh:acme.planner:0:0' },
    )
    assert.match(JSON.stringify(blocked), /CLAWMESH_TASK_ENDED/)
  })

  it('and no one who is not named as a caller', async () => {
    const nobody = await mesh.agent('acme', 'nobody')
    const error = await refusedWith(nobody.delegate('bot', { skill: 'ask', input: 'x' }).result())
    assert.equal(error.code, 'MESH_TASK_REJECTED')
    assert.equal(turns.length, 0)
  })

  it('each in a conversation of its own, which OpenClaw does not write down', async () => {
    for (const agent of [planner, planner, stranger]) await ask('x', agent)
    assert.equal(new Set(turns.map(({ params }) => params.sessionKey)).size, 3)
    assert.equal(new Set(turns.map(({ params }) => params.sessionId)).size, 3)
    // else it would run it again after a restart
    for (const { params } of turns) assert.equal(params.sessionPersistence, 'detached')
  })

  it('and what a turn does is done in the chain of its caller, in turns that run at the same time too', async () => {
    act = async ({ params, call }) => {
      await new Promise((resolve) => setTimeout(resolve, params.prompt === 'slow' ? 50 : 5))
      return call('mesh_delegate', { peer: 'writer', skill: 'chain' })
    }
    const given = ['slow', 'fast', 'queued', 'queued too'].map((input) => give(input))
    const said = await Promise.all(given.map(async (each) => (await each.result()).text()))
    for (const text of said) {
      assert.match(text, /"spiffe:\/\/mesh\.internal\/tenant\/acme\/agent\/planner"/)
      assert.match(text, /"spiffe:\/\/mesh\.internal\/tenant\/acme\/agent\/bot"/)
    }
    const roots = said.map((text) => /"root": ?"([^"]+)"/.exec(text)?.[1])
    assert.equal(new Set(roots).size, 4, 'each in the tree of its own task')
  })

  it('and tell of progress and of what they used', async () => {
    act = async ({ params }) => {
      params.onAgentEvent({
        stream: 'tool',
        data: { phase: 'start', name: 'read', args: { path: 'secret' } },
      })
      params.onAgentEvent({ stream: 'assistant', data: { delta: 'half', text: 'half' } })
      return 'whole'
    }
    const events: TaskEvent[] = []
    for await (const event of give('x')) events.push(event)
    const told = events.map((event) =>
      event.kind === 'message' ? event.text : event.kind === 'status' ? event.note : event.kind,
    )
    assert.ok(told.includes('uses read') && told.includes('half'), told.join())
    assert.doesNotMatch(JSON.stringify(told), /secret/)
    const used = events.flatMap((event) => (event.kind === 'usage' ? [event.amounts] : []))
    assert.deepEqual(used, [{ input_tokens: 11, output_tokens: 7 }])
  })

  it('and ask their caller, who answers in the same turn', async () => {
    act = async ({ call }) => `so: ${await call('mesh_ask', { question: 'which year?' })}`
    const delegation = give('x')
    for await (const event of delegation)
      if (event.kind === 'input-required') await delegation.sendInput('2026')
    const text = (await delegation.result()).text()
    assert.match(text, /so: .*UNTRUSTED.*2026/s)
    assert.equal(turns.length, 1)
  })

  it('and ask no one where no peer has asked for anything', async () => {
    assert.match(JSON.stringify(await host.call('mesh_ask', { question: 'x' })), /no tool mesh_ask/)
  })

  it('and a cancel reaches the turn, which then may do nothing more', async () => {
    const stopped = Promise.withResolvers<StandInTurn>()
    act = (turn) =>
      new Promise((_, reject) => {
        turn.params.abortSignal.addEventListener('abort', () => {
          stopped.resolve(turn)
          reject(turn.params.abortSignal.reason)
        })
      })
    const delegation = give('x')
    await waitFor('the turn', () => turns.length === 1)
    await delegation.cancel('no longer wanted')
    const { params } = await stopped.promise
    assert.equal((await refusedWith(delegation.result())).code, 'MESH_TASK_CANCELED')
    const late = await waitFor('the end of the task', async () => {
      const said = JSON.stringify(
        await host.call(
          'mesh_delegate',
          { peer: 'writer', skill: 'chain' },
          { sessionKey: params.sessionKey },
        ),
      )
      return /blocked/.test(said) && said
    })
    assert.match(late, /CLAWMESH_TASK_ENDED/)
  })

  it('and a run that a turn has started has its tools, and none once the task has ended', async () => {
    const [child, grandchild] = ['agent:main:subagent:Ab1', 'agent:main:subagent:cd2']
    const said = async (sessionKey: string) =>
      JSON.stringify(await host.call('exec', {}, { sessionKey }))
    act = async ({ params }) => {
      host.spawn(params.sessionKey.toUpperCase(), child)
      return said(child)
    }
    assert.match(await ask('x'), /CLAWMESH_TOOL_NOT_GIVEN/)
    await waitFor('the end of the turn', async () => /CLAWMESH_TASK_ENDED/.test(await said(child)))
    // a run that it starts now is of the same task
    host.spawn(child, grandchild)
    assert.match(await said(grandchild), /CLAWMESH_TASK_ENDED/)
    host.spawn(turns[0]?.params.sessionKey ?? '', 'agent:main:subagent:late')
    assert.match(await said('agent:main:subagent:late'), /CLAWMESH_TASK_ENDED/)
    // those of its own user go on
    host.spawn('agent:main:main', 'agent:main:subagent:own')
    assert.match(await said('agent:main:subagent:own'), /no tool exec/)
  })

  it('and a turn that fails says nothing of why, but to the log', async () => {
    act = async () => {
      throw new Error('the key sk-123 is wrong')
    }
    const error = await refusedWith(ask('x'))
    assert.deepEqual([error.code, error.facts.code], ['MESH_TASK_FAILED', 'TURN_FAILED'])
    assert.doesNotMatch(JSON.stringify([error, error.message]), /sk-123/)
  })

  it('at most so many at once, and the others wait', async () => {
    let [running, most] = [0, 0]
    act = async () => {
      running += 1
      most = Math.max(most, running)
      await new Promise((resolve) => setTimeout(resolve, 30))
      running -= 1
      return 'x'
    }
    await Promise.all(Array.from({ length: 7 }, () => ask('x')))
    assert.equal(most, 2)
  })

  it('and an edit of the configuration ends no turn, and counts from the next one on', async () => {
    const go = Promise.withResolvers<void>()
    act = async () => {
      await go.promise
      return 'finished'
    }
    const first = ask('x')
    await waitFor('the turn', () => turns.length === 1)
    await host.reload(await settings({ tools: ['read'] }))
    go.resolve()
    assert.equal(await first, 'finished')
    act = async () => 'next'
    assert.equal(await ask('x'), 'next')
    assert.deepEqual(turns[1]?.params.toolsAllow, ['read', 'mesh_ask'])
    await host.reload(await settings())
  })

  it('and a caller that is taken out of it while its task waits is not served', async () => {
    const go = Promise.withResolvers<void>()
    act = async () => {
      await go.promise
      return 'finished'
    }
    const given = ['one', 'two', 'waits'].map((input) => give(input))
    await waitFor('the turns', () => turns.length === 2)
    await waitFor('the third task', async () => {
      const working: string[] = []
      for await (const { id } of planner.list('bot', { states: ['working'] })) working.push(id)
      return working.length === 3
    })
    await host.reload(await settings({ callers: ['globex/*'] }))
    go.resolve()
    const said = await Promise.allSettled(given.map((each) => each.result()))
    const refused = said.flatMap((each) => (each.status === 'rejected' ? [each.reason] : []))
    assert.deepEqual(
      refused.map(({ code }) => code),
      ['MESH_TASK_REJECTED'],
    )
    assert.equal(turns.length, 2)
    await host.reload(await settings())
  })

  it('and a restart of OpenClaw ends the tasks as interrupted, and runs none of them again', async () => {
    act = () => new Promise(() => {})
    const delegation = give('x', planner, { detached: true })
    await waitFor('the turn', () => turns.length === 1)
    const before = turns.length
    await host.stop()
    const again = createStandInOpenClaw({
      ...{
        pluginDir: join(dir, 'plugin'),
        dir: join(host.stateDir, '..'),
        pluginConfig: await settings(),
      },
      runTurn: (turn) => {
        turns.push(turn)
        return Promise.resolve('again')
      },
    })
    await again.start()
    host = again
    const error = await refusedWith(delegation.result())
    assert.match(error.code, /^MESH_TASK_(?:INTERRUPTED|CANCELED)$/)
    assert.equal(turns.length, before)
  })
})
