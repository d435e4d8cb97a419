/** `egress.proxyProtocol.from` and `delegation.proxyProtocol.from`: what is a list of proxies, and what is none. */
import assert from 'node:assert/strict'
import { MeshError } from '@clawmesh/proto'
import { formatConfig } from '../../../mesh-gateway/src/config/format-config.ts'
import { resolveConfig } from '../../../mesh-gateway/src/config/resolve-config.ts'

const LEAST = {
  trustDomain: 'mesh.internal',
  ...{ identity: { dir: 'i' }, policy: { dir: 'p' }, keys: { dir: 'k' } },
}

describe('the addresses of proxies in the configuration', () => {
  const resolve = (more: object, env: Record<string, string> = {}) => {
    const bytes = Buffer.from(JSON.stringify({ ...LEAST, ...more }))
    return resolveConfig({ file: { path: 'gateway.json', bytes }, env, flags: {}, cwd: '/' }).config
  }
  const faultOf = (more: object): string => {
    try {
      resolve(more)
    } catch (error) {
      assert.ok(error instanceof MeshError)
      return error.message.split('\n')[1]?.trim() ?? ''
    }
    return ''
  }
  const from = (...ranges: readonly unknown[]) => ({ proxyProtocol: { from: ranges } })

  it('are none by default: no connection has a PROXY header', () => {
    const { egress, delegation } = resolve({})
    assert.deepEqual([egress.proxyProtocol, delegation.proxyProtocol], [{ from: [] }, { from: [] }])
  })

  it('are ranges, for each port its own, from the file, a variable or a flag, and printed as written', () => {
    const config = resolve(
      { egress: from('10.0.0.5/32', 'fd00::/64') },
      { MESH_DELEGATION_PROXY_PROTOCOL_FROM: '10.1.0.0/24, 10.2.0.0/24' },
    )
    assert.deepEqual(config.egress.proxyProtocol.from, ['10.0.0.5/32', 'fd00::/64'])
    assert.deepEqual(config.delegation.proxyProtocol.from, ['10.1.0.0/24', '10.2.0.0/24'])
    assert.deepEqual(resolve(JSON.parse(formatConfig(config))), config)
  })

  it('are not any address, nor a name, nor a range that is none: a client could name another in its place', () => {
    for (const [range, message] of [
      ['10.0.0.5', /has no prefix length; for one address write 10\.0\.0\.5\/32$/],
      ['10.0.0.5/24', /has bits beyond its prefix; write 10\.0\.0\.0\/24$/],
      ['lb.internal/32', /does not begin with an IP address$/],
      ['0.0.0.0/0', /is every address: any client could then claim the address of another$/],
      ['::/0', /is every address/],
      ['0.0.0.0/1', /is wider than \/8: any client could then claim the address of another$/],
      ['128.0.0.0/1', /is wider than \/8/],
      ['8.0.0.0/7', /is wider than \/8/],
      ['8000::/1', /is wider than \/8/],
      ['::/1', /holds every IPv4 address in its mapped form/],
      [7, /./],
    ] as const) {
      assert.match(faultOf({ delegation: from(range) }), /^delegation\.proxyProtocol\.from\.0 /)
      assert.match(faultOf({ delegation: from(range) }), message)
      assert.match(
        faultOf({ egress: from('10.0.0.0/8', range) }),
        /^egress\.proxyProtocol\.from\.1 /,
      )
    }
  })

  it('cannot be listed for a Unix socket, which tells no address of a proxy', () => {
    const listen = 'unix:/run/clawmesh/egress.sock'
    assert.match(
      faultOf({ egress: { listen, ...from('127.0.0.1/32') } }),
      /^egress\.proxyProtocol\.from .*a Unix socket tells no address of a proxy$/,
    )
    assert.equal(faultOf({ egress: { listen } }), '')
  })
})
