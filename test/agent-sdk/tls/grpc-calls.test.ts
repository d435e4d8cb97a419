import assert from 'node:assert/strict'
import { once } from 'node:events'
import { join } from 'node:path'
import tls from 'node:tls'
import {
  type CallListener,
  channelCredentials,
  listenForCalls,
  serverCredentials,
} from '@clawmesh/agent-sdk/calls'
import {
  checkIsGateway,
  type IdentitySnapshot,
  type IdentityStore,
  loadIdentity,
  type PeerCertificate,
  type PeerCheck,
} from '@clawmesh/agent-sdk/mesh'
import { writeIdentity } from '@clawmesh/pki'
import { MeshError } from '@clawmesh/proto'
import * as grpc from '@grpc/grpc-js'
import { issueBy, makeTestCa, spiffe, type TestCa } from '../../support/test-ca.ts'
import { waitFor } from '../../support/wait-for.ts'

const bytes = (value: Buffer) => value
const codec = {
  requestSerialize: bytes,
  requestDeserialize: bytes,
  responseSerialize: bytes,
  responseDeserialize: bytes,
}
const WHO = '/test.Test/Who'
const ECHO = '/test.Test/Echo'
const service = {
  who: { path: WHO, requestStream: false, responseStream: false, ...codec },
  echo: { path: ECHO, requestStream: true, responseStream: true, ...codec },
}

describe('grpc calls with the identity of a store', () => {
  let ca: TestCa
  let agents: IdentityStore
  let gateways: IdentityStore
  let server: grpc.Server
  let listener: CallListener
  let nowMs: (() => number) | null = null
  let onEcho: ((call: grpc.ServerDuplexStream<Buffer, Buffer>) => void) | null = null
  const clients: grpc.Client[] = []

  before(async () => {
    ca = await makeTestCa()
  })
  after(() => ca.close())
  beforeEach(async () => {
    await ca.issue('agent', 'planner')
    await ca.issue('gateway', 'gateway')
    agents = await ca.open('agent')
    gateways = await ca.open('gateway')
    server = new grpc.Server()
    server.addService(service, {
      who(call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) {
        try {
          done(null, Buffer.from(listener.peerOf(call).fingerprint))
        } catch (error) {
          const details = error instanceof MeshError ? error.code : String(error)
          done({ code: grpc.status.UNAUTHENTICATED, details })
        }
      },
      echo(call: grpc.ServerDuplexStream<Buffer, Buffer>) {
        onEcho?.(call)
        call.on('data', (chunk) => call.write(chunk))
        call.on('end', () => call.end())
        call.on('error', () => {})
      },
    })
    nowMs = null
    onEcho = null
    const now = () => nowMs?.() ?? Date.now()
    listener = await listenForCalls({ server, store: gateways, spiffe, refusedMs: 300, now })
  })
  afterEach(async () => {
    for (const client of clients.splice(0)) client.close()
    await listener.close()
    server.forceShutdown()
    await Promise.all([agents.close(), gateways.close()])
  })

  interface Dial {
    readonly expect?: PeerCheck
    readonly onPeer?: (peer: PeerCertificate) => void
    readonly onRefused?: (error: MeshError) => void
  }
  function dial({ expect = checkIsGateway, ...rest }: Dial = {}, store = agents): grpc.Client {
    return client(channelCredentials(store, { spiffe, expect, ...rest }))
  }
  function client(credentials: grpc.ChannelCredentials, port = listener.address.port): grpc.Client {
    const made = new grpc.Client(`127.0.0.1:${port}`, credentials, { 'grpc.enable_http_proxy': 0 })
    clients.push(made)
    return made
  }
  function who(by: grpc.Client): Promise<string> {
    return new Promise((resolve, reject) => {
      const deadline = Date.now() + 15_000
      const done: grpc.requestCallback<Buffer> = (error, value) =>
        error === null && value !== undefined ? resolve(String(value)) : reject(error)
      by.makeUnaryRequest(WHO, bytes, bytes, Buffer.alloc(0), { deadline }, done)
    })
  }
  async function rotate(
    dir: string,
    name: string,
    store: IdentityStore,
  ): Promise<IdentitySnapshot> {
    const changed = new Promise<IdentitySnapshot>((resolve) => {
      const end = store.onChange((snapshot) => {
        end()
        resolve(snapshot)
      })
    })
    await ca.issue(dir, name)
    return changed
  }

  it('show the server who calls, and the client who serves', async () => {
    let seen = ''
    const caller = dial({ onPeer: (peer) => (seen = peer.fingerprint) })
    assert.equal(await who(caller), agents.current().fingerprint)
    assert.equal(seen, gateways.current().fingerprint)
  })

  it('go on through 20 rotations on both sides; new connections use the new certificates', async () => {
    let peer = ''
    const make = () => dial({ onPeer: (certificate) => (peer = certificate.fingerprint) })
    let current = make()
    const lasting = current.makeBidiStreamRequest(ECHO, bytes, bytes)
    lasting.on('error', (error) => failures.push(error))
    const failures: unknown[] = []
    const callers = new Set<string>()
    let running = true
    const load = Array.from({ length: 2 }, async () => {
      while (running) {
        const caller = await who(current).catch((error: unknown) => {
          failures.push(error)
          return ''
        })
        callers.add(caller)
      }
    })
    for (let round = 1; round <= 20; round += 1) {
      const [agent, gateway] = await Promise.all([
        rotate('agent', 'planner', agents),
        rotate('gateway', 'gateway', gateways),
      ])
      const old = current
      current = make()
      assert.equal(await who(current), agent.fingerprint)
      assert.equal(peer, gateway.fingerprint)
      // its calls end by themselves
      old.close()
      lasting.write(Buffer.from(`${round}`))
      const [echo] = await once(lasting, 'data')
      assert.equal(String(echo), `${round}`)
    }
    running = false
    await Promise.all(load)
    lasting.end()
    assert.deepEqual(failures, [])
    assert.ok(callers.size >= 20)
    assert.equal(agents.current().generation, 21)
  })

  it('move to the new certificate on one channel too, when its connection is made again', async () => {
    const caller = dial()
    const old = await who(caller)
    const { fingerprint } = await rotate('agent', 'planner', agents)
    assert.equal(await who(caller), old, 'an open connection keeps its certificate')
    const { port } = listener.address
    await listener.drain(5_000)
    listener = await listenForCalls({ server, store: gateways, spiffe, port })
    await new Promise<void>((resolve, reject) =>
      caller.waitForReady(Date.now() + 15_000, (error) => (error ? reject(error) : resolve())),
    )
    assert.equal(await who(caller), fingerprint)
  })

  it('are not made to a server that is no gateway, and the reason is told', async () => {
    await ca.issue('impostor', 'impostor')
    const impostor = new grpc.Server()
    const other = await listenForCalls({
      server: impostor,
      store: await ca.open('impostor'),
      spiffe,
    })
    const reasons: string[] = []
    const credentials = channelCredentials(agents, {
      spiffe,
      expect: checkIsGateway,
      onRefused: ({ code }) => reasons.push(code),
    })
    await assert.rejects(who(client(credentials, other.address.port)), {
      code: grpc.status.UNAVAILABLE,
    })
    assert.equal(reasons[0], 'MESH_GATEWAY_UNTRUSTED')
    await other.close()
    impostor.forceShutdown()
  })

  const refusal = (code: string) => ({ code: grpc.status.UNAUTHENTICATED, details: code })
  const plain = (key?: IdentitySnapshot) =>
    client(
      grpc.credentials.createFromSecureContext(
        tls.createSecureContext({
          ca: gateways.current().roots.map(({ pem }) => pem),
          ...(key === undefined
            ? {}
            : { cert: key.certificateChain, key: key.privateKey.reveal() }),
        }),
        { checkServerIdentity: () => undefined },
      ),
    )

  it('without a certificate, or with one of another CA, are refused with the reason', async () => {
    await assert.rejects(who(plain()), refusal('MESH_IDENTITY_NO_CERTIFICATE'))
    await writeIdentity(join(ca.dir, 'foreign'), issueBy(await ca.otherCa(), 'planner'))
    const foreign = await loadIdentity(join(ca.dir, 'foreign'), { spiffe })
    await assert.rejects(who(plain(foreign)), refusal('MESH_IDENTITY_UNTRUSTED'))
  })

  it('without a good certificate lose their connection soon', async () => {
    const socket = tls.connect({
      port: listener.address.port,
      host: '127.0.0.1',
      ca: gateways.current().roots.map(({ pem }) => pem),
      servername: '',
      ALPNProtocols: ['h2'],
      checkServerIdentity: () => undefined,
    })
    socket.resume()
    await once(socket, 'close')
  })

  it('are known by their certificate though another connection with the same one has gone', async () => {
    const begin = async () => {
      const by = dial()
      const stream = by.makeBidiStreamRequest(ECHO, bytes, bytes)
      stream.on('error', () => {})
      const call = new Promise<grpc.ServerDuplexStream<Buffer, Buffer>>((resolve) => {
        onEcho = resolve
      })
      stream.write(Buffer.from('x'))
      const end = () => {
        stream.cancel()
        by.close()
      }
      return { end, call: await call }
    }
    const sockets = () =>
      process.getActiveResourcesInfo().filter((what) => what === 'TCPSocketWrap').length
    const [one, other] = [await begin(), await begin()]
    const open = sockets()
    one.end()
    await waitFor('both ends of the first to close', () => sockets() === open - 2)
    assert.equal(listener.peerOf(other.call).fingerprint, agents.current().fingerprint)
    assert.throws(() => listener.peerOf(one.call), { code: 'MESH_IDENTITY_NO_CERTIFICATE' })
    other.end()
  })

  it('are refused on an open connection once the certificate has expired', async () => {
    const caller = dial()
    await who(caller)
    nowMs = () => agents.current().notAfter.getTime() + 1
    await assert.rejects(who(caller), refusal('MESH_IDENTITY_EXPIRED'))
  })

  it('end with their connection when its CA leaves the bundle', async () => {
    const caller = dial()
    await who(caller)
    const stream = caller.makeBidiStreamRequest(ECHO, bytes, bytes)
    stream.write(Buffer.from('x'))
    await once(stream, 'data')
    const broken = once(stream, 'error')
    await writeIdentity(join(ca.dir, 'gateway'), issueBy(await ca.otherCa(), 'gateway'))
    const [error] = await broken
    assert.ok(error instanceof Error)
  })

  it('find a server that drains: running calls end well, and everything is closed', async () => {
    const caller = dial()
    const stream = caller.makeBidiStreamRequest(ECHO, bytes, bytes)
    stream.write(Buffer.from('x'))
    await once(stream, 'data')
    const drained = listener.drain(10_000)
    stream.write(Buffer.from('y'))
    const [echo] = await once(stream, 'data')
    assert.equal(String(echo), 'y')
    stream.end()
    stream.resume()
    const [status] = await once(stream, 'status')
    assert.equal(status.code, grpc.status.OK)
    await drained
  })

  it('do not wait for a client that never ends: the grace is over some time', async () => {
    const stream = dial().makeBidiStreamRequest(ECHO, bytes, bytes)
    stream.on('error', () => {})
    stream.write(Buffer.from('x'))
    await once(stream, 'data')
    await listener.drain(50)
  })

  it('come to a port that is free: a taken one is an error', async () => {
    const { port } = listener.address
    const second = new grpc.Server()
    await assert.rejects(listenForCalls({ server: second, store: gateways, spiffe, port }), {
      code: 'EADDRINUSE',
    })
    second.forceShutdown()
  })

  it('work with a server that binds itself, which cuts off who has no certificate', async () => {
    const bound = new grpc.Server()
    bound.addService(service, {
      who(call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) {
        done(
          null,
          Buffer.from(call.getAuthContext().sslPeerCertificate?.fingerprint256 ?? 'nobody'),
        )
      },
      echo() {},
    })
    const port = await new Promise<number>((resolve, reject) =>
      bound.bindAsync('127.0.0.1:0', serverCredentials(gateways), (error, bindPort) =>
        error === null ? resolve(bindPort) : reject(error),
      ),
    )
    for (let round = 0; round < 3; round += 1) {
      let shown = ''
      const credentials = channelCredentials(agents, {
        spiffe,
        expect: checkIsGateway,
        onPeer: ({ fingerprint }) => (shown = fingerprint),
      })
      const caller = await who(client(credentials, port))
      assert.equal(caller.replaceAll(':', '').toLowerCase(), agents.current().fingerprint)
      assert.equal(shown, gateways.current().fingerprint)
      const old = tls.connect({
        port,
        host: '127.0.0.1',
        ca: gateways.current().roots.map(({ pem }) => pem),
        servername: '',
        maxVersion: 'TLSv1.2',
      })
      const [error]: NodeJS.ErrnoException[] = await once(old, 'error')
      assert.match(error?.code ?? '', /PROTOCOL_VERSION/)
      await rotate('gateway', 'gateway', gateways)
    }
    const context = tls.createSecureContext({ ca: gateways.current().roots.map(({ pem }) => pem) })
    const nobody = grpc.credentials.createFromSecureContext(context, {
      checkServerIdentity: () => undefined,
    })
    await assert.rejects(who(client(nobody, port)), { code: grpc.status.UNAVAILABLE })
    bound.forceShutdown()
  })
})
