/** What a call needs is judged when it begins, also when it has waited since; and what it held by then is given back. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type ClientHttp2Session, createSecureServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { type IdentityStore, serverTlsOptions } from '@clawmesh/agent-sdk/mesh'
import {
  NO_REVOCATIONS,
  type Revocations,
} from '../../../../mesh-gateway/src/revocation/revocations.ts'
import { type PausableRelay, startPausableRelay } from '../../../support/pausable-relay.ts'
import { waitFor } from '../../../support/wait-for.ts'
import { call, echo, type Fixture, makeFixture } from '../fixture.ts'

const ALLOW = { tenant: 'acme', delegation: { allow: [{ from: '*', to: '*' }] } }
const DELEGATE = '/clawmesh.delegation.v1.DelegationService/Delegate'

describe('a call that begins', () => {
  let fixture: Fixture
  let planner: IdentityStore
  let session: ClientHttp2Session
  const revoked = new Set<string>()
  const listeners = new Set<() => void>()
  const said = (what: 'agent' | 'txn', isTrue: boolean) =>
    isTrue
      ? ({
          ...{ what, message: 'revoked by the test' },
          code: what === 'txn' ? 'MESH_CHAIN_REVOKED' : 'MESH_IDENTITY_REVOKED',
        } as const)
      : null
  const revocations: Revocations = {
    ...NO_REVOCATIONS,
    certificate: ({ identity }) => said('agent', revoked.has(identity.id)),
    chain: (txn) => said('txn', revoked.has(txn)),
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
  const revoke = (what: string) => {
    revoked.add(what)
    for (const listener of listeners) listener()
  }
  const open = async (agent: string) =>
    await fixture.ca.open(await fixture.ca.agentDir({ tenant: 'acme', agent }))

  before(async () => {
    fixture = await makeFixture(ALLOW, { revocations })
    planner = await open('planner')
    session = await fixture.connect(planner)
  })
  afterEach(() => revoked.clear())
  after(() => fixture.close())

  describe('after it has waited for a connection', () => {
    let relay: PausableRelay
    let streams = 0
    let sessions = 0
    let close: () => Promise<void>
    /** A peer of one stream at a time, behind a relay that is silent. */
    before(async () => {
      const own = await open('narrow')
      const server = createSecureServer({
        ...serverTlsOptions(own.current()),
        settings: { maxConcurrentStreams: 1 },
      })
      server.on('session', (one) => {
        sessions += 1
        one.on('error', () => {})
      })
      server.on('stream', (stream) => {
        streams += 1
        echo(stream)
      })
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      const { port } = server.address() as AddressInfo
      relay = await startPausableRelay({ host: '127.0.0.1', port })
      fixture.names.set('narrow.acme.mesh.internal', [{ ip: '127.0.0.1', port: relay.port }])
      close = async () => {
        await relay.close()
        server.close()
      }
    })
    after(() => close())

    it('is refused when its caller was revoked meanwhile, and the place that was kept for it is free', async () => {
      relay.pause()
      const waiting = call(session, { ':authority': 'narrow.acme.mesh.internal' })
      await waitFor('a call that waits', async () =>
        (await fixture.metrics.text()).includes('clawmesh_active{plane="delegation"} 1'),
      )
      revoke(planner.current().identity.id)
      relay.resume()
      const { error } = await waiting
      assert.equal(error?.code, 'MESH_IDENTITY_REVOKED')
      assert.equal(error?.facts.resume, undefined)
      assert.equal(fixture.records.at(-1)?.action_allowed, false)
      assert.equal(streams, 0)
      const other = await fixture.connect(await open('other'))
      const next = await call(other, { ':authority': 'narrow.acme.mesh.internal' })
      assert.equal(next.status, 0)
      // one stream is all that it takes, so a place that was not given back would cost another connection
      assert.equal(sessions, 1)
    })
  })

  it('is refused within a tree that is revoked', async () => {
    let token = ''
    await fixture.peer('holder', (stream, raw) => {
      token = raw[raw.indexOf('x-mesh-delegation') + 1] ?? ''
      echo(stream)
    })
    await fixture.peer('next', echo)
    const first = await call(session, {
      ':authority': 'holder.acme.mesh.internal',
      ':path': DELEGATE,
    })
    assert.equal(first.status, 0)
    const [, payload = ''] = token.split('.')
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString())
    assert.ok(typeof claims === 'object' && claims !== null && 'txn' in claims)
    const holder = await fixture.connect(await open('holder'))
    const within = () =>
      call(holder, {
        ...{ ':authority': 'next.acme.mesh.internal', ':path': DELEGATE },
        'x-mesh-delegation': token,
      })
    assert.equal((await within()).status, 0)
    revoke(String(claims.txn))
    const refused = await within()
    assert.equal(refused.error?.code, 'MESH_CHAIN_REVOKED')
    assert.equal(fixture.records.at(-1)?.action_allowed, false)
    const twice = await call(holder, {
      ...{ ':authority': 'next.acme.mesh.internal', ':path': DELEGATE },
      'x-mesh-delegation': [token, token],
    })
    assert.equal(twice.error?.code, 'MESH_ROUTE_MALFORMED')
    assert.match(String(twice.error?.publicMessage), /x-mesh-delegation is given twice/)
  })
})
