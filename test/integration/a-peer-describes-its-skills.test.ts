/** Skills tell what goes in and what comes out; both sides keep to it; and each caller is told only of what it may call. */
import assert from 'node:assert/strict'
import type { Agent, SkillDescription } from '@clawmesh/agent-sdk'
import { DELEGATION_SERVICE } from '@clawmesh/proto'
import { z } from 'zod'
import { startLyingPeer } from '../support/lying-peer.ts'
import { type Mesh, startMesh } from '../support/mesh.ts'

const PAGE = {
  type: 'object',
  properties: { url: { type: 'string', pattern: '^https://' } },
  required: ['url'],
}

describe('a peer describes its skills', function () {
  this.timeout(90_000)
  let mesh: Mesh
  let planner: Agent
  let ran: string[]
  /** What `odd` answers. */
  let oddly: object | string

  before(async () => {
    const rule = (from: string, ...methods: string[]) => ({ from, to: '*', methods })
    mesh = await startMesh({
      policy: {
        acme: {
          delegation: {
            allow: [
              rule('planner', `${DELEGATION_SERVICE}/Delegate`),
              rule('second', `${DELEGATION_SERVICE}/Delegate`),
              rule('health', 'grpc.health.v1.Health/Check'),
            ],
            agents: { second: { mayOriginate: false } },
          },
        },
      },
    })
    await mesh.serve('acme', 'researcher', {
      skills: {
        plain: () => 'done',
        read: {
          description: 'Reads a page',
          input: PAGE,
          output: { type: 'string' },
          run(task) {
            ran.push('read')
            return JSON.stringify(task.json())
          },
        },
        typed: {
          input: z.object({ n: z.int().default(1) }),
          output: z.string().refine(async (text) => text.length < 5),
          run(task) {
            ran.push('typed')
            return 'x'.repeat(Number(Object(task.json()).n ?? 1))
          },
        },
        odd: { output: { type: 'object' }, run: () => oddly },
        secret: { allows: ({ agent }) => agent === 'second', run: () => 'for the second' },
        broken: {
          allows() {
            throw new Error('no')
          },
          run: () => 'never',
        },
      },
    })
    planner = await mesh.agent('acme', 'planner')
  })
  beforeEach(() => {
    ran = []
    oddly = {}
  })
  after(() => mesh.close())

  const named = (skills: readonly SkillDescription[], name: string) =>
    skills.find((skill) => skill.name === name)
  const codeOf = (promise: Promise<unknown>) =>
    promise.then(
      () => null,
      (error) => [error.code, error.message],
    )

  it('with words and schemas, also those that a library makes', async () => {
    const skills = await planner.describe('researcher')
    assert.deepEqual(
      skills.map(({ name }) => name),
      ['plain', 'read', 'typed', 'odd'],
    )
    const nothing = { description: '', input: null, output: null, faults: [] }
    assert.deepEqual(named(skills, 'plain'), { name: 'plain', ...nothing })
    assert.deepEqual(named(skills, 'read'), {
      ...{ name: 'read', description: 'Reads a page', input: PAGE, output: { type: 'string' } },
      faults: [],
    })
    const typed = Object(named(skills, 'typed')?.input)
    assert.deepEqual([typed.type, typed.properties.n.type], ['object', 'integer'])
  })

  it('to those whom policy lets delegate to it, within a chain or not, and the call is recorded', async () => {
    const second = await mesh.agent('acme', 'second')
    const skills = await second.describe('researcher')
    assert.deepEqual(named(skills, 'secret')?.name, 'secret')
    assert.equal(named(skills, 'broken'), undefined)
    const health = await mesh.agent('acme', 'health')
    await assert.rejects(health.describe('researcher'), { code: 'MESH_POLICY_NOT_ALLOWED' })
    const line = await mesh.auditLine(
      'of the refused description',
      ({ agent_id, grpc_method }) =>
        agent_id === 'health' && String(grpc_method).endsWith('/Describe'),
    )
    assert.equal(line.action_allowed, false)
    const peers = await planner.peers()
    assert.ok(peers[0]?.methods.includes(`${DELEGATION_SERVICE}/Describe`))
    assert.equal(
      (await planner.explain('researcher', `${DELEGATION_SERVICE}/Describe`)).action,
      'allow',
    )
  })

  it('and has none for others: what a caller may not call is not there', async () => {
    const [code, message] =
      (await codeOf(planner.delegate('researcher', { skill: 'secret' }).result())) ?? []
    assert.deepEqual([code, message], ['MESH_TASK_SKILL_UNKNOWN', 'the agent has no such skill'])
    const near = await codeOf(planner.delegate('researcher', { skill: 'secrets' }).result())
    assert.doesNotMatch(String(near?.[1]), /secret is/)
  })

  it('and checks what comes in before the skill runs, for callers that never asked', async () => {
    const fresh = await mesh.agent('acme', 'planner')
    const ask = (skill: string, input?: object | string) =>
      codeOf(
        fresh.delegate('researcher', { skill, ...(input === undefined ? {} : { input }) }).result(),
      )
    for (const [input, fault] of [
      [{ url: 5 }, 'the input /url is of type number, must be string'],
      [{ url: 'http://x' }, 'the input /url does not satisfy pattern'],
      [undefined, 'the input is of type null, must be object'],
      ['text', 'the input is of type string, must be object'],
    ] as const)
      assert.deepEqual(await ask('read', input), ['MESH_TASK_INPUT_INVALID', fault])
    assert.equal((await ask('typed', { n: 'x' }))?.[0], 'MESH_TASK_INPUT_INVALID')
    assert.deepEqual(ran, [])
    assert.equal(await ask('read', { url: 'https://x' }), null)
    assert.equal(await ask('typed', { n: 2 }), null)
    for await (const { skill, state } of fresh.list('researcher', { states: ['rejected'] }))
      assert.ok(state === 'rejected' && ['read', 'typed'].includes(skill))
  })

  it('and checks what goes out; what is wrong with it stays in the log of the peer', async () => {
    const wrong = ['MESH_TASK_OUTPUT_INVALID', 'the result is not as the schema of the skill says']
    oddly = 'a secret text'
    assert.deepEqual(await codeOf(planner.delegate('researcher', { skill: 'odd' }).result()), wrong)
    const long = planner.delegate('researcher', { skill: 'typed', input: { n: 9 } })
    assert.deepEqual(await codeOf(long.result()), wrong)
  })

  it('so that a caller that has asked sends nothing that would be refused', async () => {
    const asker = await mesh.agent('acme', 'planner')
    await asker.describe('researcher')
    const traceId = 'a'.repeat(32)
    const asked = { skill: 'read', traceparent: `00-${traceId}-${'1'.repeat(16)}-01` }
    assert.throws(() => asker.delegate('researcher', { ...asked, input: { url: 5 } }), {
      code: 'MESH_TASK_INPUT_INVALID',
      message: 'the input /url is of type number, must be string',
    })
    const good = asker.delegate('researcher', { skill: 'read', input: { url: 'https://x' } })
    assert.equal((await good.result()).text(), '{"url":"https://x"}')
    assert.deepEqual(ran, ['read'])
    await mesh.auditLine('of the good one', (line) => line.delegation_id === good.id)
    assert.ok(!(await mesh.audit()).some((line) => line.trace_id === traceId))
  })

  describe('that is not to be trusted', () => {
    /** Describes itself as it likes, and keeps to nothing. */
    let says: { name: string; [field: string]: string }[] = []
    let answers = 'text'
    before(async () => {
      const describe = () => ({ skills: says })
      for (const [name, described] of [
        ['liar', describe],
        ['old', null],
      ] as const) {
        const peer = await startLyingPeer(await mesh.identity('acme', name), {
          ...{ describe: described, result: () => answers },
        })
        closers.push(peer.close)
        mesh.announce('acme', name, peer.port)
      }
    })
    const closers: (() => Promise<void>)[] = []
    after(async () => {
      for (const close of closers) await close()
    })

    it('is held to its own schema when its result comes', async () => {
      says = [{ name: 'read', output_schema: '{"type":"object"}' }]
      await planner.describe('liar')
      const code = await codeOf(planner.delegate('liar', { skill: 'read' }).result())
      assert.deepEqual(code, [
        'MESH_TASK_OUTPUT_INVALID',
        'the result is of type string, must be object',
      ])
    })

    it('holds nobody up by a pattern that takes for ever', async () => {
      says = [{ name: 'read', output_schema: '{"pattern":"^(a+)+$"}' }]
      answers = `${'a'.repeat(60)}!`
      await planner.describe('liar')
      const [code, message] =
        (await codeOf(planner.delegate('liar', { skill: 'read' }).result())) ?? []
      assert.deepEqual(
        [code, message],
        ['MESH_TASK_OUTPUT_INVALID', 'the result takes too long to check'],
      )
    })

    it('is shown with what is wrong with its schemas, and its words cannot paint a terminal', async () => {
      const deep = `${'{"not":'.repeat(100)}{}${'}'.repeat(100)}`
      says = [
        { name: 'deep', input_schema: deep, output_schema: '{' },
        { name: 'deep', description: 'again' },
        { name: 'no name\n' },
        { name: 'words', description: `\u001b[31mred\u202e${'x'.repeat(9_000)}` },
        { name: 'loop', input_schema: '{"$ref":"#"}', output_schema: '{"$ref":"http://evil/"}' },
      ]
      const skills = await planner.describe('liar')
      assert.deepEqual(
        skills.map(({ name, faults }) => [name, ...faults]),
        [
          ['deep', 'input: is nested more than 32 deep', 'output: is not JSON'],
          ['words'],
          [
            'loop',
            'input: refers to itself without an end',
            'output: the schema/$ref must begin with #: it stays within',
          ],
        ],
      )
      const words = named(skills, 'words')?.description ?? ''
      assert.deepEqual([words.length, words.slice(0, 9)], [4_096, '?[31mred?'])
    })

    it('may be older, and says so', async () => {
      await assert.rejects(planner.describe('old'), { code: 'MESH_PEER_UNDESCRIBED' })
    })
  })

  it('and a schema that cannot be used is wrong use when it is served', async () => {
    const agent = await mesh.agent('acme', 'author')
    const serve = (skill: object) =>
      agent.serve({ listen: '127.0.0.1:0', skills: { s: { run: () => 'x', ...skill } } })
    for (const [skill, message] of [
      [{ input: { $ref: '#' } }, /^skills\.s\.input: refers to itself/],
      [{ output: 'text' }, /^skills\.s\.output: the schema is no schema/],
      [{ output: null }, /^skills\.s\.output: the schema is no schema/],
      [{ description: 5 }, /^skills\.s\.description: must be a text/],
      [{ inputs: {} }, /^skills\.s\.inputs: is no option of serve; did you mean input/],
    ] as const)
      await assert.rejects(serve(skill), { name: 'TypeError', message })
  })
})
