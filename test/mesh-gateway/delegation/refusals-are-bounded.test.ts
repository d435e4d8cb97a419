/** Calls that are refused count, and so do those to the gateway's own services. */
import assert from 'node:assert/strict'
import type { ClientHttp2Session } from 'node:http2'
import { connect } from 'node:http2'
import tls from 'node:tls'
import { checkIsGateway, clientTlsOptions } from '@clawmesh/agent-sdk/mesh'
import { createRefusalBudgets } from '../../../mesh-gateway/src/limits/refusal-budget.ts'
import { call, echo, type Fixture, GATEWAY, makeFixture } from './fixture.ts'

const POLICY = {
  tenant: 'acme',
  delegation: {
    allow: [{ from: '*', to: 'writer' }],
    agents: { hasty: { limits: { callsPerMinute: 60 } } },
  },
}
const ELSEWHERE = { ':authority': 'elsewhere.acme.mesh.internal' }
const HEALTH = { ':authority': 'localhost', ':path': '/grpc.health.v1.Health/Check' }

describe('refused calls', () => {
  let mesh: Fixture
  let writer: Record<string, string>
  const clock = { ms: 0 }

  beforeEach(async () => {
    clock.ms = 0
    mesh = await makeFixture(POLICY, {
      refusals: createRefusalBudgets({ now: () => clock.ms }),
      guard: { ownCallsPerMinute: 100 },
    })
    writer = { ':authority': (await mesh.peer('writer', echo)).name }
  })
  afterEach(() => mesh.close())

  const session = async (agent: string) =>
    mesh.connect(await mesh.ca.open(await mesh.ca.agentDir({ tenant: 'acme', agent })))

  async function stranger(): Promise<ClientHttp2Session> {
    const store = await mesh.ca.open(await mesh.ca.agentDir({ tenant: 'acme', agent: 'nobody' }))
    const { cert, key, ...anonymous } = clientTlsOptions(
      store.current(),
      mesh.ca.spiffe,
      checkIsGateway,
      { servername: GATEWAY },
    )
    assert.ok(cert !== undefined && key !== undefined)
    const made = connect(`https://${GATEWAY}`, {
      createConnection: () => tls.connect({ ...anonymous, ...mesh.port.address }),
    })
    return made.on('error', () => {})
  }

  /** How often each code came; `OK` of calls that went well. */
  async function repeat(
    times: number,
    from: ClientHttp2Session,
    headers: Record<string, string>,
  ): Promise<Record<string, number>> {
    const counts: Record<string, number> = {}
    for (let count = 0; count < times; count += 1) {
      const { error, status } = await call(from, headers, Buffer.alloc(5))
      const code = error?.code ?? (status === 0 ? 'OK' : String(status))
      counts[code] = (counts[code] ?? 0) + 1
    }
    return counts
  }

  it('count against the rate of their agent, as any other', async () => {
    const hasty = await session('hasty')
    const { MESH_POLICY_NOT_ALLOWED: refused = 0, MESH_RATE_LIMITED: limited = 0 } = await repeat(
      20,
      hasty,
      ELSEWHERE,
    )
    assert.equal(refused + limited, 20)
    // six at once, and one a second
    assert.ok(refused >= 6 && limited >= 8, `${refused} and ${limited}`)
    const { error } = await call(hasty, writer)
    assert.equal(error?.code, 'MESH_RATE_LIMITED')
    assert.ok((error?.retryAfterMs ?? 0) > 0)
  })

  it('of an agent without a rate are bounded, and what is let through costs nothing', async () => {
    const planner = await session('planner')
    assert.deepEqual(await repeat(150, planner, writer), { OK: 150 })
    assert.deepEqual(await repeat(150, planner, ELSEWHERE), {
      MESH_POLICY_NOT_ALLOWED: 100,
      MESH_RATE_LIMITED: 50,
    })
    const { error } = await call(planner, writer)
    assert.equal(error?.retryAfterMs, 100)
    // another agent is none the wiser, and this one is back in a moment
    assert.deepEqual(await repeat(1, await session('other'), writer), { OK: 1 })
    clock.ms = 100
    assert.deepEqual(await repeat(1, planner, writer), { OK: 1 })
  })

  it('for bad delegation tokens and malformed targets count too', async () => {
    const planner = await session('planner')
    const forged = { ...writer, 'x-mesh-delegation': 'a.b.c' }
    const first = await repeat(60, planner, forged)
    assert.equal(first.MESH_RATE_LIMITED, undefined)
    const second = await repeat(60, planner, { ':authority': 'nobody' })
    assert.equal(second.MESH_RATE_LIMITED, 20)
  })

  it('for ports that are not the peer’s count too', async () => {
    const port = { ...writer, ':authority': `${writer[':authority']}:1` }
    const { MESH_PEER_PORT_REFUSED: refused, MESH_RATE_LIMITED: limited } = await repeat(
      120,
      await session('prober'),
      port,
    )
    assert.deepEqual([refused, limited], [100, 20])
  })

  it('without a certificate count against the address', async () => {
    const codes: Record<string, number> = {}
    for (let connection = 0; connection < 4; connection += 1) {
      const made = await stranger()
      const answers = await Promise.all(Array.from({ length: 50 }, () => call(made, writer)))
      for (const { error } of answers)
        codes[error?.code ?? 'none'] = (codes[error?.code ?? 'none'] ?? 0) + 1
      made.destroy()
    }
    assert.deepEqual(codes, { MESH_IDENTITY_NO_CERTIFICATE: 100, MESH_RATE_LIMITED: 100 })
    // who shows one comes in by the same address
    assert.deepEqual(await repeat(1, await session('planner'), writer), { OK: 1 })
  })

  it('to the own services of the gateway have a rate of their own', async () => {
    const planner = await session('planner')
    const counts = await repeat(30, planner, HEALTH)
    assert.ok(
      (counts.OK ?? 0) >= 10 && (counts.MESH_RATE_LIMITED ?? 0) >= 10,
      JSON.stringify(counts),
    )
    const { error } = await call(planner, HEALTH, Buffer.alloc(5))
    assert.ok((error?.retryAfterMs ?? 0) > 0)
    assert.deepEqual(await repeat(1, planner, writer), { OK: 1 })
    assert.deepEqual(await repeat(1, await session('other'), HEALTH), { OK: 1 })
  })
})
