import assert from 'node:assert/strict'
import { createSpiffeTemplate, MeshError } from '@clawmesh/proto'
import type { RouteNames } from '../../../mesh-gateway/src/delegation/route.ts'
import {
  type CachedRoute,
  createRouteCache,
} from '../../../mesh-gateway/src/delegation/route-cache.ts'
import { policyOf } from '../policy/policies.ts'

const spiffe = createSpiffeTemplate({ trustDomain: 'mesh.internal' })
const caller = spiffe.agent('acme', 'planner')
const host = 'researcher.acme.mesh.internal'
const method = 'bench.Echo/Call'
const namesWith = (...own: string[]): RouteNames => ({
  meshDomain: 'mesh.internal',
  own: new Set(own),
})
const allowing = () =>
  policyOf({ acme: { delegation: { allow: [{ from: 'planner', to: 'researcher' }] } } })
const peerOf = ({ route }: CachedRoute) => {
  assert.ok(route.kind === 'peer')
  return route
}

describe('what a connection remembers of its calls', () => {
  it('is where a target leads, and whose identity is there', () => {
    const flows = createRouteCache()
    const names = namesWith('gateway.mesh.internal')
    const flow = flows.to(host, names, spiffe)
    assert.equal(flow.callee, 'spiffe://mesh.internal/tenant/acme/agent/researcher')
    assert.equal(flows.to(host, names, spiffe), flow)
    assert.deepEqual(flows.to('gateway.mesh.internal', names, spiffe), {
      route: { kind: 'self' },
      callee: null,
    })
  })

  it('is forgotten when the names of the gateway change', () => {
    const flows = createRouteCache()
    assert.equal(flows.to('edge.example', namesWith('edge.example'), spiffe).route.kind, 'self')
    assert.throws(() => flows.to('edge.example', namesWith(), spiffe), {
      code: 'MESH_ROUTE_UNKNOWN',
    })
  })

  it('is never a refused target', () => {
    const flows = createRouteCache()
    for (let i = 0; i < 3; i++)
      assert.throws(() => flows.to('127.0.0.1', namesWith(), spiffe), MeshError)
  })

  it('is what policy decided, until policy changes, whichever way', () => {
    const flows = createRouteCache()
    const route = peerOf(flows.to(host, namesWith(), spiffe))
    const question = { caller, route, method, withinChain: false }
    const first = allowing()
    const decision = flows.decide(question, first)
    assert.equal(decision.action, 'allow')
    assert.equal(flows.decide(question, first), decision)
    assert.equal(flows.decide(question, policyOf({ acme: {} })).action, 'deny')
    assert.equal(flows.decide(question, allowing()).action, 'allow')
  })

  it('is kept apart by method and by chain', () => {
    const flows = createRouteCache()
    const route = peerOf(flows.to(host, namesWith(), spiffe))
    const policy = policyOf({
      acme: {
        delegation: {
          allow: [{ from: 'planner', to: 'researcher', methods: [method] }],
          agents: { planner: { mayOriginate: false } },
        },
      },
    })
    const ask = (name: string, withinChain: boolean) =>
      flows.decide({ caller, route, method: name, withinChain }, policy).action
    for (let i = 0; i < 2; i++) {
      assert.equal(ask(method, false), 'deny')
      assert.equal(ask(method, true), 'allow')
      assert.equal(ask('bench.Echo/Other', true), 'deny')
    }
  })

  it('stays small and right whatever is asked for', () => {
    const flows = createRouteCache()
    const names = namesWith()
    const policy = allowing()
    for (let i = 0; i < 1000; i++) {
      const to = flows.to(`a${i}.acme.mesh.internal`, names, spiffe)
      const question = { caller, route: peerOf(to), method: `a.B/M${i}`, withinChain: false }
      assert.equal(flows.decide(question, policy).action, 'deny')
    }
    const route = peerOf(flows.to(host, names, spiffe))
    for (let i = 0; i < 1000; i++)
      assert.equal(
        flows.decide({ caller, route, method: `a.B/M${i}`, withinChain: false }, policy).action,
        'allow',
      )
  })
})
