/** A refusal has its trailers, a reason and a hint, however many calls are refused at once and whatever else the connection carries. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type ClientHttp2Session, connect } from 'node:http2'
import tls from 'node:tls'
import { channelCredentials } from '@clawmesh/agent-sdk/calls'
import { checkIsGateway, clientTlsOptions, type IdentityStore } from '@clawmesh/agent-sdk/mesh'
import { MeshError } from '@clawmesh/proto'
import { decodeStatusDetails } from '@clawmesh/proto/wire'
import { Client, type ServiceError } from '@grpc/grpc-js'
import { createLimits } from '../../../mesh-gateway/src/limits/create-limits.ts'
import type { Limits } from '../../../mesh-gateway/src/limits/limits.ts'
import { type PausableRelay, startPausableRelay } from '../../support/pausable-relay.ts'
import { waitFor } from '../../support/wait-for.ts'
import { call, echo, type Fixture, frame, GATEWAY, makeFixture } from './fixture.ts'

const LIMITED = { allow: [{ from: 'planner', to: '*' }], limits: { callsPerMinute: 1_000_000 } }
const POLICY = { tenant: 'acme', delegation: LIMITED }
const CALLS = 50
const LAST = { endStream: true }
const MESSAGE = Buffer.from('hello')
const UNAVAILABLE = 'MESH_LIMIT_UNAVAILABLE'

describe('a refusal', () => {
  let fixture: Fixture
  let planner: IdentityStore
  let away = true
  const counted = createLimits()
  /** As limits in Redis: they answer later, and when Redis is away with an error. */
  const limits: Limits = {
    ...counted,
    async take(key, perMinute, burst) {
      await new Promise((resolve) => setImmediate(resolve))
      if (away) throw new MeshError(UNAVAILABLE)
      return counted.take(key, perMinute, burst)
    },
  }

  before(async () => {
    fixture = await makeFixture(POLICY, { limits })
    planner = await fixture.ca.open(await fixture.ca.agentDir({ tenant: 'acme', agent: 'planner' }))
    await fixture.peer('echo', echo)
  })
  beforeEach(() => {
    away = true
  })
  after(() => fixture.close())

  /** Of many calls at once, on one connection of grpc-js. */
  async function refusedTogether(authority: string): Promise<string[]> {
    const { host, port } = fixture.port.address
    const credentials = channelCredentials(planner, {
      ...{ spiffe: fixture.ca.spiffe, expect: checkIsGateway, servername: GATEWAY },
    })
    const client = new Client(`${host}:${port}`, credentials, {
      'grpc.default_authority': authority,
      'grpc.enable_retries': 0,
    })
    const pass = (bytes: Buffer) => bytes
    try {
      return await Promise.all(
        Array.from(
          { length: CALLS },
          () =>
            new Promise<string>((resolve) => {
              client.makeUnaryRequest('/test.v1.Echo/Unary', pass, pass, MESSAGE, (error) =>
                resolve(codeOf(error)),
              )
            }),
        ),
      )
    } finally {
      client.close()
    }
  }

  it('reaches each of many calls of grpc-js that are refused at once, later than they came', async () => {
    assert.deepEqual(tally(await refusedTogether('echo.acme.mesh.internal')), {
      [UNAVAILABLE]: CALLS,
    })
  })

  it('reaches each of many calls of grpc-js that are refused as they come', async () => {
    away = false
    assert.deepEqual(tally(await refusedTogether('echo.globex.mesh.internal')), {
      MESH_POLICY_NOT_ALLOWED: CALLS,
    })
  })

  it('reaches a client that goes on sending, and then asks it to stop', async () => {
    const session = await fixture.connect(planner)
    for (const authority of ['echo.acme.mesh.internal', 'echo.globex.mesh.internal']) {
      const stream = session.request({
        ...{ ':method': 'POST', ':path': '/test.v1.Echo/Unary', ':authority': authority },
        ...{ 'content-type': 'application/grpc', te: 'trailers' },
      })
      stream.on('error', () => {})
      stream.write(frame(MESSAGE))
      const [head] = await once(stream, 'response')
      assert.match(String(head['grpc-status']), /^(14|7)$/)
      stream.resume()
      await once(stream, 'close')
      assert.equal(stream.rstCode, 0)
    }
  })

  it('of a callee reaches each of many calls of grpc-js, in a head alone and in trailers', async () => {
    away = false
    const status = { 'grpc-status': '9', 'grpc-message': 'not now' }
    const head = { ':status': 200, 'content-type': 'application/grpc' }
    await fixture.peer('short', (stream) => stream.respond({ ...head, ...status }, LAST))
    await fixture.peer('brief', (stream) => {
      stream.respond(head, { waitForTrailers: true })
      stream.once('wantTrailers', () => stream.sendTrailers(status))
      stream.end()
    })
    for (const agent of ['short', 'brief'])
      assert.deepEqual(tally(await refusedTogether(`${agent}.acme.mesh.internal`)), {
        '9 not now': CALLS,
      })
  })

  describe('behind an answer that fills the connection', () => {
    let relay: PausableRelay
    let session: ClientHttp2Session
    beforeEach(async () => {
      away = false
      relay = await startPausableRelay(fixture.port.address)
      session = await connectBy(relay.port, planner, fixture)
    })
    afterEach(async () => {
      session.destroy()
      await relay.close()
    })

    /** The connection carries as much as it takes, and then nothing of what the gateway sends arrives. */
    async function fill(): Promise<void> {
      await fixture.peer('large', (stream) => {
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' })
        stream.on('drain', more)
        function more() {
          while (!stream.destroyed && stream.write(Buffer.alloc(16_384))) {}
        }
        more()
      })
      const large = session.request({
        ...{ ':method': 'POST', ':path': '/test.v1.Echo/Large' },
        ...{ ':authority': 'large.acme.mesh.internal', 'content-type': 'application/grpc' },
      })
      large.on('error', () => {})
      large.resume()
      await once(large, 'data')
      relay.pause('answers')
    }

    async function recorded(reason: string, count: number): Promise<void> {
      const seen = () => fixture.records.filter((record) => record.reason === reason).length
      while (seen() < count) await fixture.nextRecord()
    }

    it('reaches each of many calls', async () => {
      fixture.records.length = 0
      await fill()
      away = true
      const answers = Array.from({ length: CALLS }, () =>
        call(session, { ':authority': 'echo.acme.mesh.internal' }),
      )
      await recorded(UNAVAILABLE, CALLS)
      relay.resume()
      const codes = (await Promise.all(answers)).map(({ error }) => error?.code ?? 'none')
      assert.deepEqual(tally(codes), { [UNAVAILABLE]: CALLS })
    })

    it('is also the end of calls that are cut', async () => {
      fixture.records.length = 0
      await fixture.peer('holder', (stream) => {
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' })
        stream.write(frame(MESSAGE))
      })
      const holding = Array.from({ length: CALLS }, () =>
        call(session, { ':authority': 'holder.acme.mesh.internal' }),
      )
      await waitFor('the calls to run', async () =>
        (await fixture.metrics.text()).includes(`active{plane="delegation"} ${CALLS}`),
      )
      await fill()
      fixture.setPolicy({ ...POLICY, delegation: { ...LIMITED, allow: [] } })
      try {
        await recorded('MESH_POLICY_NOT_ALLOWED', CALLS + 1)
        // longer than one that is cut may take to read its reason
        await new Promise((resolve) => setTimeout(resolve, 1_000))
        relay.resume()
        const codes = (await Promise.all(holding)).map(({ error }) => error?.code ?? 'none')
        assert.deepEqual(tally(codes), { MESH_POLICY_NOT_ALLOWED: CALLS })
      } finally {
        fixture.setPolicy(POLICY)
      }
    })
  })
})

/** The code that the gateway gave; else what grpc-js makes of it. */
function codeOf(error: ServiceError | null): string {
  const [details] = error?.metadata.get('grpc-status-details-bin') ?? []
  const said = Buffer.isBuffer(details) ? decodeStatusDetails(details) : null
  return said?.code ?? `${error?.code} ${error?.details}`
}

function tally(words: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1
  return counts
}

async function connectBy(
  port: number,
  store: IdentityStore,
  fixture: Fixture,
): Promise<ClientHttp2Session> {
  const socket = tls.connect({
    ...clientTlsOptions(store.current(), fixture.ca.spiffe, checkIsGateway, {
      servername: GATEWAY,
    }),
    ...{ host: '127.0.0.1', port },
  })
  const session = connect(`https://${GATEWAY}`, { createConnection: () => socket })
  session.on('error', () => {})
  await once(session, 'remoteSettings')
  return session
}
