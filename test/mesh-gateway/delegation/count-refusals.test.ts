import assert from 'node:assert/strict'
import { createSpiffeTemplate, type ErrorCode, MeshError } from '@clawmesh/proto'
import { checkRefusals, countRefusal } from '../../../mesh-gateway/src/delegation/count-refusals.ts'
import { createRefusalBudgets } from '../../../mesh-gateway/src/limits/refusal-budget.ts'

const spiffe = createSpiffeTemplate({ trustDomain: 'mesh.internal' })

describe('refused calls', () => {
  type Client = Parameters<typeof countRefusal>[1]
  type Peer = NonNullable<Client['peer']>
  const certificate = (identity: Peer['identity']): Peer => ({
    ...{ identity, dnsNames: [], notBefore: new Date(0), notAfter: new Date(1e13) },
    ...{ fingerprint: 'f', serial: '01', rootFingerprint: 'r', anchor: 'r', links: [] },
  })
  const client = (peer: Peer['identity'] | null, ip = '192.0.2.1'): Client =>
    Object.assign(Object.create(null), {
      ...{ peer: peer === null ? null : certificate(peer), address: { ip, port: 1 } },
    })
  const budgets = () =>
    createRefusalBudgets({ refusedPerAgent: 6, refusedPerAddress: 6, now: () => 0 })
  const spent = (of: ReturnType<typeof budgets>, who: Client) => {
    try {
      checkRefusals(of, who)
      return null
    } catch (error) {
      return error instanceof MeshError ? error : assert.fail()
    }
  }
  const denied = new MeshError('MESH_POLICY_NOT_ALLOWED')

  it('cost an agent its budget, wherever it calls from, and no other agent', () => {
    const of = budgets()
    const agent = spiffe.agent('acme', 'a')
    assert.equal(spent(of, client(agent)), null)
    countRefusal(of, client(agent), denied)
    const error = spent(of, client(agent, '192.0.2.9'))
    assert.equal(error?.code, 'MESH_RATE_LIMITED')
    assert.match(error.message, /this caller/)
    assert.equal(spent(of, client(spiffe.agent('globex', 'a'))), null)
    assert.equal(spent(of, client(spiffe.agent('acme', 'b'))), null)
    assert.equal(spent(of, client(null)), null, 'the address pays nothing for it')
    const gateway = spiffe.gateway('gw')
    countRefusal(of, client(gateway), denied)
    assert.notEqual(spent(of, client(gateway)), null)
  })

  it('cost an address that of what has no certificate', () => {
    const of = budgets()
    countRefusal(of, client(null), denied)
    assert.match(spent(of, client(null))?.message ?? '', /this address/)
    assert.equal(spent(of, client(null, '192.0.2.2')), null)
    assert.equal(spent(of, client(spiffe.agent('acme', 'a'))), null)
  })

  it('cost nothing where the fault is not the caller’s, or may pass', () => {
    const costs = (code: ErrorCode) => {
      const of = budgets()
      countRefusal(of, client(null), new MeshError(code))
      return spent(of, client(null)) !== null
    }
    const free: readonly ErrorCode[] = [
      ...(['MESH_PEER_UNRESOLVED', 'MESH_PEER_FORBIDDEN', 'MESH_CALL_CANCELED'] as const),
      ...(['MESH_GATEWAY_INTERNAL', 'MESH_LIMIT_CONCURRENCY', 'MESH_CALL_DEADLINE'] as const),
    ]
    for (const code of free) assert.equal(costs(code), false, code)
    const paid: readonly ErrorCode[] = [
      ...(['MESH_PEER_PORT_REFUSED', 'MESH_ROUTE_MALFORMED', 'MESH_IDENTITY_UNTRUSTED'] as const),
      'MESH_POLICY_NOT_ALLOWED',
    ]
    for (const code of paid) assert.equal(costs(code), true, code)
  })
})
