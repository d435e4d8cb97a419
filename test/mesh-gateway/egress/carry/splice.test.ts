/** Two sockets that are one tunnel: what goes through, what is held back until it is judged, and how it ends on each side. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import type { ErrorCode } from '@clawmesh/proto'
import {
  acceptSocket,
  type BufferedSocket,
} from '../../../../mesh-gateway/src/egress/carry/buffered-socket.ts'
import { ClearText } from '../../../../mesh-gateway/src/egress/carry/clear-text.ts'
import {
  type Splice,
  type SpliceOptions,
  splice,
} from '../../../../mesh-gateway/src/egress/carry/splice.ts'
import { parseConnectTarget } from '../../../../mesh-gateway/src/egress/request.ts'
import { createReadBuffers } from '../../../../mesh-gateway/src/process/node-internals/read-buffers.ts'
import { listenOnFreePort } from '../../../support/http-origin.ts'
import { waitFor } from '../../../support/wait-for.ts'

type Inspection = NonNullable<SpliceOptions['inspect']>
const HOUR_MS = 3_600_000
const PATIENT = { idleMs: HOUR_MS, answerMs: HOUR_MS }
const ALERT = '15030300020231'

/** The far end of one of the two sockets, and how it ended. */
interface Far {
  readonly socket: Socket
  received(): Buffer
  /** `end` in good order, `reset` otherwise. */
  readonly over: Promise<'end' | 'reset'>
}

describe('a splice of two sockets', () => {
  const closing: (() => unknown)[] = []
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close()
  })

  async function pair(): Promise<{ near: BufferedSocket; far: Far }> {
    const server = createServer({ allowHalfOpen: true })
    const port = await listenOnFreePort(server)
    const accepted = once(server, 'connection')
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    const [own]: Socket[] = await accepted
    assert.ok(own)
    const near = acceptSocket(own, createReadBuffers())
    const pieces: Buffer[] = []
    socket.on('data', (chunk) => pieces.push(chunk))
    const over = new Promise<'end' | 'reset'>((resolve) => {
      socket.once('end', () => resolve('end'))
      socket.once('error', () => resolve('reset'))
    })
    closing.push(async () => {
      socket.destroy()
      own.destroy()
      const closed = once(server, 'close')
      server.close()
      await closed
    })
    return { near, far: { socket, over, received: () => Buffer.concat(pieces) } }
  }

  const explained: ErrorCode[] = []
  const inspecting = (more: Partial<Inspection> = {}): Inspection => ({
    judge: () => 'more',
    clearText: () => assert.fail('it is not clear text'),
    explain(code) {
      explained.push(code)
      return `explained ${code}`
    },
    ...{ first: true, timeoutMs: HOUR_MS },
    ...more,
  })
  async function open(inspect: Inspection | null = null, silence = PATIENT) {
    explained.length = 0
    const [one, other] = [await pair(), await pair()]
    const [client, upstream] = [one.far, other.far]
    const begin = (): Splice => splice({ client: one.near, upstream: other.near, silence, inspect })
    return { client, upstream, near: { client: one.near, upstream: other.near }, begin }
  }
  const has = (far: Far, text: string) =>
    waitFor(`"${text}"`, () => far.received().toString('latin1') === text)

  it('carries bytes and ends both ways, counts them, and is over when both have ended', async () => {
    const { client, upstream, begin } = await open()
    client.socket.write('before it begins ')
    const { done } = begin()
    upstream.socket.write('down')
    await has(client, 'down')
    client.socket.end('up')
    assert.equal(await upstream.over, 'end')
    assert.equal(upstream.received().toString(), 'before it begins up')
    upstream.socket.end(' and more')
    assert.equal(await client.over, 'end')
    assert.equal(client.received().toString(), 'down and more')
    assert.deepEqual(await done, { code: null, bytesUp: 19, bytesDown: 13 })
  })

  it('is reset on both sides when it is ended, once, for the reason that came first', async () => {
    const { client, upstream, begin } = await open()
    const running = begin()
    client.socket.write('up')
    await has(upstream, 'up')
    running.end('MESH_TOKEN_REVOKED')
    running.end('MESH_EGRESS_IDLE')
    assert.deepEqual(await running.done, { code: 'MESH_TOKEN_REVOKED', bytesUp: 2, bytesDown: 0 })
    assert.equal(await client.over, 'reset')
    await upstream.over
  })

  for (const [side, code] of [
    ['client', 'MESH_CALL_CANCELED'],
    ['upstream', 'MESH_EGRESS_LOST'],
  ] as const) {
    it(`hands a reset of the ${side} on as a reset, and says who it was`, async () => {
      const { client, upstream, begin } = await open()
      const { done } = begin()
      const [gone, left] = side === 'client' ? [client, upstream] : [upstream, client]
      gone.socket.resetAndDestroy()
      assert.equal((await done).code, code)
      assert.equal(await left.over, 'reset')
    })

    it(`is over at once when the ${side} had gone before it began`, async () => {
      const { client, upstream, near, begin } = await open()
      const left = side === 'client' ? upstream : client
      near[side].destroy()
      assert.deepEqual(await begin().done, { code, bytesUp: 0, bytesDown: 0 })
      await left.over
    })
  }

  it('ends after silence, and counts as an answer awaited what the client has said last', async () => {
    for (const [silence, last] of [
      [{ idleMs: 50, answerMs: HOUR_MS }, 'upstream'],
      [{ idleMs: HOUR_MS, answerMs: 50 }, 'client'],
    ] as const) {
      const { client, upstream, begin } = await open(null, silence)
      const { done } = begin()
      client.socket.write('a')
      await has(upstream, 'a')
      if (last === 'upstream') upstream.socket.write('b')
      assert.equal((await done).code, 'MESH_EGRESS_IDLE')
    }
  })

  it('lets nothing through in either direction before the verdict, and then all of it', async () => {
    const judged: string[] = []
    const { client, upstream, begin } = await open(
      inspecting({
        judge(bytes) {
          judged.push(String(bytes))
          return String(bytes).endsWith('hello') ? 'pass' : 'more'
        },
      }),
    )
    begin()
    upstream.socket.write('too soon')
    client.socket.write('hel')
    await waitFor('the first piece', () => judged.length === 1)
    assert.deepEqual([client.received().length, upstream.received().length], [0, 0])
    client.socket.write('lo')
    await has(upstream, 'hello')
    await has(client, 'too soon')
    assert.deepEqual(judged, ['hel', 'hello'])
    client.socket.write(', more')
    await has(upstream, 'hello, more')
    assert.equal(judged.length, 2, 'what follows is not judged')
  })

  it('lets the destination speak first where the verdict may come later', async () => {
    const { client, upstream, begin } = await open(inspecting({ first: false }))
    const { done } = begin()
    upstream.socket.write('220 ready')
    await has(client, '220 ready')
    // a client that says nothing and leaves has done nothing wrong
    client.socket.end()
    assert.equal(await upstream.over, 'end')
    upstream.socket.end()
    assert.deepEqual(await done, { code: null, bytesUp: 0, bytesDown: 9 })
  })

  const TOLD: [
    what: string,
    inspect: Partial<Inspection>,
    act: (client: Far, end: Splice['end']) => unknown,
    code: ErrorCode,
  ][] = [
    [
      'what is refused',
      { judge: () => 'MESH_EGRESS_SNI_MISMATCH' },
      ({ socket }) => socket.write('hello'),
      'MESH_EGRESS_SNI_MISMATCH',
    ],
    ['a client that says nothing in time', { timeoutMs: 50 }, () => {}, 'MESH_EGRESS_NOT_TLS'],
    [
      'one that does not go on in time',
      { timeoutMs: 50, first: false },
      ({ socket }) => socket.write('hel'),
      'MESH_EGRESS_NOT_TLS',
    ],
    [
      'one that leaves in the middle of its hello',
      {},
      ({ socket }) => socket.end('hel'),
      'MESH_EGRESS_NOT_TLS',
    ],
    [
      'one that is cut before the verdict',
      {},
      (_client, end) => end('MESH_TOKEN_REVOKED'),
      'MESH_TOKEN_REVOKED',
    ],
  ]
  for (const [what, inspect, act, code] of TOLD)
    it(`tells a TLS client by an alert, and the destination nothing: ${what}`, async () => {
      const { client, upstream, begin } = await open(inspecting(inspect))
      const running = begin()
      await act(client, (why) => running.end(why))
      assert.deepEqual(await running.done, { code, bytesUp: 0, bytesDown: 0 })
      assert.equal(await client.over, 'end')
      assert.equal(client.received().toString('hex'), ALERT)
      await upstream.over
      assert.equal(upstream.received().length, 0)
    })

  it('is reset, without an alert, when it is cut after the verdict', async () => {
    const { client, upstream, begin } = await open(inspecting({ judge: () => 'pass' }))
    const running = begin()
    client.socket.write('hello')
    await has(upstream, 'hello')
    running.end('MESH_TOKEN_REVOKED')
    assert.equal((await running.done).code, 'MESH_TOKEN_REVOKED')
    assert.equal(await client.over, 'reset')
    assert.equal(client.received().length, 0)
  })

  it('that a client closes unused is over in good order', async () => {
    const { client, upstream, begin } = await open(inspecting())
    const { done } = begin()
    client.socket.end()
    assert.deepEqual(await done, { code: null, bytesUp: 0, bytesDown: 0 })
    assert.equal(await client.over, 'end')
    await upstream.over
    assert.equal(client.received().length, 0)
  })

  describe('in the clear', () => {
    const clear = (othersPass = false, more: Partial<Inspection> = {}) =>
      inspecting({
        judge: () => 'clear',
        clearText() {
          const target = parseConnectTarget('api.test:80')
          assert.ok(typeof target !== 'string')
          return new ClearText(target, othersPass)
        },
        first: false,
        ...more,
      })
    const GOOD = 'GET / HTTP/1.1\r\nHost: api.test\r\n\r\n'
    const BAD = 'GET / HTTP/1.1\r\nHost: other.test\r\n\r\n'

    it('explains to a client why it is refused, as long as no answer has begun', async () => {
      const { client, upstream, begin } = await open(clear())
      const { done } = begin()
      client.socket.write(BAD)
      const { code } = await done
      assert.deepEqual(explained, [code])
      assert.equal(await client.over, 'end')
      assert.equal(client.received().toString(), `explained ${code}`)
      await upstream.over
      // no server acts before the end of its first line
      assert.equal(upstream.received().includes('\n'), false)
    })

    it('resets a client that is refused after an answer has begun', async () => {
      const { client, upstream, begin } = await open(clear())
      const { done } = begin()
      client.socket.write(GOOD)
      await has(upstream, GOOD)
      upstream.socket.write('HTTP/1.1 200 OK\r\n')
      await has(client, 'HTTP/1.1 200 OK\r\n')
      client.socket.write(BAD)
      assert.notEqual((await done).code, null)
      assert.equal(await client.over, 'reset')
      assert.deepEqual(explained, [])
      assert.equal(upstream.received().toString(), GOOD)
    })

    it('refuses half a request that goes on too late, or not at all', async () => {
      const half = GOOD.slice(0, 20)
      const late = await open(clear(false, { timeoutMs: 50 }))
      const { done } = late.begin()
      late.client.socket.write(half)
      assert.equal((await done).code, 'MESH_EGRESS_SLOW')
      assert.equal(await late.client.over, 'end')
      const never = await open(clear())
      const other = never.begin()
      never.client.socket.end(half)
      assert.equal((await other.done).code, 'MESH_EGRESS_MALFORMED')
      assert.deepEqual(explained, ['MESH_EGRESS_MALFORMED'])
    })

    it('stops the clock of a request that is whole, and starts it anew for the next', async () => {
      const { client, upstream, begin } = await open(clear(false, { timeoutMs: 300 }))
      const { done } = begin()
      client.socket.write(GOOD)
      await has(upstream, GOOD)
      // far longer than the clock would have had left
      for (let rest = 0; rest < 3; rest += 1) {
        upstream.socket.write('.')
        await has(client, '.'.repeat(rest + 1))
        await new Promise((resolve) => setTimeout(resolve, 150))
      }
      client.socket.write(GOOD.slice(0, 20))
      assert.equal((await done).code, 'MESH_EGRESS_SLOW')
      assert.equal(upstream.received().toString(), GOOD)
    })

    it('judges no more of what is not HTTP, where that may pass', async () => {
      const { client, upstream, begin } = await open(clear(true))
      const { done } = begin()
      client.socket.write('\x01binary')
      await has(upstream, '\x01binary')
      client.socket.write(BAD)
      await has(upstream, `\x01binary${BAD}`)
      client.socket.end()
      assert.equal(await upstream.over, 'end')
      upstream.socket.end()
      assert.equal((await done).code, null)
    })
  })
})
