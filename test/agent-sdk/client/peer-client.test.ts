/** What the SDK asks of a peer: over which method, with what in the message and beside it, and when it gives up. */
import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { Readable } from 'node:stream'
import { mock } from 'node:test'
import { silentLog } from '@clawmesh/agent-sdk'
import { isUuidV7, MeshError, Secret, uuidV7 } from '@clawmesh/proto'
import type { ClientReadableStream } from '@grpc/grpc-js'
import type { CallChoices, Connection } from '../../../agent-sdk/src/client/connection.ts'
import { createFirstContact } from '../../../agent-sdk/src/client/first-contact.ts'
import { createPeerClient } from '../../../agent-sdk/src/client/peer-client.ts'
import type { TaskInfo } from '../../../agent-sdk/src/model/task-event.ts'
import { encodeEvent, type OutgoingBody } from '../../../agent-sdk/src/wire/event-codec.ts'
import { messages, type WireTask } from '../../../agent-sdk/src/wire/messages.ts'
import { encodeTask } from '../../../agent-sdk/src/wire/request-codec.ts'

const PEER = 'b.acme.mesh.internal'
const ID = uuidV7()
const NOW = 1_000_000
const DONE: OutgoingBody = { kind: 'result', piece: { output: [], more: false, continues: false } }
const INFO: TaskInfo = {
  ...{ id: ID, skill: 's', state: 'working', caller: 'c', lastSeq: 1, labels: {} },
  ...{ created: new Date(0), updated: new Date(0), failure: null, pendingInputs: ['1'] },
}

function streamOf<T>(items: readonly T[], end: boolean): ClientReadableStream<T> {
  const readable = new Readable({ objectMode: true, read() {} })
  for (const item of items) readable.push(item)
  if (end) readable.push(null)
  readable.once('close', () => readable.emit('status'))
  return Object.assign(readable, {
    cancel: () => void readable.destroy(new Error('cancelled')),
    getPeer: () => 'peer',
    getAuthContext: () => null,
    deserialize: () => assert.fail('is decoded already'),
  })
}

interface Asked {
  readonly path: string
  readonly bytes: Buffer
  readonly choices: CallChoices
}

describe('a client of peers', () => {
  let letGo: AbortController
  let closed: AbortController
  beforeEach(() => {
    letGo = new AbortController()
    closed = new AbortController()
    mock.timers.enable({ apis: ['setTimeout'] })
  })
  afterEach(() => {
    letGo.abort(new MeshError('MESH_CALL_CANCELED'))
    mock.timers.reset()
  })
  const turn = async () => {
    for (let i = 0; i < 8; i += 1) await new Promise(setImmediate)
  }

  const open = (
    answers: { readonly tasks?: readonly (readonly WireTask[])[]; readonly holds?: boolean } = {},
  ) => {
    const asked: Asked[] = []
    const { tasks = [[encodeTask(INFO)]], holds = false } = answers
    let page = 0
    const connection: Connection = {
      status: () => 'connected',
      onStatus: () => () => {},
      stream(method, request, choices) {
        const bytes = method.serialize(request)
        asked.push({ path: method.path, bytes, choices })
        const id = messages.getRequest.deserialize(bytes).delegation_id
        const time = new Date(0)
        const last = encodeEvent({ id, seq: 2, time }, DONE)
        const first = encodeEvent({ id, seq: 1, time }, { kind: 'message', text: 'm' })
        const events = holds ? [first] : [first, last]
        return streamOf(events.map(method.deserialize), !holds)
      },
      async unary(method, request, choices) {
        asked.push({ path: method.path, bytes: method.serialize(request), choices })
        if (!method.path.endsWith('/List'))
          return method.deserialize(messages.task.serialize(encodeTask(INFO)))
        page += 1
        const next_page_token = page < tasks.length ? String(page) : ''
        const listed = { tasks: [...(tasks[page - 1] ?? [])], next_page_token }
        return method.deserialize(messages.list.serialize(listed))
      },
      duplex: () => assert.fail('not asked'),
      close() {},
    }
    const contact = createFirstContact({ target: 'gw:1', log: silentLog, refusal: () => null })
    contact.made()
    const client = createPeerClient({
      ...{ connection, maxResultBytes: 1e6, letGo: letGo.signal, signal: closed.signal },
      patience: { idleMs: 60_000, giveUpMs: 120_000, startGiveUpMs: 20_000 },
      contact,
      ...{ refusal: () => null, log: silentLog, now: () => NOW },
    })
    const methods = () => asked.map(({ path }) => path.split('/').at(-1))
    return { client, asked, methods }
  }
  const requestOf = ({ bytes }: Asked) => messages.delegateRequest.deserialize(bytes)
  const settled = async (promise: Promise<void>) => {
    let over = false
    void promise.then(() => {
      over = true
    })
    await turn()
    return over
  }

  it('delegates with an id of its own, what was asked and nothing more', async () => {
    const { client, asked } = open()
    const delegation = client.delegate(PEER, { skill: 's' })
    await delegation.result()
    const [call = assert.fail()] = asked
    const request = requestOf(call)
    assert.ok(isUuidV7(request.delegation_id) && request.delegation_id === delegation.id)
    assert.deepEqual(
      [request.skill, request.input, request.idempotency_key, request.detached, request.labels],
      ['s', [], '', false, {}],
    )
    assert.equal(request.task_deadline, null)
    assert.deepEqual(call.choices, {
      ...{ authority: PEER, metadata: { 'x-mesh-delegation-id': delegation.id } },
    })
    const full = open()
    const more = { idempotencyKey: 'k', detached: true, labels: { a: 'b' }, input: 'text' }
    await full.client.delegate(PEER, { skill: 's', ...more }).result()
    const whole = requestOf(full.asked[0] ?? assert.fail())
    assert.deepEqual(
      [whole.idempotency_key, whole.detached, whole.labels, whole.input[0]?.text],
      ['k', true, { a: 'b' }, 'text'],
    )
  })

  it('says when the task must have ended, and waits five seconds longer for the peer to say so', async () => {
    for (const deadline of [{ deadlineMs: 500 }, { deadline: new Date(NOW + 500) }]) {
      const { client, asked } = open({ holds: true })
      const delegation = client.delegate(PEER, { skill: 's', ...deadline })
      const failed = delegation.result().catch((error: unknown) => error)
      await turn()
      const [call = assert.fail()] = asked
      assert.equal(call.choices.metadata?.['x-mesh-task-deadline'], String(NOW + 500))
      assert.equal(call.choices.deadline, NOW + 5_500)
      assert.notEqual(requestOf(call).task_deadline, null)
      mock.timers.tick(5_499)
      assert.equal(await settled(failed.then(() => {})), false)
      mock.timers.tick(1)
      const error = await failed
      assert.ok(error instanceof MeshError && error.code === 'MESH_CALL_DEADLINE')
    }
  })

  it('refuses a deadline that is none, a skill that is none, and options that there are not', () => {
    const { client, asked } = open()
    const wrong: readonly (readonly [object, RegExp])[] = [
      [{ deadline: new Date(NOW), deadlineMs: 5 }, /give deadline or deadlineMs, not both/],
      [{ deadlineMs: 0 }, /must be a number above 0/],
      [{ deadlineMs: Number.NaN }, /must be a number above 0/],
      [{ deadlineMs: 1e300 }, /is no date/],
      [{ deadline: new Date(Number.NaN) }, /is no date/],
      [{ skill: '' }, /skill: is not a name/],
      [{ timeout: 5 }, /timeout: is no option/],
    ]
    for (const [more, message] of wrong)
      assert.throws(() => client.delegate(PEER, { skill: 's', ...more }), {
        ...{ name: 'TypeError', message },
      })
    assert.equal(asked.length, 0)
  })

  it('sends no more than fits into a message', () => {
    const { client } = open()
    const most = 3.5 * 1024 * 1024
    const send = (length: number) =>
      client.delegate(PEER, { skill: 's', input: 'x'.repeat(length) })
    let fits = most - 100
    for (let step = 64; step >= 1; step /= 2)
      try {
        send(fits + step)
        fits += step
      } catch (error) {
        assert.ok(error instanceof MeshError && error.code === 'MESH_LIMIT_SIZE')
      }
    assert.throws(() => send(fits + 1), {
      message: `the input takes ${most + 1} bytes of at most ${most}`,
    })
  })

  it('hands on the chain and the trace of the task that it works on', async () => {
    const { client, asked } = open()
    const chain = { token: new Secret('token'), expiresMs: NOW + 1 }
    const propagated = { traceparent: 'trace', chain }
    await client.delegate(PEER, { skill: 's' }, propagated).result()
    await client.get(PEER, ID, { propagated })
    await client.get(PEER, ID, {
      propagated: { ...propagated, chain: { ...chain, expiresMs: NOW } },
    })
    const [begun, about, late] = asked.map(({ choices }) => choices.metadata ?? {})
    assert.deepEqual([begun?.['x-mesh-delegation'], begun?.traceparent], ['token', 'trace'])
    assert.deepEqual(about, {
      ...{ 'x-mesh-delegation-id': ID, 'x-mesh-delegation': 'token', traceparent: 'trace' },
    })
    assert.equal(late?.['x-mesh-delegation'], undefined)
  })

  it('watches a task from the event after one, by its id', async () => {
    const { client, asked, methods } = open()
    const watch = client.watch(PEER, ID, 1)
    await watch.result()
    // one look more, whether the cursor stands inside the result
    assert.deepEqual(methods(), ['Watch', 'Watch'])
    const request = messages.watchRequest.deserialize(asked[0]?.bytes ?? assert.fail())
    assert.deepEqual([request.delegation_id, Number(request.after_seq)], [ID, 1])
    for (const after of [-1, 1.5, Number.NaN, 2 ** 60])
      assert.throws(() => client.watch(PEER, ID, after), /afterSeq: must be/)
    assert.throws(() => client.watch(PEER, 'mine', 0), /id: must be the id of a delegation/)
    await assert.rejects(client.get(PEER, 'mine'), TypeError)
  })

  it('cancels what it delegated when it is let go of, and neither what is detached nor what it watches', async () => {
    const { client, methods } = open({ holds: true })
    const own = client.delegate(PEER, { skill: 's' })
    const detached = client.delegate(PEER, { skill: 's', detached: true })
    const watched = client.watch(PEER, ID, 0)
    const results = [own, detached, watched].map((each) =>
      each.result().catch((error: unknown) => error),
    )
    await turn()
    const gone = settled(client.settled())
    assert.equal(await gone, false)
    letGo.abort(new MeshError('MESH_CALL_CANCELED', 'closed'))
    for (const error of await Promise.all(results))
      assert.ok(error instanceof MeshError && error.code === 'MESH_CALL_CANCELED')
    await turn()
    assert.deepEqual(methods().filter((name) => name === 'Cancel').length, 1)
    assert.equal(await settled(client.settled()), true)
  })

  it('takes the signal of the caller, its reason where that has a code, and lets go of it at the end', async () => {
    const reason = new MeshError('MESH_LIMIT_SIZE')
    for (const [given, code] of [
      [reason, 'MESH_LIMIT_SIZE'],
      [new Error('mine'), 'MESH_CALL_CANCELED'],
    ] as const)
      for (const early of [true, false]) {
        const { client } = open({ holds: true })
        const controller = new AbortController()
        if (early) controller.abort(given)
        const { signal } = controller
        const result = client.delegate(PEER, { skill: 's', signal }).result()
        const failed = result.catch((error: unknown) => error)
        await turn()
        controller.abort(given)
        const error = await failed
        assert.ok(error instanceof MeshError && error.code === code)
      }
    const { client } = open()
    const { signal } = new AbortController()
    await client.delegate(PEER, { skill: 's', signal }).result()
    await turn()
    assert.equal(getEventListeners(signal, 'abort').length, 0)
  })

  it('asks about a task and answers it, of a bounded size and with bounded words', async () => {
    const { client, asked, methods } = open({ holds: true })
    const delegation = client.delegate(PEER, { skill: 's' })
    delegation.result().catch(() => {})
    await turn()
    assert.equal((await delegation.cancel('r'.repeat(2_000))).id, ID)
    const cancel = messages.cancelRequest.deserialize(asked[1]?.bytes ?? assert.fail())
    assert.equal(cancel.reason.length, 1_024)
    await delegation.sendInput('yes')
    const sent = messages.sendInputRequest.deserialize(asked.at(-1)?.bytes ?? assert.fail())
    assert.deepEqual([sent.input_id, sent.answer[0]?.text], ['1', 'yes'])
    assert.deepEqual(methods(), ['Delegate', 'Cancel', 'Get', 'SendInput'])
    const large = 'x'.repeat(3.5 * 1024 * 1024)
    await assert.rejects(delegation.sendInput(large, '1'), { code: 'MESH_LIMIT_SIZE' })
    assert.equal(asked.length, 4)
  })

  it('lists page by page, with what the filter says, until there are no more', async () => {
    const page = (...ids: string[]) => ids.map((id) => encodeTask({ ...INFO, id }))
    const [one, two, three] = [uuidV7(), uuidV7(), uuidV7()]
    const { client, asked } = open({ tasks: [page(one, two), page(), page(three)] })
    const seen: string[] = []
    const filter = { states: ['input-required' as const], labels: { a: 'b' } }
    for await (const { id } of client.list(PEER, filter)) seen.push(id)
    assert.deepEqual(seen, [one, two, three])
    const requests = asked.map(({ bytes }) => messages.listRequest.deserialize(bytes))
    assert.deepEqual(
      requests.map(({ page_token }) => page_token),
      ['', '1', '2'],
    )
    assert.deepEqual(
      [requests[0]?.states, requests[0]?.labels],
      [['TASK_STATE_INPUT_REQUIRED'], { a: 'b' }],
    )
    const all = open()
    for await (const { id } of all.client.list(PEER, {})) assert.equal(id, ID)
    const bare = messages.listRequest.deserialize(all.asked[0]?.bytes ?? assert.fail())
    assert.deepEqual([bare.states, bare.labels], [[], {}])
    const misspelt: object = { state: [] }
    const wrong = all.client.list(PEER, misspelt)
    await assert.rejects(async () => {
      for await (const _ of wrong);
    }, TypeError)
  })

  it('looks no further once the caller or the agent has let go', async () => {
    const { client, asked } = open()
    const controller = new AbortController()
    await client.get(PEER, ID, { signal: controller.signal })
    await client.get(PEER, ID)
    for await (const _ of client.list(PEER, {}, { signal: controller.signal }));
    for await (const _ of client.list(PEER, {}));
    const signals = asked.map(({ choices }) => choices.signal)
    controller.abort()
    assert.deepEqual(
      signals.map((signal) => signal?.aborted),
      [true, false, true, false],
    )
    closed.abort()
    assert.ok(signals.every((signal) => signal?.aborted === true))
  })
})
