import assert from 'node:assert/strict'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { silentLog } from '@clawmesh/agent-sdk'
import { type Config, createGateway, readConfig } from '@clawmesh/gateway'
import { writeIdentity } from '@clawmesh/pki'
import { MeshError } from '@clawmesh/proto'
import { openResources } from '../support/closes-everything.ts'
import { makeTestCa, type TestCa } from '../support/test-ca.ts'
import { waitFor } from '../support/wait-for.ts'

describe('a gateway', () => {
  let ca: TestCa
  before(async () => {
    ca = await makeTestCa()
  })
  after(() => ca.close())

  const configOf = async (
    name: string,
    more: Record<string, string> = {},
    ttlMs?: number,
  ): Promise<Config> => {
    const identity = await ca.gatewayDir({
      name,
      tenants: ['acme'],
      ...(ttlMs === undefined ? {} : { ttlMs }),
    })
    const policy = join(ca.dir, `policy-${name}`)
    await mkdir(policy, { recursive: true })
    await writeFile(join(policy, 'acme.json'), JSON.stringify({ tenant: 'acme' }))
    const flags = {
      'trust-domain': 'mesh.internal',
      'identity-dir': identity,
      'policy-dir': policy,
      'keys-dir': join(ca.dir, `keys-${name}`),
      'audit-file': join(ca.dir, `audit-${name}.log`),
      'egress-listen': '127.0.0.1:0',
      'delegation-listen': '127.0.0.1:0',
      'admin-listen': '127.0.0.1:0',
      ...more,
    }
    return (await readConfig({ path: null, env: {}, flags, cwd: ca.dir })).config
  }
  const ready = async (port: number) => {
    const response = await fetch(`http://127.0.0.1:${port}/ready`)
    return { status: response.status, body: await response.text() }
  }

  it('has read everything anew when a reload has ended, policy and its certificate too', async () => {
    const config = await configOf('anew', { 'reload-poll-ms': '3600000' })
    const gateway = await createGateway(config, { log: silentLog })
    const generation = () =>
      gateway
        .status()
        .find(({ name }) => name === 'certificate generation')
        ?.value.split(',')[0]
    try {
      await ca.gatewayDir({ name: 'anew', tenants: ['acme'] })
      await gateway.reload()
      assert.equal(generation(), '2')
      const file = join(ca.dir, 'policy-anew', 'globex.json')
      await writeFile(file, '{"tenant":"globex","unknown":1}')
      await gateway.reload()
      assert.deepEqual(
        gateway.degraded().map(({ what }) => what),
        ['policy'],
      )
      await rm(file)
      await gateway.reload()
      assert.deepEqual(gateway.degraded(), [])
    } finally {
      await gateway.close()
    }
  })

  it('can run twice in one process, each with its own name, keys and metrics', async () => {
    const [one, two] = await Promise.all(
      ['one', 'two'].map(
        async (name) => await createGateway(await configOf(name), { log: silentLog }),
      ),
    )
    assert.ok(one !== undefined && two !== undefined)
    assert.equal(one.identity.id, 'spiffe://mesh.internal/gateway/one')
    assert.equal(two.identity.id, 'spiffe://mesh.internal/gateway/two')
    const jwks = await Promise.all(
      [one, two].map(async ({ addresses }) =>
        (await fetch(`http://127.0.0.1:${addresses.egress.port}/.well-known/jwks.json`)).text(),
      ),
    )
    assert.notEqual(jwks[0], jwks[1])
    await one.close()
    assert.equal((await ready(two.addresses.admin.port)).status, 200)
    await two.drain(100)
    await two.close()
  })

  it('leaves nothing open when its last listener cannot start', async () => {
    const taken = createServer()
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
    const address = taken.address()
    const port = typeof address === 'object' ? address?.port : 0
    const config = await configOf('half', { 'admin-listen': `127.0.0.1:${port}` })
    const before = openResources()
    await assert.rejects(
      createGateway(config, { log: silentLog }),
      (error) => error instanceof MeshError && error.code === 'MESH_CONFIG_PORT',
    )
    const listeners = () => openResources().get('TCPServerWrap') ?? 0
    await waitFor('listeners to close', () => listeners() <= (before.get('TCPServerWrap') ?? 0))
    taken.close()
  })

  it('is not ready without a policy, and says so', async () => {
    const config = await configOf('bare', { 'policy-dir': join(ca.dir, 'no-policy') })
    const gateway = await createGateway(config, { log: silentLog })
    const { status, body } = await ready(gateway.addresses.admin.port)
    assert.equal(status, 503)
    assert.match(body, /"what":"policy"/)
    await gateway.close()
  })

  it('is not ready once its certificate has expired, nor while its audit log cannot be written', async () => {
    const config = await configOf('short', { 'audit-file': '/dev/full' }, 6000)
    const gateway = await createGateway(config, { log: silentLog })
    const socket = connect(gateway.addresses.egress.port, '127.0.0.1')
    socket.write('CONNECT a.example:443 HTTP/1.1\r\nhost: a.example:443\r\n\r\n')
    assert.match(await text(socket), /^HTTP\/1\.1 407 /)
    const lacks = (what: string) => gateway.missing().some((one) => one.what === what)
    await waitFor('the audit log to fail', () => lacks('audit'))
    await waitFor('the certificate to expire', () => lacks('identity'))
    assert.equal((await ready(gateway.addresses.admin.port)).status, 503)
    await gateway.close()
  })

  it('does not start with the certificate of an agent, and does not become one when it reloads', async () => {
    const agent = await ca.agentDir({ tenant: 'acme', agent: 'planner' })
    const start = async () =>
      createGateway(await configOf('as-agent', { 'identity-dir': agent }), { log: silentLog })
    await assert.rejects(start(), (error) => {
      assert.ok(error instanceof MeshError && error.code === 'MESH_IDENTITY_NOT_GATEWAY')
      assert.match(error.message, /agent\/planner/)
      assert.match(error.hint, /mesh-pki issue gateway/)
      return true
    })
    const config = await configOf('stays', { 'reload-poll': '100ms' })
    const warnings: string[] = []
    const log = { ...silentLog, warn: (_: unknown, text?: string) => warnings.push(String(text)) }
    const gateway = await createGateway(config, { log })
    const issued = ca.ca.issueAgent({ tenant: 'acme', agent: 'planner' })
    await writeIdentity(config.identity.dir, issued)
    await waitFor('the reload to be refused', () =>
      warnings.some((text) => text.includes('the new certificate is for spiffe://')),
    )
    assert.deepEqual(gateway.missing(), [])
    assert.match(JSON.stringify(gateway.status()), /gateway\/stays/)
    await gateway.close()
  })
})
