/** `mesh-agent openclaw doctor`: what it finds, by code, and what it says about a mesh that is well. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { EgressRelay } from '@clawmesh/agent-sdk'
import { MeshError } from '@clawmesh/proto'
import {
  checkCertificate,
  checkGateway,
  checkWayOut,
} from '../../../mesh-agent/src/openclaw/doctor/check-mesh.ts'
import { checkPlugin, readPlugin } from '../../../mesh-agent/src/openclaw/doctor/check-plugin.ts'
import {
  checkProxy,
  checkToolSearch,
  checkWebFetch,
} from '../../../mesh-agent/src/openclaw/doctor/check-proxy.ts'
import { checkRelay } from '../../../mesh-agent/src/openclaw/doctor/check-relay.ts'
import { checkServedTools } from '../../../mesh-agent/src/openclaw/doctor/check-served-tools.ts'
import { examineOpenClaw } from '../../../mesh-agent/src/openclaw/doctor/examine-openclaw.ts'
import type { CheckResult } from '../../../mesh-agent/src/openclaw/doctor/finding.ts'
import { planSetup } from '../../../mesh-agent/src/openclaw/setup.ts'
import type { MeshSettings } from '../../../mesh-agent/src/openclaw/wanted-settings.ts'
import { sendRaw } from '../../mesh-gateway/egress/fixture.ts'
import { get } from '../../mesh-gateway/egress/setup.ts'
import { listenOnFreePort } from '../../support/http-origin.ts'
import { type Mesh, startMesh } from '../../support/mesh.ts'
import { credentialIn } from '../relay/relay-process.ts'

const LISTEN = '127.0.0.1:8081'
const GOOD = { proxy: { proxyUrl: `http://openclaw:s3cret@${LISTEN}` } }
const codes = (...results: readonly CheckResult[]) =>
  results.flatMap(({ findings }) =>
    findings.map(({ code, note }) => (note === true ? `(${code})` : code)),
  )

describe('the doctor for OpenClaw', () => {
  const proxy = (more: object, secret: string | null = 's3cret') =>
    codes(checkProxy({ ...GOOD, ...more }, { listen: LISTEN }, secret))

  it('looks at the proxy', () => {
    assert.deepEqual(proxy({}), ['(loopback-goes-direct)'])
    assert.deepEqual(proxy({ proxy: {} }), ['proxy-not-set'])
    assert.deepEqual(proxy({ proxy: { ...GOOD.proxy, enabled: false } }), [
      'proxy-off',
      '(loopback-goes-direct)',
    ])
    assert.deepEqual(proxy({ proxy: { proxyUrl: 'http://x:s3cret@127.0.0.1:9' } }), [
      'proxy-elsewhere',
      '(loopback-goes-direct)',
    ])
    assert.deepEqual(proxy({ proxy: { proxyUrl: '$PROXY' } }), [
      'proxy-elsewhere',
      '(loopback-goes-direct)',
    ])
    assert.deepEqual(proxy({}, 'another'), ['proxy-secret-wrong', '(loopback-goes-direct)'])
    assert.deepEqual(proxy({ proxy: { ...GOOD.proxy, loopbackMode: 'proxy' } }), [
      'loopback-through-proxy',
    ])
  })

  it('looks at web_fetch and Tool Search', () => {
    const on = { tools: { web: { fetch: { useTrustedEnvProxy: true } } } }
    assert.deepEqual(codes(checkWebFetch(on)), ['(internal-names-refused)'])
    assert.deepEqual(codes(checkWebFetch({})), ['trusted-proxy-off'])
    assert.deepEqual(codes(checkToolSearch({})), ['(tool-search-on)'])
    assert.deepEqual(codes(checkToolSearch({ tools: { toolSearch: false } })), [])
    assert.deepEqual(codes(checkToolSearch({ tools: { toolSearch: { enabled: false } } })), [])
  })

  it('looks at the plugin', () => {
    const there = { dir: '/plugin', indexed: true }
    const entry = (more: object, own: object = {}) => ({
      plugins: { entries: { clawmesh: own }, ...more },
    })
    const plugin = (config: object, facts: Parameters<typeof checkPlugin>[2] = there) =>
      codes(checkPlugin(config, { gateway: 'gw:1' }, facts))
    assert.deepEqual(plugin(entry({})), [])
    assert.deepEqual(plugin({}), ['(plugin-not-configured)'])
    assert.deepEqual(plugin(entry({}), { dir: null, indexed: null }), ['plugin-not-installed'])
    assert.deepEqual(plugin(entry({}), { dir: '/plugin', indexed: false }), ['plugin-not-accepted'])
    assert.deepEqual(plugin(entry({ enabled: false }, { enabled: false })), [
      'plugins-off',
      'plugin-disabled',
    ])
    assert.deepEqual(plugin(entry({ allow: ['x'], deny: ['clawmesh'] })), [
      'plugin-denied',
      'plugin-not-allowed',
    ])
    assert.deepEqual(plugin(entry({}, { config: { gateway: 'gw:2' } })), ['plugin-config-differs'])
  })

  it('looks for the plugin where OpenClaw does, and in its index', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'clawmesh-state-'))
    try {
      assert.deepEqual(await readPlugin({}, dir), { dir: null, indexed: null })
      const place = join(dir, 'npm/projects/p/node_modules/@clawmesh/openclaw-plugin')
      await mkdir(place, { recursive: true })
      await writeFile(join(place, 'openclaw.plugin.json'), '{"id":"clawmesh"}')
      assert.deepEqual(await readPlugin({}, dir), { dir: place, indexed: null })
      await mkdir(join(dir, 'state'))
      const database = new DatabaseSync(join(dir, 'state/openclaw.sqlite'))
      database.exec('create table config_machine_state (state_key text, value_json text)')
      const put = database.prepare(
        "insert into config_machine_state values ('plugins.installedIndex', ?)",
      )
      put.run('{"installRecords":{}}')
      assert.deepEqual(await readPlugin({}, dir), { dir: place, indexed: false })
      database.exec('delete from config_machine_state')
      put.run('{"installRecords":{"clawmesh":{}}}')
      database.close()
      assert.deepEqual(await readPlugin({}, dir), { dir: place, indexed: true })
      assert.deepEqual(await readPlugin({ plugins: { load: { paths: [place] } } }, dir), {
        dir: place,
        indexed: null,
      })
    } finally {
      await rm(dir, { recursive: true })
    }
  })

  it('looks at the relay', () => {
    const status = {
      ...{ agent: 'spiffe://a', egress: 'http://127.0.0.1:8080', gateway: 'gw:1', pid: 1 },
      ...{ sinceMs: 0, connections: 0, denied: 0, fault: null },
    }
    const relay = (more: object) =>
      codes(
        checkRelay(
          { kind: 'relay', status: { ...status, ...more } },
          { listen: LISTEN, egress: 'http://127.0.0.1:8080/' },
          'spiffe://a',
        ),
      )
    assert.deepEqual(relay({}), [])
    assert.deepEqual(relay({ agent: 'spiffe://b' }), ['relay-of-another-agent'])
    assert.deepEqual(relay({ egress: 'http://127.0.0.1:1' }), ['relay-to-another-gateway'])
    assert.deepEqual(
      relay({ fault: { code: 'MESH_GATEWAY_UNREACHABLE', message: 'm', hint: 'h' } }),
      ['relay-cannot-serve'],
    )
    assert.deepEqual(relay({ denied: 3 }), ['(relay-was-shown-wrong-secrets)'])
    for (const [kind, code] of [
      ['nobody', 'relay-not-running'],
      ['stranger', 'relay-port-taken'],
      ['silent', 'relay-silent'],
    ] as const)
      assert.deepEqual(codes(checkRelay({ kind }, { listen: LISTEN }, null)), [code])
  })

  it('looks at the tools that turns for peers have', () => {
    const serve = (settings: object) =>
      checkServedTools({
        plugins: { entries: { clawmesh: { config: { serve: { ask: settings } } } } },
      })
    const found = (settings: object) => {
      const check = serve(settings)
      return check === null ? null : codes(check)
    }
    assert.equal(checkServedTools({}), null)
    assert.deepEqual(found({ tools: ['mesh_fetch', 'read'], callers: ['planner'] }), [])
    assert.deepEqual(
      found({ tools: ['cron'], callers: [{ caller: 'a', tools: ['Gateway', 'write'] }] }),
      ['served-tool-refused', 'served-tool-refused', '(served-tools-wide)'],
    )
    const [note] = serve({ tools: ['exec'], callers: ['*'] })?.findings ?? []
    assert.match(note?.what ?? '', /exec of ask runs any program/)
    assert.deepEqual(found({ tools: 5, callers: [null, 7] }), [])
  })

  it('looks at certificate, gateway, clock and the way out', () => {
    const identity = {
      kind: 'agent',
      id: 'spiffe://a',
      trustDomain: 'a',
      tenant: 'a',
      agent: 'a',
    } as const
    const [notBefore, notAfter] = [new Date(0), new Date(100_000)]
    const certificate = (nowMs: number) =>
      codes(checkCertificate('/d', { identity, notBefore, notAfter }, nowMs))
    assert.deepEqual(certificate(50_000), [])
    assert.deepEqual(certificate(90_000), ['certificate-ends-soon'])
    assert.deepEqual(codes(checkCertificate('/d', new MeshError('MESH_IDENTITY_EXPIRED'), 0)), [
      'certificate-expired',
    ])
    assert.deepEqual(codes(checkCertificate('/d', new MeshError('MESH_IDENTITY_UNREADABLE'), 0)), [
      'identity-unusable',
    ])
    for (const [code, expected] of [
      ['MESH_GATEWAY_UNREACHABLE', 'gateway-away'],
      ['MESH_GATEWAY_UNTRUSTED', 'gateway-untrusted'],
      ['MESH_GATEWAY_NOT_FOR_TENANT', 'wrong-tenant'],
      ['MESH_IDENTITY_REVOKED', 'certificate-revoked'],
      ['MESH_IDENTITY_NOT_YET_VALID', 'clock-off'],
      ['MESH_RATE_LIMITED', 'gateway-refuses'],
    ] as const)
      assert.deepEqual(codes(checkGateway('gw:1', new MeshError(code))), [expected])
    const way = (gate: string, dateMs: number | null) =>
      codes(checkWayOut({ kind: 'answered', code: 'MESH_X', gate, hint: 'h', dateMs }, 1_000_000))
    assert.deepEqual(way('policy', 1_000_000), [])
    assert.deepEqual(way('policy', null), [])
    assert.deepEqual(way('relay', null), ['way-out-closed'])
    assert.deepEqual(way('credential', 1_000_000), ['way-out-closed'])
    assert.deepEqual(way('policy', 900_000), ['clock-off'])
    assert.deepEqual(codes(checkWayOut({ kind: 'no-answer' }, 0)), ['way-out-silent'])
  })
})

describe('the doctor for OpenClaw, with a mesh', function () {
  this.timeout(120_000)
  let mesh: Mesh
  let relay: EgressRelay
  let settings: MeshSettings
  let configFile: string
  const faults = async (more: object = {}) => {
    const results = await examineOpenClaw({
      configFile,
      stateDir: mesh.dir,
      mesh: settings,
      ...more,
    })
    return codes(...results).filter((code) => !code.startsWith('('))
  }

  before(async () => {
    mesh = await startMesh({ policy: { acme: { egress: { allow: ['api.test'] } } } })
    const agent = await mesh.agent('acme', 'bot-01')
    const secretFile = join(mesh.dir, 'relay.secret')
    relay = await agent.egressRelay({ listen: '127.0.0.1:0', secretFile })
    configFile = join(mesh.dir, 'openclaw.json')
    settings = {
      ...{ identity: await mesh.identity('acme', 'bot-01'), gateway: mesh.gateway.delegation },
      ...{
        egress: `http://${mesh.gateway.egress}`,
        listen: `127.0.0.1:${relay.address.port}`,
        secretFile,
      },
    }
    await (
      await planSetup({ configFile, mesh: settings, plugin: false, now: () => new Date() })
    ).apply()
  })
  after(() => mesh.close())

  it('finds nothing in what setup has written, while relay and gateway run', async () => {
    assert.deepEqual(await faults(), [])
    assert.deepEqual(await faults({ now: () => Date.now() + 120_000 }), ['clock-off'])
  })

  it('finds a gateway that is not for the tenant, another agent, and another secret', async () => {
    const globex = await mesh.identity('globex', 'bot-01')
    assert.deepEqual(await faults({ mesh: { ...settings, identity: globex } }), [
      'wrong-tenant',
      'relay-of-another-agent',
    ])
    const secretFile = join(mesh.dir, 'another.secret')
    assert.deepEqual(await faults({ mesh: { ...settings, secretFile } }), ['relay-secret-unusable'])
    await writeFile(secretFile, `${'x'.repeat(43)}\n`, { mode: 0o600 })
    assert.deepEqual(await faults({ mesh: { ...settings, secretFile } }), [
      'proxy-secret-wrong',
      'relay-port-taken',
    ])
  })

  it('finds what is not said anywhere, and a configuration that is not there or not JSON5', async () => {
    const { listen } = settings
    assert.deepEqual(await faults({ mesh: { listen } }), ['settings-missing'])
    assert.deepEqual(await faults({ configFile: join(mesh.dir, 'none.json') }), [
      'openclaw-config-missing',
    ])
    const broken = join(mesh.dir, 'broken.json')
    await writeFile(broken, '{')
    assert.deepEqual(await faults({ configFile: broken }), ['openclaw-config-unreadable'])
  })

  it('finds a gateway that is away, a relay that has ended, and what took its port', async () => {
    await mesh.gateway.stop()
    const credential = await credentialIn(settings.secretFile)
    await sendRaw(relay.address.port, get(80, credential))
    assert.deepEqual(await faults(), ['gateway-away', 'relay-cannot-serve', 'way-out-closed'])
    await relay.close()
    assert.deepEqual(await faults(), ['gateway-away', 'relay-not-running'])
    let heard = ''
    const stranger = createServer((socket) =>
      socket
        .on('error', () => {})
        .on('data', (chunk) => {
          heard += chunk.toString('latin1')
          socket.end('hello')
        }),
    )
    const port = await listenOnFreePort(stranger)
    const taken = { mesh: { ...settings, listen: `127.0.0.1:${port}` } }
    assert.deepEqual(await faults(taken), ['proxy-elsewhere', 'gateway-away', 'relay-port-taken'])
    stranger.close()
    // it was asked for a proof, and shown nothing
    assert.match(heard, /^GET \/clawmesh-relay /)
    const secret = (await readFile(settings.secretFile, 'utf8')).trim()
    for (const shown of [secret, Buffer.from(`doctor:${secret}`).toString('base64')])
      assert.equal(heard.includes(shown), false)
    assert.doesNotMatch(heard, /proxy-authorization/i)
  })
})
