import assert from 'node:assert/strict'
import { MeshError } from '@clawmesh/proto'
import {
  type AgentNameRequest,
  agentNames,
  type GatewayNameRequest,
  gatewayNames,
  isOrBelow,
  type NamingCa,
} from '../../../pki/src/ca/names.ts'
import { ipBytes, parseIpRange } from '../../../pki/src/x509/ip-range.ts'
import { parseCertificates } from '../../../pki/src/x509/parse-certificate.ts'
import { mint } from '../../agent-sdk/tls/mint.ts'

describe('the names that a CA gives', () => {
  const [certificate] = parseCertificates(mint({ pathLength: 0 }).pem)
  assert.ok(certificate)
  const none = { uris: [], dnsNames: [], ipAddresses: [], others: [] }
  const permitted = {
    ...none,
    dnsNames: ['mesh.internal', 'example.com'],
    ipAddresses: ['10.0.0.0/8', '::1/128'].map((cidr) => parseIpRange(cidr) ?? assert.fail()),
  }
  const ca = {
    ...{ trustDomain: 'trust.internal', meshDomain: 'mesh.internal' },
    certificate: { ...certificate, nameConstraints: { permitted, excluded: none } },
  }
  const bare = { ...ca, certificate: { ...certificate, nameConstraints: null } }
  const agent = (more: Partial<AgentNameRequest> = {}, of: NamingCa = ca) =>
    agentNames(of, { tenant: 'acme', agent: 'bot', ...more })
  const gateway = (more: Partial<GatewayNameRequest> = {}) =>
    gatewayNames(ca, { name: 'gw', tenants: [], ...more })
  const refused = (work: () => unknown, message: RegExp, hint?: RegExp) =>
    assert.throws(work, (error) => {
      assert.ok(error instanceof MeshError && error.code === 'MESH_PKI_NAME_REFUSED')
      assert.match(error.message, message)
      if (hint) assert.match(error.hint, hint)
      return true
    })
  const label = (length: number) => 'a'.repeat(length)

  it('are of an agent its own, and those below it or outside the mesh that are asked for', () => {
    assert.deepEqual(agent(), {
      spiffeId: 'spiffe://trust.internal/tenant/acme/agent/bot',
      ...{ dnsNames: ['bot.acme.mesh.internal'], ipAddresses: [] },
      subject: [
        { type: 'organization', value: 'acme' },
        { type: 'commonName', value: 'bot' },
      ],
    })
    const own = 'bot.acme.mesh.internal'
    const extraDnsNames = [`x.${own}`, own, 'example.com', 'a.example.com']
    assert.deepEqual(agent({ extraDnsNames }).dnsNames, [
      ...[own, `x.${own}`, 'example.com', 'a.example.com'],
    ])
    for (const name of [
      'mesh.internal',
      'other.acme.mesh.internal',
      'acme.mesh.internal',
      `x${own}`,
    ])
      refused(() => agent({ extraDnsNames: [name] }), /could be the name of another agent$/)
  })

  it('are of a gateway its own, that of any gateway, one for each tenant, and those that are asked for', () => {
    assert.deepEqual(gateway({ tenants: ['acme', 'acme'], dnsNames: ['a.example.com'] }), {
      spiffeId: 'spiffe://trust.internal/gateway/gw',
      dnsNames: [
        ...['gw.mesh.internal', 'gateway.mesh.internal', '*.acme.mesh.internal', 'a.example.com'],
      ],
      ipAddresses: [],
      subject: [
        { type: 'organization', value: 'gateway' },
        { type: 'commonName', value: 'gw' },
      ],
    })
  })

  it('are permitted by the constraints of the CA, or refused with what these permit', () => {
    for (const name of ['example.org', 'xexample.com', 'com'])
      refused(
        () => gateway({ dnsNames: [name] }),
        new RegExp(`does not permit the name ${name}$`),
        /^it permits mesh\.internal, example\.com and what is below/,
      )
    for (const name of ['', 'A.example.com', '*.example.com'])
      refused(() => gateway({ dnsNames: [name] }), /is not a lower-case DNS name$/)
    const ipAddresses = ['10.1.2.3', '::1']
    for (const issued of [agent({ ipAddresses }), gateway({ ipAddresses })])
      assert.deepEqual(issued.ipAddresses, ipAddresses.map(ipBytes))
    for (const address of ['11.0.0.1', '::2'])
      refused(
        () => agent({ ipAddresses: [address] }),
        new RegExp(`does not permit the address ${address}$`),
        /--permit-ip$/,
      )
    refused(() => gateway({ ipAddresses: ['x'] }), /"x" is not an IP address$/)
    refused(() => agent({ extraDnsNames: ['example.com'] }, bare), /does not permit the name/)
    refused(() => agent({ ipAddresses: ['10.0.0.1'] }, bare), /does not permit the address/)
  })

  it('are DNS labels, which fit into a name', () => {
    for (const odd of ['', 'A', 'a.b', '-a', label(64)]) {
      refused(() => agent({ tenant: odd }), /^tenant: .* is not a lower-case DNS label$/)
      refused(() => agent({ agent: odd }), /^agent: /)
      refused(() => gateway({ name: odd }), /^gateway name: /)
      refused(() => gateway({ tenants: ['acme', odd] }), /^tenant: /)
    }
    // from JavaScript
    refused(() => Reflect.apply(agentNames, null, [ca, { tenant: 'acme', agent: 5 }]), /^agent: 5 /)
    const long = { ...ca, meshDomain: [label(63), label(63), label(60)].join('.') }
    agentNames(long, { tenant: label(31), agent: label(32) })
    refused(
      () => agentNames(long, { tenant: label(32), agent: label(32) }),
      /too long for a DNS name/,
    )
  })

  it('are at a domain or below it, by whole labels', () => {
    for (const name of ['a.b', 'x.a.b', '*.a.b']) assert.equal(isOrBelow(name, 'a.b'), true, name)
    for (const name of ['b', 'xa.b', 'a.b.c', '']) assert.equal(isOrBelow(name, 'a.b'), false, name)
  })
})
