import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { ClientHttp2Session, ClientHttp2Stream, ServerHttp2Stream } from 'node:http2'
import type { IdentityStore } from '@clawmesh/agent-sdk/mesh'
import {
  lengthField,
  numberField,
} from '../../../../mesh-gateway/src/delegation/reflection/wire-fields.ts'
import { waitFor } from '../../../support/wait-for.ts'
import { call, type Fixture, frame, makeFixture } from '../fixture.ts'

const METHOD = 'grpc.reflection.v1.ServerReflection/ServerReflectionInfo'
const PEER = 'library.acme.mesh.internal'
const headers = { ':path': `/${METHOD}`, ':authority': PEER }

/** list_services_response with these names. */
const list = (...names: string[]) =>
  lengthField(
    6,
    Buffer.concat(names.map((name) => lengthField(1, lengthField(1, Buffer.from(name))))),
  )

/** The question is left open, and so is the answer. */
function request(session: ClientHttp2Session): ClientHttp2Stream {
  const stream = session.request({
    ':method': 'POST',
    'content-type': 'application/grpc',
    te: 'trailers',
    ...headers,
  })
  stream.on('error', () => {})
  return stream
}

/** The peer begins its answer. */
function respond(stream: ServerHttp2Stream): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' })
}

describe('reflection of a peer through the delegation port', () => {
  let fixture: Fixture
  let planner: IdentityStore
  let handler: (stream: ServerHttp2Stream, headers: readonly string[]) => void

  before(async () => {
    fixture = await makeFixture({
      tenant: 'acme',
      delegation: {
        allow: [{ from: 'planner', to: 'library', methods: ['a.B/*', METHOD] }],
      },
    })
    planner = await fixture.ca.open(await fixture.ca.agentDir({ tenant: 'acme', agent: 'planner' }))
    await fixture.peer('library', (stream, raw) => handler(stream, raw))
  })
  after(() => fixture.close())

  /** Answers with these messages and a status, once the question has come. */
  const answering =
    (...messages: Buffer[]) =>
    (stream: ServerHttp2Stream) => {
      stream.resume()
      stream.respond(
        { ':status': 200, 'content-type': 'application/grpc', 'x-kept': 'head' },
        { waitForTrailers: true },
      )
      stream.once('wantTrailers', () =>
        stream.sendTrailers({ 'grpc-status': '0', 'x-kept': 'trailers' }),
      )
      stream.end(Buffer.concat(messages))
    }
  const ask = async (how: typeof handler, more: Record<string, string> = {}) => {
    handler = how
    return call(await fixture.connect(planner), { ...headers, ...more })
  }

  it('is filtered, and otherwise as the peer said it', async () => {
    const answer = await ask(answering(frame(list('a.B', 'a.Vault')), frame(list('a.B'))))
    assert.equal(answer.status, 0)
    assert.deepEqual(answer.body, Buffer.concat([frame(list('a.B')), frame(list('a.B'))]))
    assert.equal(answer.headers['x-kept'], 'head')
    assert.equal(answer.trailers['x-kept'], 'trailers')
  })

  it('leaves an audit line that names the peer, as any call', async () => {
    const audited = fixture.nextRecord()
    await ask(answering(frame(list('a.B', 'a.Vault'))))
    const record = await audited
    assert.equal(record.grpc_method, METHOD)
    assert.equal(record.callee, 'spiffe://mesh.internal/tenant/acme/agent/library')
    assert.equal(record.destination_ip, '127.0.0.1')
    assert.equal(record.action_allowed, true)
    assert.equal(record.bytes_down, frame(list('a.B')).length)
  })

  it('is asked for uncompressed, and refused when it comes compressed all the same', async () => {
    let sent: readonly string[] = []
    const compressed = frame(list('a.Vault'))
    compressed[0] = 1
    const answer = await ask(
      (stream, raw) => {
        sent = raw
        answering(compressed)(stream)
      },
      { 'grpc-accept-encoding': 'gzip' },
    )
    assert.ok(!sent.includes('grpc-accept-encoding'))
    assert.equal(answer.error?.code, 'MESH_PEER_PROTOCOL')
    assert.equal(answer.body.length, 0)
  })

  it('passes nothing on that it cannot read', async () => {
    const broken = [
      frame(Buffer.from([0x32, 100, 1])),
      Buffer.concat([frame(list('a.B')), Buffer.from([0, 0, 0, 0, 9, 1])]),
      frame(Buffer.alloc(50_000, Buffer.from([0x08, 0x01]))),
    ]
    for (const bytes of broken) {
      const answer = await ask(answering(bytes))
      assert.equal(answer.error?.code, 'MESH_PEER_PROTOCOL', `${bytes.length} bytes`)
    }
    const huge = Buffer.alloc(5)
    huge.writeUInt32BE(64 * 1024 * 1024, 1)
    assert.equal((await ask(answering(huge))).error?.code, 'MESH_LIMIT_SIZE')
  })

  it('carries what is no answer: a refusal, HTTP, a reset, an end without a status', async () => {
    const refusal = await ask((stream) =>
      stream.respond(
        { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '12' },
        { endStream: true },
      ),
    )
    assert.equal(refusal.status, 12)
    const http = await ask((stream) => {
      stream.respond({ ':status': 503, 'content-type': 'text/html' })
      stream.end('<h1>no</h1>')
    })
    assert.equal(http.error?.code, 'MESH_PEER_LOST')
    const reset = await ask((stream) => stream.close(8))
    assert.match(reset.error?.code ?? '', /^MESH_(?:PEER_LOST|CALL_CANCELED)$/)
    const bare = await ask((stream) => {
      respond(stream)
      stream.end()
    })
    assert.equal(bare.error?.code, 'MESH_PEER_PROTOCOL')
  })

  it('says so when the connection to the peer is lost', async () => {
    const lost = await ask((stream) => {
      respond(stream)
      stream.write(frame(list('a.B')), () => stream.session?.destroy())
    })
    assert.equal(lost.error?.code, 'MESH_PEER_LOST')
    assert.equal((await ask(answering(frame(list('a.B'))))).status, 0, 'the next call dials anew')
  })

  it('ends at the peer when the caller goes', async () => {
    const gone = Promise.withResolvers<number | undefined>()
    handler = (stream) => {
      respond(stream)
      stream.write(frame(list('a.B')))
      stream.once('close', () => gone.resolve(stream.rstCode))
    }
    const stream = request(await fixture.connect(planner))
    await once(stream, 'data')
    stream.close(8)
    assert.equal(await gone.promise, 8)
  })

  it('holds little of an endless answer that nobody reads', async () => {
    let written = 0
    const piece = frame(list(...Array.from({ length: 1000 }, (_, i) => `a.B${i}`), 'a.B'))
    const filler = frame(Buffer.concat([numberField(99, 1), lengthField(98, Buffer.alloc(60_000))]))
    handler = (stream) => {
      respond(stream)
      stream.write(piece)
      const more = () => {
        while (!stream.destroyed && stream.write(filler)) written += filler.length
        written += filler.length
        if (!stream.destroyed) stream.once('drain', more)
      }
      more()
    }
    const stream = request(await fixture.connect(planner))
    await once(stream, 'response')
    stream.pause()
    let before = -1
    await waitFor(
      'the peer to be held up',
      () => {
        const still = written === before
        before = written
        return still
      },
      { everyMs: 150 },
    )
    assert.ok(written < 12 * 1024 * 1024, `${written} bytes were taken from the peer`)
    stream.close(8)
    await once(stream, 'close')
  })

  it('is limited for each tenant, and free again when calls end', async () => {
    handler = respond
    const session = await fixture.connect(planner)
    const open = async () => {
      const stream = request(session)
      const [answered] = await once(stream, 'response')
      return { stream, status: answered['grpc-status'] }
    }
    const streams = await Promise.all(Array.from({ length: 16 }, open))
    assert.ok(streams.every(({ status }) => status === undefined))
    assert.equal((await open()).status, '8')
    for (const { stream } of streams) stream.close(8)
    await waitFor('a free place', async () => {
      const answer = await ask(answering(frame(list('a.B'))))
      return answer.status === 0
    })
  })

  it('works on after thousands of calls that were cancelled', async () => {
    handler = (stream) => stream.on('error', () => {})
    const answers = async () => (await ask(answering(frame(list('a.B', 'a.Vault'))))).body
    for (let round = 0; round < 6; round += 1) {
      const session = await fixture.connect(planner)
      for (let i = 0; i < 400; i += 1) {
        request(session).close(8)
      }
      // gracefully, or at the word of the gateway that it has had enough
      session.close()
      if (!session.destroyed) await once(session, 'close')
    }
    const body = await waitFor('an answer', async () => {
      const got = await answers()
      return got.length > 0 && got
    })
    assert.deepEqual(body, frame(list('a.B')))
  })

  it('of many at once goes to the caller it is for', async () => {
    handler = (stream, raw) => {
      const id = raw[raw.indexOf('x-test') + 1] ?? ''
      answering(frame(list('a.Vault')), frame(Buffer.from(lengthField(1, Buffer.from(id)))))(stream)
    }
    const session = await fixture.connect(planner)
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, i) => call(session, { ...headers, 'x-test': `call ${i}` })),
    )
    for (const [i, { body }] of answers.entries()) {
      assert.ok(body.includes(`call ${i}`))
      assert.ok(!body.includes('Vault'))
    }
  })

  it('takes nobody for another by what stands in a header of the caller', async () => {
    handler = answering(frame(list('a.B')))
    const session = await fixture.connect(planner)
    const calls = Array.from({ length: 12 }, (_, i) => {
      // the numbers that the calls beside it may have within the gateway
      const names = Array.from({ length: 60 }, (_, n) => [String(n), 'x-mesh-reflection'])
      return call(session, {
        ...headers,
        'x-a': 'x-mesh-reflection',
        ...Object.fromEntries(names),
        'x-test': `${i}`,
      })
    })
    for (const { status } of await Promise.all(calls)) assert.equal(status, 0)
  })
})
