/** One call between two streams: what each side learns of its end, and what the record does. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import {
  type ClientHttp2Stream,
  connect,
  constants,
  performServerHandshake,
  type ServerHttp2Stream,
} from 'node:http2'
import { duplexPair } from 'node:stream'
import { GRPC_STATUS, MeshError } from '@clawmesh/proto'
import { forward } from '../../../../mesh-gateway/src/delegation/carry/forward.ts'
import type {
  ForwardOptions,
  Outcome,
} from '../../../../mesh-gateway/src/delegation/carry/forwarding.ts'
import type { UpstreamSession } from '../../../../mesh-gateway/src/delegation/upstream/session.ts'
import { waitFor } from '../../../support/wait-for.ts'
import { frame } from '../fixture.ts'

const HEADERS = {
  ...{ ':method': 'POST', ':scheme': 'http', ':authority': 'peer', ':path': '/a.B/C' },
  ...{ 'content-type': 'application/grpc', te: 'trailers' },
}
const HEAD = { ':status': 200, 'content-type': 'application/grpc' }
const HELLO = frame(Buffer.from('hello'))

/** A connection within the process: its client, and the streams that its server gets. */
async function link() {
  const [near, far] = duplexPair()
  const server = performServerHandshake(far)
  server.on('error', () => {})
  const client = connect('http://peer', { createConnection: () => near })
  client.on('error', () => {})
  await once(client, 'remoteSettings')
  const next = async () => {
    const [stream]: ServerHttp2Stream[] = await once(server, 'stream')
    assert.ok(stream)
    stream.on('error', () => {})
    return stream
  }
  return { client, server, next }
}

describe('a call that is forwarded', () => {
  const closing: (() => void)[] = []
  afterEach(() => {
    for (const close of closing.splice(0)) close()
  })

  async function open(more: Partial<ForwardOptions> = {}, session: Partial<UpstreamSession> = {}) {
    const [below, above] = [await link(), await link()]
    closing.push(
      () => below.client.destroy(),
      () => above.client.destroy(),
      () => below.server.destroy(),
      () => above.server.destroy(),
    )
    const caller = below.client.request(HEADERS)
    caller.on('error', () => {})
    const down = await below.next()
    const peer: UpstreamSession = {
      ...{ peerId: 'peer', certificate: null, ip: null, port: null, replica: 'mark' },
      ...{ active: 1, gone: false, unprocessed: () => false, reserve: () => true, release() {} },
      open: () => assert.fail('by its option'),
      ...{ retire() {}, destroy() {} },
      ...session,
    }
    const outcomes: Outcome[] = []
    const meter = { bytes: 0 }
    const ups: ClientHttp2Stream[] = []
    const arrived = above.next()
    const call = forward({
      ...{ down, session: peer, elsewhere: null, requestId: 'the id', meter },
      open() {
        const up = above.client.request(HEADERS)
        ups.push(up)
        return up
      },
      onHead: () => null,
      rootId: () => null,
      backlog: { stalled: () => () => {}, sweep() {} },
      onEnd: (outcome) => outcomes.push(outcome),
      ...more,
    })
    return { caller, down, call, outcomes, meter, ups, arrived, above }
  }
  const endOf = async (outcomes: readonly Outcome[]) => {
    await waitFor('the end', () => outcomes.length > 0)
    return outcomes
  }
  const trailersOf = (stream: ClientHttp2Stream) =>
    new Promise<Record<string, unknown>>((resolve) => {
      stream.once('trailers', resolve)
      stream.once('response', (head) => 'grpc-status' in head && resolve(head))
      stream.resume()
    })
  const answer = (callee: ServerHttp2Stream, body: Buffer, status = '0') => {
    callee.respond(HEAD, { waitForTrailers: true })
    callee.once('wantTrailers', () => callee.sendTrailers({ 'grpc-status': status }))
    callee.end(body)
  }

  it('ends as its callee says, once, with the bytes of both directions', async () => {
    const { caller, outcomes, meter, arrived } = await open()
    caller.end(HELLO)
    const callee = await arrived
    callee.resume()
    await once(callee, 'end')
    const trailers = trailersOf(caller)
    answer(callee, Buffer.concat([HELLO, HELLO]), '5')
    assert.equal((await trailers)['grpc-status'], '5')
    assert.deepEqual(await endOf(outcomes), [
      { grpcStatus: 5, code: null, bytesUp: HELLO.length, bytesDown: 2 * HELLO.length },
    ])
    // the connection of the caller pays for what is around the data, too
    assert.ok(meter.bytes > HELLO.length)
  })

  it('has the id of its record, the mark of its replica and its tree in the head, and what forbids it is asked first', async () => {
    const { caller, arrived } = await open({ rootId: () => 'the tree' })
    const head = once(caller, 'response')
    answer(await arrived, HELLO)
    const [{ 'x-request-id': id, 'x-mesh-replica': replica, 'x-mesh-root-id': tree }] = await head
    assert.deepEqual([id, replica, tree], ['the id', 'mark', 'the tree'])
    const forbidden = await open({ onHead: () => new MeshError('MESH_CHAIN_REVOKED') })
    const trailers = trailersOf(forbidden.caller)
    answer(await forbidden.arrived, HELLO)
    assert.equal((await trailers)['grpc-status'], String(GRPC_STATUS.PERMISSION_DENIED))
    const [end] = await endOf(forbidden.outcomes)
    assert.deepEqual([end?.code, end?.bytesDown], ['MESH_CHAIN_REVOKED', 0])
    assert.equal(forbidden.ups[0]?.rstCode, constants.NGHTTP2_CANCEL)
  })

  it('that is cut before its answer is refused whole, and later in its trailers; the callee is cancelled', async () => {
    for (const begun of [false, true]) {
      const { caller, call, outcomes, arrived, ups } = await open()
      const trailers = trailersOf(caller)
      const callee = await arrived
      const gone = new Promise((resolve) => callee.once('close', resolve))
      if (begun) {
        const head = once(caller, 'response')
        callee.respond(HEAD, { waitForTrailers: true })
        callee.write(HELLO)
        await head
      }
      call.cut(new MeshError('MESH_TOKEN_REVOKED'))
      call.cut(new MeshError('MESH_EGRESS_IDLE'))
      const said = await trailers
      assert.equal(said['grpc-status'], String(GRPC_STATUS.UNAUTHENTICATED))
      assert.ok(String(said['grpc-status-details-bin'] ?? '').length > 0)
      await gone
      assert.equal(ups[0]?.rstCode, constants.NGHTTP2_CANCEL)
      assert.deepEqual(
        outcomes.map(({ code }) => code),
        ['MESH_TOKEN_REVOKED'],
      )
    }
  })

  it('is cancelled at the callee when its caller leaves, whether its answer has begun or not', async () => {
    for (const begun of [false, true]) {
      const { caller, outcomes, arrived } = await open()
      const callee = await arrived
      const gone = new Promise((resolve) => callee.once('close', resolve))
      if (begun) {
        const head = once(caller, 'response')
        callee.respond(HEAD, { waitForTrailers: true })
        callee.write(HELLO)
        await head
      }
      caller.close(constants.NGHTTP2_CANCEL)
      await gone
      assert.equal(callee.rstCode, constants.NGHTTP2_CANCEL)
      const [end] = await endOf(outcomes)
      assert.deepEqual([end?.grpcStatus, end?.code], [GRPC_STATUS.CANCELLED, 'MESH_CALL_CANCELED'])
    }
  })

  it('takes ten informational answers, and ends at the next', async () => {
    for (const [count, code] of [
      [10, null],
      [11, 'MESH_PEER_PROTOCOL'],
    ] as const) {
      const { caller, outcomes, arrived } = await open()
      caller.resume()
      const callee = await arrived
      for (let n = 0; n < count; n += 1) callee.additionalHeaders({ ':status': 103 })
      if (code === null) answer(callee, HELLO)
      assert.equal((await endOf(outcomes))[0]?.code, code)
    }
  })

  it('is reset on both sides when its reader is too slow, and tells no trailers', async () => {
    let cut: (() => void) | null = null
    const { caller, outcomes, arrived } = await open({
      backlog: {
        stalled(flow) {
          cut = () => flow.cut()
          return () => {}
        },
        sweep() {},
      },
    })
    const callee = await arrived
    callee.respond(HEAD, { waitForTrailers: true })
    for (let n = 0; n < 40; n += 1) callee.write(Buffer.alloc(65_536))
    const slow = await waitFor('the call to stand still', () => cut)
    const gone = Promise.all([
      new Promise((resolve) => caller.once('close', resolve)),
      new Promise((resolve) => callee.once('close', resolve)),
    ])
    slow()
    await gone
    assert.equal(caller.rstCode, constants.NGHTTP2_ENHANCE_YOUR_CALM)
    const [end] = await endOf(outcomes)
    assert.deepEqual(
      [end?.grpcStatus, end?.code],
      [GRPC_STATUS.RESOURCE_EXHAUSTED, 'MESH_LIMIT_SIZE'],
    )
  })

  it('is tried elsewhere once when its peer did not see it, and gives back a place that came too late', async () => {
    const released: string[] = []
    const another = Promise.withResolvers<UpstreamSession>()
    let asked = 0
    const { caller, call, outcomes, arrived, ups } = await open(
      {
        elsewhere(failed) {
          asked += 1
          void another.promise.catch(() => {})
          another.resolve({ ...failed, release: () => void released.push('another') })
          return another.promise.then(async (found) => {
            await later.promise
            return found
          })
        },
      },
      { unprocessed: () => true },
    )
    const later = Promise.withResolvers<void>()
    const callee = await arrived
    callee.close(constants.NGHTTP2_REFUSED_STREAM)
    await waitFor('another to be asked for', () => asked === 1)
    call.cut(new MeshError('MESH_TOKEN_REVOKED'))
    later.resolve()
    await waitFor('its place to be given back', () => released.length === 1)
    assert.equal(ups.length, 1, 'it is not opened there')
    assert.equal((await endOf(outcomes))[0]?.code, 'MESH_TOKEN_REVOKED')
    caller.destroy()
  })

  it('that its peer did not see twice is lost, as is one that nobody else can take', async () => {
    const { caller, outcomes, arrived, above } = await open(
      { elsewhere: async (failed) => failed },
      { unprocessed: () => true },
    )
    caller.resume()
    const first = await arrived
    const second = above.next()
    first.close(constants.NGHTTP2_REFUSED_STREAM)
    ;(await second).close(constants.NGHTTP2_REFUSED_STREAM)
    assert.equal((await endOf(outcomes))[0]?.code, 'MESH_PEER_LOST')
    const alone = await open({}, { unprocessed: () => true })
    alone.caller.resume()
    ;(await alone.arrived).close(constants.NGHTTP2_REFUSED_STREAM)
    assert.equal((await endOf(alone.outcomes))[0]?.code, 'MESH_PEER_LOST')
    const nowhere = await open(
      { elsewhere: () => Promise.reject(new MeshError('MESH_PEER_UNREACHABLE')) },
      { unprocessed: () => true },
    )
    nowhere.caller.resume()
    ;(await nowhere.arrived).close(constants.NGHTTP2_REFUSED_STREAM)
    assert.equal((await endOf(nowhere.outcomes))[0]?.code, 'MESH_PEER_UNREACHABLE')
  })

  it('that cannot be opened at its peer ends with that reason, and one that is lost is tried elsewhere', async () => {
    const failing = async (error: unknown, elsewhere: ForwardOptions['elsewhere']) => {
      let times = 0
      const { caller, outcomes } = await open({
        elsewhere,
        open() {
          times += 1
          throw error
        },
      })
      caller.resume()
      return [(await endOf(outcomes))[0]?.code, times]
    }
    const malformed = new MeshError('MESH_ROUTE_MALFORMED')
    assert.deepEqual(await failing(malformed, async (failed) => failed), [
      ...['MESH_ROUTE_MALFORMED', 1],
    ])
    assert.deepEqual(await failing(new Error('inside'), null), ['MESH_GATEWAY_INTERNAL', 1])
    const lost = new MeshError('MESH_PEER_LOST')
    assert.deepEqual(await failing(lost, async (failed) => failed), ['MESH_PEER_LOST', 2])
    assert.deepEqual(await failing(lost, null), ['MESH_PEER_LOST', 1])
  })

  it('that its peer ends without a status, or not as gRPC, is a fault of the peer', async () => {
    const { caller, outcomes, arrived } = await open()
    caller.resume()
    const callee = await arrived
    callee.respond(HEAD)
    callee.end(HELLO)
    assert.equal((await endOf(outcomes))[0]?.code, 'MESH_PEER_PROTOCOL')
    const alone = await open()
    const status = trailersOf(alone.caller)
    ;(await alone.arrived).respond({ ...HEAD, 'grpc-status': '7' }, { endStream: true })
    assert.equal((await status)['grpc-status'], '7')
    assert.deepEqual(await endOf(alone.outcomes), [
      { grpcStatus: 7, code: null, bytesUp: 0, bytesDown: 0 },
    ])
  })

  it('that is reset leaves its stream at once, unless all of it has left already', async () => {
    const { caller, call } = await open()
    const closed = new Promise((resolve) => caller.once('close', resolve))
    call.reset()
    await closed
    assert.equal(caller.rstCode, constants.NGHTTP2_CANCEL)
    const done = await open()
    done.caller.end()
    done.caller.resume()
    const ended = new Promise((resolve) => done.caller.once('close', resolve))
    answer(await done.arrived, HELLO)
    await ended
    done.call.reset()
    assert.equal(done.caller.rstCode, constants.NGHTTP2_NO_ERROR)
  })
})
