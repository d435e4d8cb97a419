/** The authority that comes with a task ends with the task. */
import assert from 'node:assert/strict'
import type { ServerHttp2Stream } from 'node:http2'
import { type Agent, createAgent, type DelegateOptions } from '@clawmesh/agent-sdk'
import type { IdentityStore } from '@clawmesh/agent-sdk/mesh'
import type { DelegationClaims } from '@clawmesh/proto'
import { decodeJwt } from 'jose'
import { call, type Fixture, makeFixture } from '../fixture.ts'

const DELEGATE = '/clawmesh.delegation.v1.DelegationService/Delegate'
/** Of the gateway of the fixture. */
const TTL_SECONDS = 60

describe('a delegation token', () => {
  let fixture: Fixture
  let store: IdentityStore
  let agent: Agent
  let claims: DelegationClaims | null = null

  before(async () => {
    fixture = await makeFixture()
    store = await fixture.ca.open(await fixture.ca.agentDir({ tenant: 'acme', agent: 'planner' }))
    const { address } = fixture.port
    assert.ok('host' in address)
    agent = await createAgent({ gateway: `${address.host}:${address.port}`, identity: store })
    await fixture.peer('researcher', (stream: ServerHttp2Stream, headers) => {
      claims = decodeJwt<DelegationClaims>(headers[headers.indexOf('x-mesh-delegation') + 1] ?? '')
      // what the caller says of its task is for the gateway
      assert.ok(!headers.includes('x-mesh-task-deadline'))
      const refusal = { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '12' }
      stream.respond(refusal, { endStream: true })
    })
  })
  after(async () => {
    await agent.close()
    await fixture.close()
  })
  beforeEach(() => {
    claims = null
  })

  async function tokenOf(options: Omit<DelegateOptions, 'skill'>): Promise<DelegationClaims> {
    await assert.rejects(agent.delegate('researcher', { skill: 'x', ...options }).result())
    return claims ?? assert.fail('no token came')
  }
  async function foreign(...deadlines: string[]) {
    return await call(await fixture.connect(store), {
      ':path': DELEGATE,
      ':authority': 'researcher.acme.mesh.internal',
      'x-mesh-task-deadline': deadlines,
    })
  }

  it('of a task of five seconds ends with it', async () => {
    const deadline = new Date(Math.ceil(Date.now() / 1000) * 1000 + 5_000)
    assert.equal((await tokenOf({ deadline })).exp, deadline.getTime() / 1000)
    const { iat, exp } = await tokenOf({ deadlineMs: 5_000, detached: true })
    assert.ok(exp - iat >= 5 && exp - iat <= 6, `${exp - iat}`)
  })

  it('of a task without a deadline, or with a later one, lives as long as the gateway grants', async () => {
    const without = await tokenOf({})
    assert.equal(without.exp - without.iat, TTL_SECONDS)
    const later = await tokenOf({ deadline: new Date('9999-12-31') })
    assert.equal(later.exp - later.iat, TTL_SECONDS)
  })

  it('does not end with the deadline of the call: a task outlives the stream that started it', async () => {
    await call(await fixture.connect(store), {
      ':path': DELEGATE,
      ':authority': 'researcher.acme.mesh.internal',
      'grpc-timeout': '5S',
    })
    assert.ok(claims)
    assert.equal(claims.exp - claims.iat, TTL_SECONDS)
  })

  it('is not signed for a deadline that cannot be read, or that is said twice', async () => {
    for (const deadline of ['', '-1', '1e12', '0x10', '1.5', '12345678901234', 'soon']) {
      const { error } = await foreign(deadline)
      assert.equal(error?.code, 'MESH_ROUTE_MALFORMED', JSON.stringify(deadline))
    }
    const soon = String(Date.now() + 5_000)
    assert.equal((await foreign(soon, soon)).error?.code, 'MESH_ROUTE_MALFORMED')
    assert.equal(claims, null)
  })
})
