import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { ClientHttp2Session, ClientHttp2Stream, ServerHttp2Stream } from 'node:http2'
import { join } from 'node:path'
import tls from 'node:tls'
import { silentLog } from '@clawmesh/agent-sdk'
import {
  checkIsGateway,
  clientTlsOptions,
  type IdentityStore,
  loadIdentity,
  writeAtomic,
} from '@clawmesh/agent-sdk/mesh'
import { revoke, writeIdentity } from '@clawmesh/pki'
import type { ErrorCode, MeshError } from '@clawmesh/proto'
import { decodeStatusDetails } from '@clawmesh/proto/wire'
import type { RevocationKind } from '../../../../mesh-gateway/src/revocation/entry.ts'
import { addToList, beginList } from '../../../../mesh-gateway/src/revocation/list-file.ts'
import {
  NO_REVOCATIONS,
  openRevocations,
  type Revocations,
  type RevocationsHandle,
} from '../../../../mesh-gateway/src/revocation/revocations.ts'
import { makeTestCa } from '../../../support/test-ca.ts'
import { waitFor, waitUntilStill } from '../../../support/wait-for.ts'
import { call, echo, type Fixture, frame, GATEWAY, makeFixture } from '../fixture.ts'

const DELEGATE = '/clawmesh.delegation.v1.DelegationService/Delegate'
const ALLOW = { tenant: 'acme', delegation: { allow: [{ from: '*', to: '*' }] } }
const NOTHING = { tenant: 'acme', delegation: { allow: [] } }

interface Ended {
  readonly error: MeshError | null
  readonly rstCode: number
  readonly grpcStatus: string
}

describe('a live stream', function () {
  this.timeout(120_000)
  let fixture: Fixture
  let revocations: RevocationsHandle
  let caller: IdentityStore
  let session: ClientHttp2Session
  let list: string
  let crl: string
  const listeners = new Set<() => void>()
  /** What was read of lists, and whether it was good. */
  const reloads: (readonly [what: string, ok: boolean])[] = []
  let controls = 0
  let inner: Revocations = NO_REVOCATIONS
  /** What is opened once the CA of the fixture is there. */
  const late: Revocations = {
    certificate: (peer) => inner.certificate(peer),
    agent: (id) => inner.agent(id),
    chain: (txn, actors) => inner.chain(txn, actors),
    token: (jti) => inner.token(jti),
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }

  beforeEach(async () => {
    inner = NO_REVOCATIONS
    fixture = await makeFixture(ALLOW, { revocations: late })
    const { ca } = fixture
    list = join(ca.dir, 'revoked.json')
    await beginList(list, Date.now())
    crl = join(ca.dir, 'crl.pem')
    await writeAtomic(crl, (await ca.ca.crl()).pem)
    const { spiffe } = ca
    const gateway = await loadIdentity(join(ca.dir, 'gateway-gw-1'), { spiffe })
    revocations = await openRevocations({
      crl,
      list,
      stale: 'refuse',
      identity: { current: () => gateway },
      log: silentLog,
      metrics: {
        reload: (what, ok) => reloads.push([what, ok]),
        crlNextUpdate() {},
        revocations() {},
      },
      pollMs: 50,
    })
    inner = revocations
    revocations.onChange(() => {
      for (const listener of listeners) listener()
    })
    caller = await ca.open(await ca.agentDir({ tenant: 'acme', agent: 'planner' }))
    session = await fixture.connect(caller)
  })
  afterEach(async () => {
    await fixture.close()
    await revocations.close()
    listeners.clear()
  })

  /** Answers with one message, and then no more. */
  const hold = () => fixture.peer('holder', keepOpen)
  function keepOpen(stream: ServerHttp2Stream): void {
    stream.respond(
      { ':status': 200, 'content-type': 'application/grpc' },
      { waitForTrailers: true },
    )
    stream.write(frame(Buffer.from('first')))
  }
  async function opened(on: ClientHttp2Session, name: string, path = DELEGATE, more = {}) {
    const stream = on.request({
      ':method': 'POST',
      ':path': path,
      ':authority': name,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...more,
    })
    stream.on('error', () => {})
    const ended = endOf(stream)
    await Promise.race([once(stream, 'data'), ended])
    return { stream, ended }
  }
  async function endOf(stream: ClientHttp2Stream): Promise<Ended> {
    let last: Record<string, unknown> = {}
    stream.on('response', (headers) => {
      if ('grpc-status' in headers) last = headers
    })
    stream.on('trailers', (headers) => {
      last = headers
    })
    await once(stream, 'close')
    const details = last['grpc-status-details-bin']
    return {
      error:
        typeof details === 'string' ? decodeStatusDetails(Buffer.from(details, 'base64')) : null,
      rstCode: stream.rstCode ?? 0,
      grpcStatus: String(last['grpc-status']),
    }
  }
  const add = (kind: RevocationKind, value: string) =>
    addToList(
      list,
      { kind, value, reason: null, since: new Date().toISOString(), until: null },
      Date.now(),
    )
  /** Does what makes the gateway read a list anew, and resolves when it has. */
  async function reloaded(
    what: 'crl' | 'revocations',
    ok: boolean,
    change: () => Promise<unknown>,
  ) {
    const from = reloads.length
    await change()
    await waitFor(`${what} to be read`, () =>
      reloads.slice(from).some(([which, how]) => which === what && how === ok),
    )
  }
  /** Resolves when all that is open has been judged once more: a stream is revoked, opened later than those, and is cut. */
  async function judgedOnce(name: string) {
    controls += 1
    const agent = `control-${controls}`
    const { ca } = fixture
    const control = await ca.open(await ca.agentDir({ tenant: 'acme', agent }))
    const { ended } = await opened(await fixture.connect(control), name)
    await add('certificate', control.current().fingerprint)
    await ended
  }
  /** Cuts one, and tells its caller. */
  async function isCut(ended: Promise<Ended>, code: ErrorCode, resume: boolean) {
    const { error } = await ended
    assert.equal(error?.code, code)
    assert.equal(error?.facts.resume, resume ? 'watch' : undefined)
    const record = fixture.records.findLast((one) => one.grpc_method?.endsWith('Delegate'))
    assert.equal(record?.reason, code)
    assert.equal(record?.grpc_status, Number((await ended).grpcStatus))
    // it was let through, and then cut
    assert.equal(record?.action_allowed, true)
    return error
  }

  it('ends when the certificate of its caller is revoked here; one that is renewed goes on', async () => {
    const { name } = await hold()
    const { ended } = await opened(session, name)
    await add('certificate', caller.current().fingerprint)
    await isCut(ended, 'MESH_IDENTITY_REVOKED', true)
    const again = await call(session, { ':authority': name, ':path': DELEGATE })
    assert.equal(again.error?.code, 'MESH_IDENTITY_REVOKED')
    assert.equal(again.error?.facts.resume, undefined)
    await fixture.peer('echo', echo)
    const renewed = await fixture.ca.open(
      await fixture.ca.agentDir({ tenant: 'acme', agent: 'planner' }),
    )
    const fresh = await fixture.connect(renewed)
    assert.equal((await call(fresh, { ':authority': 'echo.acme.mesh.internal' })).status, 0)
    assert.match(
      await fixture.metrics.text(),
      /clawmesh_streams_cut_total\{plane="delegation",reason="MESH_IDENTITY_REVOKED"\} 1/,
    )
  })

  it('ends when the CA revokes its caller’s certificate; a broken list changes nothing', async () => {
    const { name } = await hold()
    const { ended, stream } = await opened(session, name)
    const good = (await fixture.ca.ca.crl()).pem
    await reloaded('crl', false, () => writeAtomic(crl, good.slice(0, 200)))
    await judgedOnce(name)
    assert.ok(!stream.closed)
    await revoke({
      dir: join(fixture.ca.dir, 'ca'),
      target: { path: join(fixture.ca.dir, 'acme-planner') },
      reason: 'keyCompromise',
    })
    await writeAtomic(crl, (await fixture.ca.ca.crl()).pem)
    await isCut(ended, 'MESH_IDENTITY_REVOKED', true)
    // without a CRL in its place the last one holds
    await reloaded('crl', false, () => writeAtomic(crl, 'nothing'))
    const again = await call(session, { ':authority': name })
    assert.equal(again.error?.code, 'MESH_IDENTITY_REVOKED')
  })

  it('ends for good when its caller is revoked, and for nobody else', async () => {
    const { name } = await hold()
    const id = caller.current().identity.id
    const first = await opened(session, name)
    await add('agent', id)
    await isCut(first.ended, 'MESH_IDENTITY_REVOKED', false)

    const other = await fixture.ca.open(
      await fixture.ca.agentDir({ tenant: 'acme', agent: 'other' }),
    )
    const theirs = await fixture.connect(other)
    const second = await opened(theirs, name)
    await assert.rejects(add('txn', 'of somebody else'), { code: 'MESH_REVOCATION_INVALID' })
    await add('agent', 'spiffe://mesh.internal/tenant/acme/agent/nobody')
    await judgedOnce(name)
    assert.ok(!second.stream.closed)
    second.stream.close()
    await second.ended
  })

  it('ends with the tree that it is part of', async () => {
    let token = ''
    const { name } = await fixture.peer('holder', (stream, raw) => {
      token = raw[raw.indexOf('x-mesh-delegation') + 1] ?? ''
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' })
      stream.write(frame(Buffer.from('first')))
    })
    const before = await opened(session, name)
    const { ended } = await opened(session, name)
    const [, payload = ''] = token.split('.')
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString())
    assert.ok(typeof claims === 'object' && claims !== null && 'txn' in claims)
    await add('txn', String(claims.txn))
    await isCut(ended, 'MESH_CHAIN_REVOKED', false)
    // another tree of the same caller, on the same connection
    assert.ok(!before.stream.closed)
    before.stream.close()
    await before.ended
  })

  it('ends when the certificate of its callee is revoked, and the next call meets another certificate', async () => {
    const { name } = await hold()
    const { ended } = await opened(session, name)
    const peer = await loadIdentity(join(fixture.ca.dir, 'acme-holder'), {
      spiffe: fixture.ca.spiffe,
    })
    await add('certificate', peer.fingerprint)
    await isCut(ended, 'MESH_PEER_REVOKED', true)
    const again = await call(session, { ':authority': name })
    assert.equal(again.error?.code, 'MESH_PEER_REVOKED')
    // the peer comes back with a new one
    await fixture.peer('holder', echo)
    assert.equal((await call(session, { ':authority': name })).status, 0)
  })

  it('ends when its caller’s certificate expires, while others on other certificates go on', async () => {
    const { name } = await hold()
    const short = await fixture.ca.open(
      await fixture.ca.agentDir({ tenant: 'acme', agent: 'short', ttlMs: 2_500 }),
    )
    const brief = await fixture.connect(short)
    const mine = await opened(session, name)
    const { ended } = await opened(brief, name)
    const error = await isCut(ended, 'MESH_IDENTITY_EXPIRED', true)
    assert.ok(error)
    const lateMs = Date.now() - short.current().notAfter.getTime()
    assert.ok(lateMs > 0, `${-lateMs} ms before the end`)
    assert.ok(!mine.stream.closed)
    mine.stream.close()
    await mine.ended
  })

  it('ends when its callee’s certificate expires', async () => {
    const brief = await fixture.ca.open(
      await fixture.ca.agentDir({ tenant: 'acme', agent: 'brief', ttlMs: 2_500 }),
    )
    const { name } = await fixture.peer('brief', keepOpen, brief)
    const { ended } = await opened(session, name)
    const error = await isCut(ended, 'MESH_PEER_UNTRUSTED', true)
    assert.match(error.publicMessage, /agent\/brief has expired/)
    const lateMs = Date.now() - brief.current().notAfter.getTime()
    assert.ok(lateMs > 0, `${lateMs} ms after the end`)
  })

  it('ends when policy no longer allows it, also from audit mode; what is allowed goes on', async () => {
    const { name } = await hold()
    const unary = await opened(session, name, '/test.v1.Echo/Kept')
    const first = await opened(session, name)
    fixture.setPolicy({
      tenant: 'acme',
      delegation: { allow: [{ from: '*', to: '*', methods: ['test.v1.Echo/*'] }] },
    })
    await isCut(first.ended, 'MESH_POLICY_NOT_ALLOWED', true)
    fixture.setPolicy({ ...NOTHING, mode: 'audit' })
    const second = await opened(session, name)
    await judgedOnce(name)
    assert.ok(!second.stream.closed && !unary.stream.closed)
    fixture.setPolicy(NOTHING)
    await isCut(second.ended, 'MESH_POLICY_NOT_ALLOWED', true)
    const { error } = await unary.ended
    assert.equal(error?.code, 'MESH_POLICY_NOT_ALLOWED')
    assert.equal(error?.facts.resume, undefined)
  })

  it('ends when the CA of its caller leaves the bundle', async () => {
    const { name } = await hold()
    const { ended } = await opened(session, name)
    const other = await makeTestCa()
    try {
      const issued = other.ca.issueGateway({ name: 'gw-1', tenants: ['acme'] })
      await writeIdentity(join(fixture.ca.dir, 'gateway-gw-1'), issued)
      await isCut(ended, 'MESH_IDENTITY_UNTRUSTED', true)
    } finally {
      await other.close()
    }
  })

  it('is reset when its reader does not come to the trailers', async () => {
    let written = 0
    const { name } = await fixture.peer('holder', (stream, raw) => {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' })
      const mine = raw.includes(DELEGATE) ? 1 : 0
      const more = () => {
        do written += mine
        while (!stream.destroyed && stream.write(frame(Buffer.alloc(16_384))))
      }
      stream.on('drain', more)
      more()
    })
    const { ended, stream } = await opened(session, name)
    const beside = await opened(session, name, '/test.v1.Echo/Beside')
    beside.stream.resume()
    stream.pause()
    await waitUntilStill('what its callee sends', () => written)
    await add('agent', caller.current().identity.id)
    const { error, rstCode } = await ended
    assert.equal(error, null)
    assert.equal(rstCode, 8)
    // one that reads gets its reason, on the same connection
    assert.equal((await beside.ended).error?.code, 'MESH_IDENTITY_REVOKED')
  })

  it('that would begin on a resumed session is judged anew, ticket or not', async () => {
    const { name } = await fixture.peer('echo', echo)
    const options = {
      ...clientTlsOptions(caller.current(), fixture.ca.spiffe, checkIsGateway, {
        servername: GATEWAY,
      }),
      ...fixture.port.address,
    }
    const first = tls.connect(options)
    const tickets: Buffer[] = []
    first.on('session', (ticket: Buffer) => tickets.push(ticket))
    await once(first, 'secureConnect')
    first.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
    await once(first, 'session')
    first.destroy()
    await reloaded('revocations', true, () => add('certificate', caller.current().fingerprint))
    const [ticket] = tickets
    assert.ok(ticket)
    const { connect } = await import('node:http2')
    const socket = tls.connect({ ...options, session: ticket })
    const resumed = connect(`https://${GATEWAY}`, { createConnection: () => socket })
    resumed.on('error', () => {})
    const { error } = await call(resumed, { ':authority': name })
    assert.equal(error?.code, 'MESH_IDENTITY_REVOKED')
    assert.equal(socket.isSessionReused(), false)
    resumed.destroy()
  })

  it('is not begun when its callee is revoked', async () => {
    const { name } = await hold()
    const id = 'spiffe://mesh.internal/tenant/acme/agent/holder'
    await reloaded('revocations', true, () => add('agent', id))
    const { error } = await call(session, { ':authority': name })
    assert.equal(error?.code, 'MESH_PEER_REVOKED')
  })
})
