import assert from 'node:assert/strict'
import { once } from 'node:events'
import { constants, type ServerHttp2Stream } from 'node:http2'
import type { IdentityStore } from '@clawmesh/agent-sdk/mesh'
import { uuidV7 } from '@clawmesh/proto'
import { waitUntilStill } from '../../support/wait-for.ts'
import { call, echo, type Fixture, frame, makeFixture, OPEN_POLICY } from './fixture.ts'

describe('the delegation port', () => {
  let mesh: Fixture
  let planner: IdentityStore

  before(async () => {
    mesh = await makeFixture()
    planner = await mesh.ca.open(await mesh.ca.agentDir({ tenant: 'acme', agent: 'planner' }))
  })
  after(() => mesh.close())

  it('carries a call to the peer that :authority names, bytes unchanged, and audits it once', async () => {
    const peer = await mesh.peer('researcher', echo)
    const session = await mesh.connect(planner)
    const record = mesh.nextRecord()
    const body = frame(Buffer.from([0, 1, 2, 255, 254]))
    const answer = await call(session, { ':authority': peer.name }, body)
    assert.equal(answer.status, 0)
    assert.deepEqual(answer.body, body)
    const audited = await record
    assert.equal(audited.caller, 'spiffe://mesh.internal/tenant/acme/agent/planner')
    assert.equal(audited.callee, 'spiffe://mesh.internal/tenant/acme/agent/researcher')
    assert.equal(audited.grpc_method, 'test.v1.Echo/Unary')
    assert.equal(audited.action_allowed, true)
    assert.equal(audited.rule, 'acme.json#/delegation/allow/0')
    assert.equal(audited.grpc_status, 0)
    assert.equal(audited.destination_ip, '127.0.0.1')
    assert.equal(audited.bytes_up, body.length)
    assert.equal(audited.bytes_down, body.length)
  })

  it('does not dial itself for a client that names its port in :authority', async () => {
    const peer = await mesh.peer('beside', echo)
    const session = await mesh.connect(planner)
    const { port } = mesh.port.address
    // by DNS the port is one of the peer's, as where both are at one address
    const found = mesh.names.get(peer.name) ?? []
    mesh.names.set(peer.name, [...found, { ip: '127.0.0.1', port }])
    const named = await call(session, { ':authority': `${peer.name}:${port}` })
    assert.deepEqual([named.status, named.error?.code], [0, undefined])
    assert.equal(mesh.records.at(-1)?.destination_port, peer.port)
  })

  for (const ip of ['127.0.0.1', '127.8.8.8', '::ffff:127.0.0.1', '0.0.0.0'])
    it(`does not dial itself where DNS names it as a peer, by ${ip}`, async () => {
      const { port } = mesh.port.address
      const name = `mirror${ip.replace(/\W/g, '')}.acme.mesh.internal`
      mesh.names.set(name, [{ ip, port }])
      const session = await mesh.connect(planner)
      const refused = await call(session, { ':authority': name })
      assert.equal(refused.error?.code, 'MESH_PEER_MISMATCH')
      assert.equal(refused.error.message, `DNS names the gateway itself as ${name}`)
      assert.match(refused.error.hint, /in DNS/)
    })

  it('goes to the other address of a peer of which one is its own', async () => {
    const peer = await mesh.peer('half', echo)
    const { port } = mesh.port.address
    const found = mesh.names.get(peer.name) ?? []
    mesh.names.set(peer.name, [{ ip: '127.0.0.1', port }, ...found])
    const session = await mesh.connect(planner)
    for (let turn = 0; turn < 3; turn += 1)
      assert.equal((await call(session, { ':authority': peer.name })).status, 0)
  })

  it('tells the callee who calls, and nothing that the caller claims to be', async () => {
    let seen: readonly string[] = []
    const peer = await mesh.peer('listener', (stream, headers) => {
      seen = headers
      echo(stream)
    })
    const session = await mesh.connect(planner)
    await call(session, {
      ':authority': 'gateway.mesh.internal',
      'x-mesh-target': peer.name,
      'x-mesh-caller': 'spiffe://mesh.internal/tenant/acme/agent/root',
      'x-mesh-tenant': 'globex',
      'grpc-timeout': '10S',
      authorization: 'mine',
    })
    const got = new Map<string, string[]>()
    for (let i = 0; i < seen.length; i += 2)
      got.set(seen[i] ?? '', [...(got.get(seen[i] ?? '') ?? []), seen[i + 1] ?? ''])
    assert.deepEqual(got.get('x-mesh-caller'), ['spiffe://mesh.internal/tenant/acme/agent/planner'])
    assert.deepEqual(got.get('x-mesh-tenant'), ['acme'])
    assert.equal(got.has('x-mesh-delegation'), false)
    assert.equal(got.has('x-mesh-target'), false)
    assert.deepEqual(got.get(':authority'), [peer.name])
    assert.deepEqual(got.get('authorization'), ['mine'])
    assert.match(got.get('traceparent')?.[0] ?? '', /^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$/)
    const left = Number(/^(\d+)m$/.exec(got.get('grpc-timeout')?.[0] ?? '')?.[1])
    assert.ok(left > 5_000 && left <= 10_000, String(left))
  })

  it('refuses a caller that presents a delegation token which is not the mesh’s', async () => {
    const peer = await mesh.peer('listener-2', echo)
    const session = await mesh.connect(planner)
    for (const forged of ['forged', 'a.b.c', 'x'.repeat(10_000)]) {
      const answer = await call(session, { ':authority': peer.name, 'x-mesh-delegation': forged })
      assert.equal(answer.status, 16)
      assert.match(answer.error?.code ?? '', /^MESH_TOKEN_/)
    }
  })

  it('refuses a caller without a certificate, and one of another CA, with the reason', async () => {
    const other = await makeFixture()
    try {
      const stranger = await other.ca.open(
        await other.ca.agentDir({ tenant: 'acme', agent: 'planner' }),
      )
      const current = stranger.current()
      // trusts this mesh's roots, but presents the other's certificate
      const session = await mesh.connect({
        ...stranger,
        current: () => ({ ...current, roots: planner.current().roots }),
      })
      const answer = await call(session, { ':authority': 'researcher.acme.mesh.internal' })
      assert.equal(answer.status, 16)
      assert.equal(answer.error?.code, 'MESH_IDENTITY_UNTRUSTED')
      await once(session, 'close')
    } finally {
      await other.close()
    }
  })

  it('refuses what policy does not allow, and names the rule of a deny', async () => {
    const peer = await mesh.peer('guarded', echo)
    const session = await mesh.connect(planner)
    mesh.setPolicy({
      tenant: 'acme',
      delegation: {
        allow: [{ from: 'planner', to: '*', methods: ['other.v1.Service/*'] }],
        deny: [{ from: '*', to: 'secret' }],
      },
    })
    try {
      const refused = await call(session, { ':authority': peer.name })
      assert.equal(refused.status, 7)
      assert.equal(refused.error?.code, 'MESH_POLICY_NOT_ALLOWED')
      const denied = await call(session, { ':authority': 'secret.acme.mesh.internal' })
      assert.equal(denied.error?.code, 'MESH_POLICY_DENIED')
      assert.equal(denied.error?.facts.rule, 'acme.json#/delegation/deny/0')
    } finally {
      mesh.setPolicy(OPEN_POLICY)
    }
  })

  it('answers a name that does not resolve, an address that does not answer, and another name', async () => {
    const session = await mesh.connect(planner)
    const unresolved = await call(session, { ':authority': 'nobody.acme.mesh.internal' })
    assert.equal(unresolved.status, 14)
    assert.equal(unresolved.error?.code, 'MESH_PEER_UNRESOLVED')
    const gone = await mesh.peer('gone', echo)
    await gone.close()
    const unreachable = await call(session, { ':authority': gone.name })
    assert.equal(unreachable.error?.code, 'MESH_PEER_UNREACHABLE')
    const unknown = await call(session, { ':authority': 'example.com' })
    assert.equal(unknown.status, 5)
    assert.equal(unknown.error?.code, 'MESH_ROUTE_UNKNOWN')
  })

  it('goes on with what DNS said last while DNS does not answer, and says so', async () => {
    const peer = await mesh.peer('steady', echo)
    const session = await mesh.connect(planner)
    assert.equal((await call(session, { ':authority': peer.name })).status, 0)
    try {
      for (const kind of ['timeout', 'failed'] as const) {
        mesh.failDns(kind)
        assert.equal((await call(session, { ':authority': peer.name })).status, 0)
        // a name that was never resolved has no last answer
        const other = await call(session, { ':authority': 'new.acme.mesh.internal' })
        assert.equal(other.error?.code, 'MESH_PEER_UNRESOLVED')
      }
      assert.match(
        await mesh.metrics.text(),
        /clawmesh_dns_stale_total\{plane="delegation"\} [1-9]/,
      )
    } finally {
      mesh.failDns(null)
    }
  })

  it('follows DNS at once when it says that the name is gone', async () => {
    const peer = await mesh.peer('leaver', echo)
    const session = await mesh.connect(planner)
    assert.equal((await call(session, { ':authority': peer.name })).status, 0)
    mesh.names.delete(peer.name)
    const answer = await call(session, { ':authority': peer.name })
    assert.equal(answer.error?.code, 'MESH_PEER_UNRESOLVED')
  })

  it('spreads calls over all addresses, and avoids one that fails without failing a call', async () => {
    const counts = [0, 0]
    const store = await mesh.ca.open(await mesh.ca.agentDir({ tenant: 'acme', agent: 'pair' }))
    const counted = (i: number) => (stream: ServerHttp2Stream) => {
      counts[i] = (counts[i] ?? 0) + 1
      echo(stream)
    }
    const one = await mesh.peer('pair', counted(0), store)
    const two = await mesh.peer('pair', counted(1), store)
    const both = [one, two].map(({ port }) => ({ ip: '127.0.0.1', port }))
    mesh.names.set(one.name, both)
    const session = await mesh.connect(planner)
    const twenty = async () => {
      for (let i = 0; i < 20; i += 1)
        assert.equal((await call(session, { ':authority': one.name })).status, 0)
    }
    await twenty()
    assert.ok(
      counts.every((count) => count >= 5),
      String(counts),
    )
    await one.close()
    await twenty()
    assert.equal(counts[0] !== undefined && counts[0] < 20, true)
  })

  it('follows DNS from replica to replica without a failed call', async () => {
    const store = await mesh.ca.open(await mesh.ca.agentDir({ tenant: 'acme', agent: 'moving' }))
    const reached = new Set<number>()
    const replicas = await Promise.all(
      [0, 1, 2].map((i) =>
        mesh.peer(
          'moving',
          (stream) => {
            reached.add(i)
            // long enough to be under way when DNS changes
            setTimeout(() => echo(stream), 5)
          },
          store,
        ),
      ),
    )
    const name = 'moving.acme.mesh.internal'
    const session = await mesh.connect(planner)
    const running: Promise<{ status: number }>[] = []
    for (const { port } of [...replicas, ...replicas]) {
      mesh.names.set(name, [{ ip: '127.0.0.1', port }])
      const calls = Array.from({ length: 20 }, () => call(session, { ':authority': name }))
      running.push(...calls)
      // the next change comes when one has ended and the others run
      await Promise.race(calls)
    }
    const answers = await Promise.all(running)
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([0]))
    assert.equal(reached.size, 3)
  })

  it('sends calls about a delegation to the replica that holds it, whatever comes and goes', async () => {
    const store = await mesh.ca.open(await mesh.ca.agentDir({ tenant: 'acme', agent: 'many' }))
    const seen: [replica: number, id: string][] = []
    const noting = (replica: number) => (stream: ServerHttp2Stream, headers: readonly string[]) => {
      seen.push([replica, headers[headers.indexOf('x-case') + 1] ?? ''])
      echo(stream)
    }
    const peers = [
      await mesh.peer('many', noting(0), store),
      await mesh.peer('many', noting(1), store),
      await mesh.peer('many', noting(2), store),
    ]
    const [first] = peers
    assert.ok(first)
    const at = (...indices: number[]) =>
      mesh.names.set(
        first.name,
        indices
          .flatMap((i) => peers.slice(i, i + 1))
          .map(({ port }) => ({ ip: '127.0.0.1', port })),
      )
    const session = await mesh.connect(planner)
    const about = async (id: string, path: string, more: Record<string, string> = {}) => {
      const answer = await call(session, {
        ':authority': first.name,
        ':path': `/clawmesh.delegation.v1.DelegationService/${path}`,
        'x-mesh-delegation-id': id,
        'x-case': id,
        ...more,
      })
      assert.equal(answer.status, 0)
      return String(answer.headers['x-mesh-replica'])
    }
    at(0, 1)
    const ids = Array.from({ length: 8 }, () => uuidV7())
    const marks = new Map<string, string>()
    for (const id of ids) marks.set(id, await about(id, 'Delegate'))
    // one more replica; then the ones that hold them leave DNS, but go on
    for (const names of [[0, 1, 2], [2]]) {
      at(...names)
      for (const id of ids) assert.equal(await about(id, 'Watch'), marks.get(id))
    }
    // a gateway that has not seen the delegation goes by the mark that it is shown
    for (const id of ids)
      assert.equal(
        await about(uuidV7(), 'Watch', { 'x-mesh-replica': marks.get(id) ?? '', 'x-case': id }),
        marks.get(id),
      )
    for (const id of ids)
      assert.equal(new Set(seen.filter(([, of]) => of === id).map(([replica]) => replica)).size, 1)
    assert.ok(new Set(seen.map(([replica]) => replica)).size > 1, 'all went to one replica')
    // nonsense in place of a mark changes nothing
    await about(uuidV7(), 'Watch', { 'x-mesh-replica': '../../etc/passwd' })
  })

  it('refuses a peer whose certificate names someone else', async () => {
    const writer = await mesh.ca.open(await mesh.ca.agentDir({ tenant: 'acme', agent: 'writer' }))
    const peer = await mesh.peer('impostor', echo, writer)
    const session = await mesh.connect(planner)
    const answer = await call(session, { ':authority': peer.name })
    assert.equal(answer.status, 14)
    assert.equal(answer.error?.code, 'MESH_PEER_MISMATCH')
    assert.deepEqual(answer.body.length, 0)
  })

  it('hands on a trailers-only answer, metadata and details of the callee', async () => {
    const peer = await mesh.peer('refuser', (stream) => {
      stream.respond(
        {
          ':status': 200,
          'content-type': 'application/grpc',
          'grpc-status': '9',
          'grpc-message': 'no',
          tag: ['a', 'b'],
        },
        { endStream: true },
      )
    })
    const session = await mesh.connect(planner)
    const answer = await call(session, { ':authority': peer.name })
    assert.equal(answer.status, 9)
    assert.equal(answer.message, 'no')
    assert.equal(answer.headers.tag, 'a, b')
  })

  it('makes a status of an answer that is not gRPC, of a reset, and of an end without trailers', async () => {
    const session = await mesh.connect(planner)
    const html = await mesh.peer('html', (stream) => {
      stream.respond({ ':status': 503, 'content-type': 'text/html' })
      stream.end('<h1>no</h1>')
    })
    const first = await call(session, { ':authority': html.name })
    assert.equal(first.status, 14)
    assert.equal(first.error?.code, 'MESH_PEER_LOST')
    const resetter = await mesh.peer('resetter', (stream) =>
      stream.close(constants.NGHTTP2_REFUSED_STREAM),
    )
    const second = await call(session, { ':authority': resetter.name })
    assert.equal(second.status, 14)
    const silent = await mesh.peer('silent', (stream) => {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' })
      stream.end(frame(Buffer.from('x')))
    })
    const third = await call(session, { ':authority': silent.name })
    assert.equal(third.status, 13)
    assert.equal(third.error?.code, 'MESH_PEER_PROTOCOL')
  })

  it('ends a call in its trailers when the peer dies in the middle of an answer', async () => {
    const peer = await mesh.peer('dying', (stream) => {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' })
      stream.write(frame(Buffer.from('part')))
      stream.once('data', () => stream.session?.destroy())
    })
    const session = await mesh.connect(planner)
    const answer = await call(session, { ':authority': peer.name })
    assert.equal(answer.status, 14)
    assert.equal(answer.error?.code, 'MESH_PEER_LOST')
  })

  it('carries cancellation to the callee at once', async () => {
    let ended: (rstCode: number) => void = () => {}
    const cancelled = new Promise<number>((resolve) => {
      ended = resolve
    })
    let reached: () => void = () => {}
    const arrived = new Promise<void>((resolve) => {
      reached = resolve
    })
    const peer = await mesh.peer('slow', (stream) => {
      stream.once('close', () => ended(stream.rstCode ?? -1))
      reached()
    })
    const session = await mesh.connect(planner)
    const record = mesh.nextRecord()
    const stream = session.request({
      ':method': 'POST',
      ':path': '/test.v1.Echo/Unary',
      ':authority': peer.name,
      'content-type': 'application/grpc',
    })
    stream.on('error', () => {})
    await arrived
    stream.close(constants.NGHTTP2_CANCEL)
    assert.equal(await cancelled, constants.NGHTTP2_CANCEL)
    assert.equal((await record).reason, 'MESH_CALL_CANCELED')
  })

  it('ends a call whose deadline has passed, on both sides', async () => {
    let ended: (rstCode: number) => void = () => {}
    const cancelled = new Promise<number>((resolve) => {
      ended = resolve
    })
    const peer = await mesh.peer('late', (stream) => {
      stream.once('close', () => ended(stream.rstCode ?? -1))
    })
    const session = await mesh.connect(planner)
    const answer = await call(session, { ':authority': peer.name, 'grpc-timeout': '100m' })
    assert.equal(answer.status, 4)
    assert.equal(answer.error?.code, 'MESH_CALL_DEADLINE')
    assert.equal(await cancelled, constants.NGHTTP2_CANCEL)
  })

  it('answers deadlines of any size', async () => {
    const peer = await mesh.peer('patient', echo)
    const session = await mesh.connect(planner)
    for (const timeout of ['99999999H', '597H', '99999999n', '1M'])
      assert.equal(
        (await call(session, { ':authority': peer.name, 'grpc-timeout': timeout })).status,
        0,
      )
    const malformed = await call(session, { ':authority': peer.name, 'grpc-timeout': '1' })
    assert.equal(malformed.status, 3)
  }).timeout(60_000)

  it('streams 16 MiB each way under back-pressure, unchanged', async () => {
    const peer = await mesh.peer('bulk', echo)
    const session = await mesh.connect(planner)
    const body = Buffer.alloc(16 << 20, 'clawmesh')
    const answer = await call(session, { ':authority': peer.name }, body)
    assert.equal(answer.status, 0)
    assert.ok(answer.body.equals(body))
  })

  it('holds back a callee whose caller does not read', async () => {
    let sent = 0
    const peer = await mesh.peer('flooder', (stream: ServerHttp2Stream) => {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' })
      const chunk = Buffer.alloc(65_536)
      const more = () => {
        while (sent < 256 << 20 && stream.write(chunk)) sent += chunk.length
      }
      stream.on('drain', more)
      more()
    })
    const session = await mesh.connect(planner)
    const stream = session.request({
      ':method': 'POST',
      ':path': '/test.v1.Echo/Unary',
      ':authority': peer.name,
      'content-type': 'application/grpc',
    })
    stream.on('error', () => {})
    stream.end()
    await once(stream, 'response')
    await waitUntilStill('what the callee sends', () => sent)
    assert.ok(sent < 8 << 20, `${sent} bytes were taken from the callee`)
    stream.close(constants.NGHTTP2_CANCEL)
  })

  it('opens another session when the peer takes no more streams on one', async () => {
    const held: ServerHttp2Stream[] = []
    const peer = await mesh.peer('busy', (stream) => {
      held.push(stream)
      if (held.length === 250) for (const one of held) echo(one)
    })
    const session = await mesh.connect(planner)
    // node's servers take 100 streams a session unless told otherwise
    const answers = await Promise.all(
      Array.from({ length: 250 }, () => call(session, { ':authority': peer.name })),
    )
    assert.deepEqual(new Set(answers.map((answer) => answer.status)), new Set([0]))
  })

  it('answers plain HTTP to what is not gRPC', async () => {
    const session = await mesh.connect(planner)
    const answer = await call(session, {
      ':authority': 'gateway.mesh.internal',
      'content-type': 'application/json',
    })
    assert.equal(answer.headers[':status'], 415)
    assert.equal(JSON.parse(String(answer.body)).code, 'MESH_ROUTE_NOT_GRPC')
  })

  it('holds an agent to its rate and to its streams', async () => {
    const peer = await mesh.peer('limited', echo)
    const session = await mesh.connect(planner)
    mesh.setPolicy({
      ...OPEN_POLICY,
      delegation: { ...OPEN_POLICY.delegation, limits: { callsPerMinute: 10 } },
    })
    try {
      assert.equal((await call(session, { ':authority': peer.name })).status, 0)
      const refused = await call(session, { ':authority': peer.name })
      assert.equal(refused.status, 8)
      assert.equal(refused.error?.code, 'MESH_RATE_LIMITED')
      assert.ok((refused.error?.retryAfterMs ?? 0) > 1_000)
    } finally {
      mesh.setPolicy(OPEN_POLICY)
    }
  })
})
