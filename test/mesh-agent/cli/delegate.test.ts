import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MeshError, type Skill, type SkillWithOptions } from '@clawmesh/agent-sdk'
import { closeServer, listenOnFreePort } from '../../support/http-origin.ts'
import { type Mesh, startMesh } from '../../support/mesh.ts'
import { waitFor } from '../../support/wait-for.ts'
import { runCommand } from '../agent-process.ts'
import { type CommandOptions, runInProcess, startInProcess } from './command.ts'

describe('mesh-agent delegate, task, peers and fetch', function () {
  this.timeout(300_000)
  let mesh: Mesh
  let dir: string
  let origin: Server
  let port = 0
  let agent: readonly string[]
  let running: { readonly id: string; readonly signal: AbortSignal; finish(value: string): void }[]

  const skills: Record<string, Skill | SkillWithOptions> & { readonly gated: Skill } = {
    echo: (task) => task.input,
    async report(_task, ctx) {
      ctx.usage({ input_tokens: 3 })
      await ctx.artifact('report.txt', 'the report')
      return { year: 2026 }
    },
    ask: async (_task, ctx) => (await ctx.ask('which\u001b[2J city?')).text(),
    strict: { input: { type: 'object' }, run: () => 'done' },
    fail() {
      throw new MeshError('QUOTA', 'no more\u001b[2J today')
    },
    async askFirst(task, ctx) {
      await ctx.ask('shall I begin?')
      return skills.gated(task, ctx)
    },
    async gated(task, ctx) {
      const { promise, resolve } = Promise.withResolvers<string>()
      running.push({ id: task.id, signal: ctx.signal, finish: resolve })
      ctx.signal.addEventListener('abort', () => resolve('aborted'), { once: true })
      return promise
    },
  }

  before(async () => {
    origin = createServer((_request, response) => void response.end('from outside'))
    port = await listenOnFreePort(origin)
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-cli-'))
    mesh = await startMesh({
      policy: {
        _global: { egress: { allowCidrs: ['127.0.0.0/8'], ports: [port] } },
        acme: {
          egress: { allow: [`open.example:${port}`] },
          delegation: { allow: [{ from: 'planner', to: 'researcher' }] },
        },
      },
    })
    mesh.addHost('open.example', ['127.0.0.1'])
    await mesh.serve('acme', 'researcher', { skills })
    agent = [
      ...['--identity', await mesh.identity('acme', 'planner')],
      ...['--gateway', mesh.gateway.delegation],
    ]
  })
  beforeEach(() => {
    running = []
  })
  afterEach(() => {
    for (const { finish } of running) finish('over')
  })
  after(async () => {
    await mesh.close()
    await closeServer(origin)
    await rm(dir, { recursive: true, force: true })
  })

  const start = (args: readonly string[], more: CommandOptions = {}) =>
    startInProcess([...args, ...agent], { cwd: dir, ...more, env: { XDG_STATE_HOME: dir } })
  const run = (args: readonly string[], more?: CommandOptions) => start(args, more).ended

  it('prints the output alone on stdout, as it is, and takes its place from the environment', async () => {
    const [, identity = '', , gateway = ''] = agent
    const env = {
      ...{ MESH_AGENT_IDENTITY: identity, MESH_AGENT_GATEWAY: gateway },
      ...{ XDG_STATE_HOME: dir, HOME: dir },
    }
    // a process of its own, as a user starts it
    const ended = await runCommand(['delegate', 'researcher', 'echo', 'a\tb\u001b[1m'], { env })
    const { code, stdout, stderr } = ended
    assert.deepEqual([code, stdout, stderr], [0, 'a\tb\u001b[1m\n', ''])
  })

  it('reads stdin, and keeps files of the result', async () => {
    const piped = await run(['delegate', 'researcher', 'echo', '-'], { stdin: 'from a pipe\n' })
    assert.equal(piped.stdout, 'from a pipe\n')
    const { code, stdout, stderr } = await run(['delegate', 'researcher', 'report', '--out', dir])
    assert.equal(code, 0)
    assert.deepEqual(JSON.parse(stdout), { year: 2026 })
    const [, path = ''] = /^mesh-agent: file: (\S+)$/m.exec(stderr) ?? []
    assert.equal(await readFile(join(dir, path), 'utf8'), 'the report')
  })

  it('prints the facts as JSON', async () => {
    const args = ['delegate', 'researcher', 'report', '--json', '--input-json', '{"a":1}']
    const { code, stdout } = await run(args)
    assert.equal(code, 0)
    const { id, files, ...rest } = JSON.parse(stdout)
    assert.match(id, /^[0-9a-f-]{36}$/)
    assert.equal(files[0].name, 'report.txt')
    assert.deepEqual(rest, {
      ...{ peer: 'researcher.acme.mesh.internal', skill: 'report', state: 'completed' },
      ...{ output: { year: 2026 }, usage: { input_tokens: 3 }, cut: false },
    })
  })

  it('says why it was refused, with the hint for operators, and ends with 1', async () => {
    const refused = await run(['delegate', 'stranger', 'x'])
    assert.equal(refused.code, 1)
    assert.equal(refused.stdout, '')
    assert.match(refused.stderr, /^mesh-agent: MESH_POLICY_NOT_ALLOWED: /)
    assert.match(refused.stderr, /^mesh-agent: hint: .+$/m)
    const failed = await run(['delegate', 'researcher', 'fail', '--json'])
    assert.equal(failed.code, 1)
    assert.match(failed.stderr, /^mesh-agent: the peer says: QUOTA: no more\?\[2J today$/m)
    const { code, peer_code: own, said } = JSON.parse(failed.stdout)
    assert.deepEqual([code, own, said], ['MESH_TASK_FAILED', 'QUOTA', 'QUOTA: no more?[2J today'])
  })

  it('ends with 2 for wrong usage', async () => {
    for (const args of [
      ['delegate', 'researcher'],
      ['delegate', 'researcher', 'x', '--input-json', '{'],
      ['task', 'wait'],
      ['task', 'wait', 'x', '--wait', '5'],
      ['nonsense'],
    ])
      assert.equal((await run(args)).code, 2, args.join(' '))
    const twice = await run(['delegate', 'researcher', 'echo', 'a', '--input-json', '1'])
    assert.equal(twice.code, 1)
    assert.match(twice.stderr, /the input is given twice/)
  })

  it('comes back to a task that goes on', async () => {
    const detached = await run(['delegate', 'researcher', 'gated', '--detach'])
    assert.equal(detached.code, 0)
    const id = detached.stdout.trim()
    assert.match(id, /^[0-9a-f-]{36}$/)
    const early = await run(['task', 'wait', id, '--wait', '0s'])
    assert.equal(early.code, 3)
    assert.match(early.stdout, /^The task has not ended after 0 s/)
    const list = await run(['task', 'list'])
    assert.match(list.stdout, new RegExp(`^${id} working researcher\\.acme`, 'm'))
    assert.equal((await run(['task', 'status', id])).code, 0)
    running[0]?.finish('done')
    const found = await run(['task', 'wait', id])
    assert.deepEqual([found.code, found.stdout], [0, 'done\n'])
  })

  it('shows a question, and takes the answer', async () => {
    const asked = await run(['delegate', 'researcher', 'ask', '--json'])
    assert.equal(asked.code, 3)
    const { id, state } = JSON.parse(asked.stdout)
    assert.equal(state, 'input-required')
    const status = await run(['task', 'status', id])
    assert.match(status.stdout, /which city\?/)
    assert.ok(!status.stdout.includes('\u001b'))
    const answered = await run(['task', 'answer', id, 'Lyon'])
    assert.deepEqual([answered.code, answered.stdout], [0, 'Lyon\n'])
  })

  it('cancels the task with Ctrl-C while it delegates, and only stops waiting while it waits', async () => {
    const delegating = start(['delegate', 'researcher', 'gated'])
    await waitFor('the skill', () => running.length === 1)
    delegating.interrupt()
    const ended = await delegating.ended
    assert.equal(ended.code, 130)
    assert.match(ended.stderr, /cancelling the task at the peer/)
    await waitFor('the cancel', () => running[0]?.signal.aborted)

    const asked = await run(['delegate', 'researcher', 'askFirst', '--json'])
    const { id } = JSON.parse(asked.stdout)
    // the answer arrives: so the process waits
    const waiting = start(['task', 'answer', id, 'go on'])
    await waitFor('the answer', () => running.length === 2)
    waiting.interrupt()
    assert.equal((await waiting.ended).code, 130)
    assert.equal(running[1]?.signal.aborted, false)
    const cancelled = await run(['task', 'cancel', id])
    assert.equal(cancelled.code, 0)
    await waitFor('the cancel', () => running[1]?.signal.aborted)
  })

  it('names peers, and fetches through the gateway', async () => {
    const egress = `http://${mesh.gateway.egress}`
    const peers = await run(['peers'])
    assert.match(peers.stdout, /^researcher\n(?: {2}\w+\n)* {2}ask$/m)
    const page = await run(['fetch', `http://open.example:${port}/`, '--egress', egress])
    assert.deepEqual([page.code, page.stdout], [0, 'from outside\n'])
    const refused = await run(['fetch', `http://closed.example:${port}/`, '--egress', egress])
    assert.equal(refused.code, 1)
    assert.match(refused.stderr, /MESH_POLICY_NOT_ALLOWED/)
  })

  it('says of wrong input, a wrong id and no way out what to type', async () => {
    const said = async (...args: string[]) => {
      const { code, stderr } = await run(args)
      assert.equal(code, 1, stderr)
      return stderr
    }
    const input = await said('delegate', 'researcher', 'strict', 'Lima is the capital')
    assert.match(input, /the input is of type string, must be object$/m)
    assert.match(input, /^mesh-agent: hint: .*--input-json.*`mesh-agent peers --json`/m)
    for (const [task, help] of [
      [['task', 'wait', 'nope'], 'task'],
      [['task', 'status', '01a2'], 'task'],
      [['fetch', 'api.example.com'], 'fetch'],
    ] as const) {
      const words = await said(...task)
      assert.doesNotMatch(words, /TOOL_ARGUMENTS|register/)
      assert.match(words, new RegExp(`^mesh-agent: hint: mesh-agent ${help} --help$`, 'm'))
    }
    const out = await said('fetch', 'http://open.example/')
    assert.match(out, /hint: .*--egress or MESH_AGENT_EGRESS/)
  })

  it('says what is wrong with its own place', async () => {
    const none = await runInProcess(['peers', '--identity', join(dir, 'none'), '--gateway', 'a:1'])
    assert.equal(none.code, 1)
    assert.match(none.stderr, /cannot read the identity in .*none.*\nmesh-agent: hint: /)
    const bad = await runInProcess(['peers', ...agent.slice(0, 2), '--gateway', 'https://x'])
    assert.match(bad.stderr, /is no address of a gateway\nmesh-agent: hint: --gateway is host:port/)
    const lost = await runInProcess(['peers', ...agent.slice(0, 2), '--gateway', '127.0.0.1:1'])
    assert.equal(lost.code, 1)
    assert.match(lost.stderr, /^mesh-agent: MESH_GATEWAY_UNREACHABLE: /m)
  })
})
