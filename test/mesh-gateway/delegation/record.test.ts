/** The audit record of a call, out of what is known of it by its end. */
import assert from 'node:assert/strict'
import type { PeerCertificate } from '@clawmesh/agent-sdk/mesh'
import {
  createSpiffeTemplate,
  type DelegationClaims,
  type ErrorCode,
  isUuidV7,
  uuidV7,
} from '@clawmesh/proto'
import { readCall } from '../../../mesh-gateway/src/delegation/call.ts'
import type { PresentedClaims } from '../../../mesh-gateway/src/delegation/chain/chain-tokens.ts'
import {
  actionOf,
  auditRecordOf,
  type CallRecord,
  startRecord,
} from '../../../mesh-gateway/src/delegation/record.ts'
import { routeOf } from '../../../mesh-gateway/src/delegation/route.ts'
import { decideDelegation } from '../../../mesh-gateway/src/policy/decide/decide-delegation.ts'
import { policyOf } from '../policy/policies.ts'

const spiffe = createSpiffeTemplate({ trustDomain: 'mesh.internal' })
const caller = spiffe.agent('acme', 'a')
const NAMES = { meshDomain: 'mesh.internal', own: new Set(['gateway.mesh.internal']) }
const route = routeOf('b.acme.mesh.internal', NAMES)
const self = routeOf('gateway.mesh.internal', NAMES)
const ID = uuidV7()

const certificate = (identity: PeerCertificate['identity']): PeerCertificate => ({
  ...{ identity, dnsNames: [], notBefore: new Date(0), notAfter: new Date(1e13) },
  ...{ fingerprint: 'fingerprint', serial: '01', rootFingerprint: 'r', anchor: 'r', links: [] },
})
const decision = (delegation: object) =>
  decideDelegation(
    { caller, callee: { tenant: 'acme', agent: 'b' }, method: 'a.B/C', withinChain: false },
    policyOf({ acme: { delegation } }),
  )
const ALLOWED = decision({ allow: [{ from: '*', to: '*' }] })
const DENIED = decision({ allow: [] })
const AUDITED = decision({ allow: [], agents: { a: { mode: 'audit' } } })
const claims = (more: Partial<DelegationClaims> = {}): DelegationClaims => ({
  ...{ iss: 'gateway', sub: caller.id, aud: 'b', act: { sub: caller.id }, txn: 'txn' },
  ...{ hop: 2, max_hops: 5, iat: 0, exp: 1, jti: 'jti' },
  ...more,
})
const story = (more: Partial<CallRecord> = {}): CallRecord => ({
  ...startRecord(certificate(caller), { ip: '192.0.2.1', port: 5 }),
  ...more,
})
const record = (of: CallRecord, outcome: Parameters<typeof auditRecordOf>[1]['outcome'] = null) =>
  auditRecordOf(of, {
    ...{ outcome, durationMs: 1.23456, policyGeneration: 7 },
    phase: { phase: 'open', open_id: 'open' },
  })
const outcome = (code: ErrorCode | null) => ({ code, grpcStatus: 5, bytesUp: 1, bytesDown: 2 })

describe('what became of a call', () => {
  it('was it refused, allowed or audited', () => {
    const of = (more: Partial<CallRecord>, code: ErrorCode | null) => actionOf(story(more), code)
    assert.equal(of({ decision: ALLOWED }, null), 'allow')
    assert.equal(of({ decision: DENIED }, null), 'deny')
    assert.equal(of({ decision: AUDITED }, null), 'audit')
    // an error before it was carried is a refusal, unless the peer or the caller is at fault
    assert.equal(of({ decision: ALLOWED }, 'MESH_LIMIT_CONCURRENCY'), 'deny')
    assert.equal(of({ decision: AUDITED }, 'MESH_CHAIN_REVOKED'), 'deny')
    for (const code of ['MESH_PEER_UNREACHABLE', 'MESH_CALL_CANCELED'] as const)
      assert.equal(of({ decision: ALLOWED }, code), 'allow')
    assert.equal(of({ decision: ALLOWED }, 'MESH_PEER_PORT_REFUSED'), 'deny')
    // what was let through was allowed, however it was cut
    assert.equal(of({ decision: ALLOWED, letThrough: true }, 'MESH_CHAIN_REVOKED'), 'allow')
    assert.equal(of({ letThrough: true }, 'MESH_CHAIN_REVOKED'), 'allow')
  })

  it('is allowed without a decision to the gateway alone', () => {
    assert.equal(actionOf(story({ route: self }), null), 'allow')
    assert.equal(actionOf(story({ route }), null), 'deny')
    assert.equal(actionOf(story(), null), 'deny')
  })

  it('is recorded of one of which nothing is known, by an id of its own', () => {
    const { request_id, ...rest } = record({ ...story(), certificate: null })
    assert.ok(isUuidV7(request_id))
    assert.deepEqual(rest, {
      ...{ event: 'delegation', trace_id: null, tenant: null, agent_id: null, caller: null },
      ...{ callee: null, destination_host: null, destination_port: null, destination_ip: null },
      ...{ grpc_method: null, grpc_status: null, token_jti: null, certificate: null },
      ...{ delegation_id: null, parent_id: null, root_id: null, hop: null, chain: null },
      ...{ action_allowed: false, mode: 'enforce', reason: null, rule: null },
      ...{ policy_generation: 7, duration_ms: rest.duration_ms, bytes_up: null, bytes_down: null },
      ...{ client_ip: '192.0.2.1', client_port: 5, asked_from: null, asked_to: null },
      ...{ asked_method: null, phase: 'open', open_id: 'open' },
    })
    assert.ok(Math.abs(rest.duration_ms - 1.23456) < 0.01)
  })

  it('is recorded with all that is known', () => {
    const call = readCall([
      ':path',
      '/a.B/C',
      'x-request-id',
      'request',
      'x-mesh-delegation-id',
      ID,
    ])
    const tried = { ip: '192.0.2.2', port: 7443, priority: 0 }
    const link = claims({ act: { sub: caller.id, act: { sub: 'x' } }, parent_id: ID })
    const full = record(
      story({
        ...{ call, route, callee: 'b', decision: ALLOWED, tried, link },
        own: {
          id: 'own',
          certificate: certificate(caller),
          issuedJti: 'issued',
          asked: { from: 'f', to: 't', method: 'm' },
        },
      }),
      outcome('MESH_PEER_UNREACHABLE'),
    )
    const { trace_id, duration_ms, rule, ...rest } = full
    assert.equal(trace_id, call.trace.traceId)
    assert.equal(rule, ALLOWED.rule)
    assert.ok(duration_ms > 0)
    assert.deepEqual(rest, {
      ...{ event: 'delegation', request_id: 'request', tenant: 'acme', agent_id: 'a' },
      ...{ caller: caller.id, callee: 'b', destination_host: 'b.acme.mesh.internal' },
      ...{ destination_port: 7443, destination_ip: '192.0.2.2', grpc_method: 'a.B/C' },
      ...{ grpc_status: 5, token_jti: 'issued', certificate: 'fingerprint', delegation_id: ID },
      ...{ parent_id: ID, root_id: 'txn', hop: 2, chain: ['x', caller.id], action_allowed: true },
      ...{ mode: 'enforce', reason: 'MESH_PEER_UNREACHABLE', policy_generation: 7 },
      ...{ bytes_up: 1, bytes_down: 2, client_ip: '192.0.2.1', client_port: 5 },
      ...{ asked_from: 'f', asked_to: 't', asked_method: 'm', phase: 'open', open_id: 'open' },
    })
  })

  it('is recorded as that of a gateway, with no tenant and no agent', () => {
    const gateway = spiffe.gateway('gw')
    const { tenant, agent_id, caller: named } = record(story({ certificate: certificate(gateway) }))
    assert.deepEqual([tenant, agent_id, named], [null, null, gateway.id])
    assert.equal(record(story({ route: self })).destination_host, null)
  })

  it('is recorded with the reason of policy, where nothing else ended it', () => {
    assert.equal(record(story({ decision: DENIED }), outcome(null)).reason, DENIED.code)
    const cut = record(story({ decision: AUDITED }), outcome('MESH_CALL_CANCELED'))
    assert.deepEqual([cut.reason, cut.mode], ['MESH_CALL_CANCELED', 'audit'])
  })

  it('is recorded with the delegation that it was made for: that of the token until there is a link', () => {
    const presented = (more: Partial<DelegationClaims>): PresentedClaims => {
      const of = claims(more)
      return { ...of, kid: 'k', chain: { txn: of.txn, actors: [], certificates: [] } }
    }
    const shown = presented({ delegation_id: ID, parent_id: 'older' })
    assert.equal(record(story({ link: shown, presented: shown })).parent_id, ID)
    const bare = presented({})
    assert.equal(record(story({ link: bare, presented: bare })).parent_id, null)
    const link = claims({ parent_id: 'the parent' })
    assert.equal(record(story({ link, presented: shown })).parent_id, 'the parent')
    assert.equal(record(story({ link: claims(), presented: shown })).parent_id, null)
  })
})
