import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { MeshError } from '@clawmesh/proto'
import { checkAuditLog } from '../../../mesh-gateway/src/doctor/audit-log.ts'
import { checkClocks } from '../../../mesh-gateway/src/doctor/clocks.ts'
import { checkFileDescriptors } from '../../../mesh-gateway/src/doctor/file-descriptors.ts'
import { type CheckResult, shellWord } from '../../../mesh-gateway/src/doctor/finding.ts'
import {
  checkKernelSettings,
  readKernelSettings,
} from '../../../mesh-gateway/src/doctor/kernel-settings.ts'
import { checkKeyFiles } from '../../../mesh-gateway/src/doctor/key-files.ts'
import { checkNode, LEAST_NODE } from '../../../mesh-gateway/src/doctor/node-version.ts'
import { checkPeer } from '../../../mesh-gateway/src/doctor/peer.ts'
import { checkPeerNames } from '../../../mesh-gateway/src/doctor/peer-names.ts'
import { checkPorts, type PortFacts } from '../../../mesh-gateway/src/doctor/ports.ts'
import { checkProxyEnvironment } from '../../../mesh-gateway/src/doctor/proxy-environment.ts'
import { checkSigningKeys } from '../../../mesh-gateway/src/doctor/signing-keys.ts'
import { checkStaticPeers } from '../../../mesh-gateway/src/doctor/static-peers.ts'
import { span } from '../../../mesh-gateway/src/text/time-span.ts'

const whats = ({ findings }: CheckResult) => findings.map(({ what }) => what)

describe('the checks of the doctor', () => {
  it('say what is wrong, why it matters and what to do', () => {
    const results = [
      checkNode('v20.1.0'),
      checkFileDescriptors(256),
      checkKernelSettings({ waiting: 128, localPorts: null }),
      checkKernelSettings({ waiting: null, localPorts: 100 }),
      checkKeyFiles([{ path: '/k/tls.key', mode: 0o100644, uid: 0, gid: 0, groupUsers: [] }]),
      checkAuditLog({ file: '/a', error: 'EACCES', freeBytes: null }),
      checkClocks({ peer: 'p', theirMs: 0, ourMs: 90_000 }),
      checkPeerNames({ dir: '/g', dnsNames: [], tenants: ['acme'], meshDomain: 'm.test' }),
      checkSigningKeys({ dir: '/k', ring: null, nowMs: 0 }),
      checkProxyEnvironment({ env: { http_proxy: 'http://p:1' }, meshDomain: 'm.test', hosts: [] }),
    ]
    for (const { check, findings } of results) {
      assert.equal(findings.length, 1, check)
      for (const { what, why, todo } of findings)
        for (const text of [what, why, todo]) assert.match(text, /^\S.{9,}[^.\s]$/, check)
    }
  })

  it('know the version of Node that package.json asks for', async () => {
    const file = new URL('../../../mesh-gateway/package.json', import.meta.url)
    assert.equal(JSON.parse(await readFile(file, 'utf8')).engines.node, `>=${LEAST_NODE}`)
    for (const version of [process.version, 'v24.16.0', 'v26.0.1'])
      assert.deepEqual(whats(checkNode(version)), [], version)
    for (const version of ['v24.15.9', 'v20.20.2', 'v9.99.0'])
      assert.equal(whats(checkNode(version)).length, 1, version)
  })

  it('take files that others can read for a fault, and name them as a shell takes them', () => {
    const owned = { uid: 1000, gid: 1000, groupUsers: [] }
    const file = (mode: number, path = '/k') => ({ path, mode, ...owned })
    const good = [0o600, 0o400, 0o700].map((mode) => file(mode))
    assert.deepEqual(whats(checkKeyFiles(good)), [])
    for (const mode of [0o640, 0o604, 0o666])
      assert.equal(whats(checkKeyFiles([...good, file(mode)])).length, 1, String(mode))
    const [finding] = checkKeyFiles([file(0o644, "/a b/it's.key")]).findings
    assert.match(finding?.todo ?? '', /^chmod 600 '\/a b\/it'\\''s\.key'/)
  })

  it('let a pod read keys by its group: files of a Secret belong to root', () => {
    const inPod = { uid: 65_532, gids: [65_532] }
    const ofRoot = { path: '/k', uid: 0, gid: 65_532, groupUsers: [] }
    assert.deepEqual(whats(checkKeyFiles([{ ...ofRoot, mode: 0o440 }], inPod)), [])
    for (const others of [
      { ...ofRoot, mode: 0o444 },
      { ...ofRoot, mode: 0o440, gid: 100 },
      { ...ofRoot, mode: 0o440, uid: 65_532 },
    ])
      assert.equal(whats(checkKeyFiles([others], inPod)).length, 1)
  })

  it('name the users that read a key by the group by which this process reads it', () => {
    const reader = { uid: 500, gids: [900] }
    const ofRoot = { path: '/k/tls.key', uid: 0, gid: 900, mode: 0o100440 }
    assert.deepEqual(whats(checkKeyFiles([{ ...ofRoot, groupUsers: [] }], reader)), [])
    const shared = [{ ...ofRoot, groupUsers: ['backup', 'eve'] }]
    const [finding, ...more] = checkKeyFiles(shared, reader).findings
    assert.deepEqual(more, [])
    assert.equal(finding?.what, 'by their group backup, eve can read /k/tls.key (440)')
    assert.match(finding?.todo ?? '', /chown them to this user and chmod 600 \/k\/tls\.key$/)
    const closed = [{ ...ofRoot, mode: 0o100400, groupUsers: ['eve'] }]
    assert.deepEqual(whats(checkKeyFiles(closed, reader)), [])
  })

  it('allow clocks half a minute, both ways', () => {
    const clocks = (theirMs: number | null) => checkClocks({ peer: 'p', theirMs, ourMs: 1_000_000 })
    for (const theirMs of [null, 1_000_000, 970_000, 1_030_000])
      assert.deepEqual(whats(clocks(theirMs)), [])
    assert.match(whats(clocks(1_031_000))[0] ?? '', /31 seconds ahead of ours/)
    assert.match(whats(clocks(1_000_000 - 7_200_000))[0] ?? '', /2 hours behind ours/)
  })

  it('ask for a wildcard for each tenant that has policy', () => {
    const names = ['gateway.m.test', '*.acme.m.test', 'globex.m.test']
    const check = (...tenants: string[]) =>
      checkPeerNames({ dir: '/g w', dnsNames: names, tenants, meshDomain: 'm.test' })
    assert.deepEqual(whats(check('acme')), [])
    const [finding] = check('acme', 'globex').findings
    assert.match(finding?.what ?? '', /does not cover \*\.globex\.m\.test$/)
    assert.match(finding?.todo ?? '', /--tenant acme globex --out '\/g w'/)
  })

  it('read proxy variables as clients do, and never show a password', () => {
    const check = (env: Record<string, string>) =>
      checkProxyEnvironment({ env, meshDomain: 'mesh.internal', hosts: ['127.0.0.1'] })
    const proxy = { HTTPS_PROXY: 'http://me:hunter2@proxy.test:3128' }
    const found = check(proxy)
    assert.match(whats(found)[0] ?? '', /https_proxy is proxy\.test:3128/)
    assert.ok(!JSON.stringify(found).includes('hunter2'))
    for (const list of [
      '*',
      'mesh.internal,127.0.0.1',
      '.mesh.internal, 127.0.0.1',
      'internal,127.0.0.1',
    ])
      assert.deepEqual(whats(check({ ...proxy, no_proxy: list })), [], list)
    const half = check({ ...proxy, NO_PROXY: 'localhost,127.0.0.1' })
    assert.match(whats(half)[0] ?? '', /no_proxy lacks \.mesh\.internal$/)
    assert.match(half.findings[0]?.todo ?? '', /=localhost,127\.0\.0\.1,\.mesh\.internal /)
    assert.equal(whats(check({ ...proxy, no_proxy: 'notmesh.internal' })).length, 1)
    assert.deepEqual(whats(check({ no_proxy: '' })), [])
    assert.ok(!JSON.stringify(check({ http_proxy: 'me:hunter2@proxy' })).includes('hunter2'))
  })

  const port = (key: string, facts: Partial<PortFacts> = {}): PortFacts => ({
    key: `${key}.listen`,
    address: { host: '127.0.0.1', port: 9000 },
    error: 'EADDRINUSE',
    isGateway: true,
    process: { pid: 7, name: 'node' },
    ...facts,
  })

  it('take a gateway that holds all its ports for one that runs', () => {
    const all = [port('egress'), port('delegation'), port('admin')]
    const runs = checkPorts(all)
    assert.deepEqual(whats(runs), [])
    assert.match(runs.about, /a mesh-gateway runs, process 7$/)
    const unknown = all.map((one) => ({ ...one, process: null }))
    assert.deepEqual(whats(checkPorts(unknown)), [])
    const two = [...all.slice(1), port('egress', { process: { pid: 8, name: 'node' } })]
    assert.equal(whats(checkPorts(two)).length, 3, 'two gateways cannot both be this one')
    assert.deepEqual(whats(checkPorts([])), [])
  })

  it('say who holds a port, and how to start elsewhere', () => {
    const asked = checkPorts([port('admin', { isGateway: null }), port('egress')]).findings
    assert.match(asked[0]?.what ?? '', /could not be asked whether it is a mesh-gateway/)
    const { findings } = checkPorts([
      port('egress', { isGateway: false, process: { pid: 9, name: 'squid' } }),
      port('delegation', { isGateway: false, process: null }),
      port('admin'),
    ])
    assert.match(
      findings[0]?.what ?? '',
      /^egress\.listen 127\.0\.0\.1:9000 is taken by a program that does not answer as a mesh-gateway: squid, process 9$/,
    )
    assert.match(findings[0]?.todo ?? '', /--egress-listen HOST:PORT; `ps -fp 9` shows/)
    assert.match(findings[1]?.todo ?? '', /`ss -ltnp 'sport = :9000'` shows the process$/)
    for (const isGateway of [true, false, null])
      for (const process of [{ pid: 9, name: 'node' }, null]) {
        const [finding] = checkPorts([port('admin', { isGateway, process })]).findings
        assert.doesNotMatch(finding?.todo ?? '', /\bkill\b|\bend it\b/, 'it may be the gateway')
      }
    assert.match(
      findings[2]?.what ?? '',
      /another mesh-gateway, which answers there: node, process 7$/,
    )
    const [low] = checkPorts([
      port('admin', { error: 'EACCES', isGateway: false, process: null }),
    ]).findings
    assert.match(low?.why ?? '', /ports below 1024/)
    assert.deepEqual(whats(checkPorts([port('admin', { error: null, isGateway: false })])), [])
  })

  it('ask for keys to be rotated that have signed for long, and for a next one', () => {
    const key = (role: 'active' | 'next', created: string) => ({
      kid: role.padEnd(43, 'x'),
      created,
      role,
      until: null,
    })
    const check = (...keys: ReturnType<typeof key>[]) =>
      checkSigningKeys({ dir: '/k', ring: { keys }, nowMs: Date.parse('2026-06-01T00:00:00Z') })
    const fresh = '2026-05-01T00:00:00.000Z'
    assert.deepEqual(whats(check(key('active', fresh), key('next', fresh))), [])
    const old = check(key('active', '2026-01-01T00:00:00.000Z'), key('next', fresh))
    assert.match(whats(old)[0] ?? '', /151 days old/)
    assert.match(whats(check(key('active', fresh)))[0] ?? '', /no next key/)
    const broken = new MeshError('MESH_KEYS_UNUSABLE', 'ring.json is not JSON')
    const said = checkSigningKeys({ dir: '/k', ring: broken, nowMs: 0 })
    assert.deepEqual(whats(said), ['ring.json is not JSON'])
  })

  it('say how to look up a name where the gateway looks', () => {
    const answers = new MeshError('MESH_PEER_UNRESOLVED', 'p.acme.m.test has no record')
    const check = (...servers: string[]) =>
      checkPeer({
        ...{ name: 'p.acme.m.test', servers: servers.length === 0 ? null : servers, answers },
        configured: false,
      })
    const todo = (result: CheckResult) => result.findings[0]?.todo ?? ''
    assert.match(todo(check()), /^dig \+short SRV _grpc\._tcp\.p\.acme\.m\.test;/)
    assert.match(todo(check('10.0.0.2:53')), /^dig @10\.0\.0\.2 \+short/)
    assert.match(todo(check('127.0.0.1:5353')), /^dig @127\.0\.0\.1 -p 5353 \+short/)
    assert.match(todo(check('[fd00::2]:53')), /^dig @fd00::2 \+short/)
  })

  it('say that an address is from the configuration, and where to correct it', () => {
    const name = 'p.acme.m.test'
    const check = (answers: Parameters<typeof checkPeer>[0]['answers']) =>
      checkPeer({ name, servers: null, configured: true, answers })
    const endpoint = '10.0.0.7:7443'
    const good = check([{ endpoint, error: null }])
    assert.equal(good.about, `${name} at ${endpoint} (delegation.peers), certificate good`)
    const away = check([{ endpoint, error: new MeshError('MESH_PEER_UNREACHABLE') }])
    assert.match(
      away.findings[0]?.todo ?? '',
      /^start the peer, or correct delegation\.peers; from/,
    )
    const [unknown] = check(new MeshError('MESH_PEER_UNRESOLVED')).findings
    assert.equal(unknown?.todo, `correct ${name} in delegation.peers`)
  })

  it('find peers of the configuration that lead to the gateway, or whose tenant has no policy', () => {
    const check = (peers: Record<string, string[]>, tenants: readonly string[] | null = ['acme']) =>
      checkStaticPeers({
        ...{ peers, tenants, meshDomain: 'm.test' },
        own: [{ host: '127.0.0.1', port: 8443 }],
      })
    const fine = check({ 'p.acme.m.test': ['127.0.0.1:7443', 'box:8443'] })
    assert.deepEqual([fine.about, fine.findings], ['1 name', []])
    assert.match(
      whats(check({ 'p.acme.m.test': ['127.0.0.1:8443'] }))[0] ?? '',
      /is this gateway itself$/,
    )
    const strange = { 'p.globex.m.test': ['10.0.0.7:1'] }
    assert.match(whats(check(strange))[0] ?? '', /the tenant globex has no policy$/)
    assert.deepEqual(
      whats(check(strange, null)),
      [],
      'policy that cannot be read is a fault of its own',
    )
  })

  it('warn of a disk that fills up, and of few open files', () => {
    const audit = (freeBytes: number) => checkAuditLog({ file: '/v/a', error: null, freeBytes })
    assert.match(whats(audit(50 * 1024 * 1024))[0] ?? '', /^50 MiB are free/)
    assert.deepEqual(whats(audit(1e10)), [])
    assert.deepEqual(whats(checkFileDescriptors(null)), [])
    assert.deepEqual(whats(checkFileDescriptors(65_536)), [])
  })

  it('warn of a kernel that lets few connections wait, or has few ports for them', () => {
    const few = checkKernelSettings({ waiting: 510, localPorts: 9_999 })
    assert.equal(few.about, '510 connections may wait, 9999 local ports')
    assert.match(whats(few).join(), /somaxconn.*ip_local_port_range/)
    for (const enough of [
      { waiting: 511, localPorts: 10_000 },
      { waiting: null, localPorts: null },
    ])
      assert.deepEqual(whats(checkKernelSettings(enough)), [])
    const { waiting, localPorts } = readKernelSettings()
    if (process.platform === 'linux') assert.ok(Number(waiting) > 0 && Number(localPorts) > 0)
  })

  it('write spans of time and words of a shell so that people and shells read them', () => {
    assert.deepEqual([0, 1500, 59_000, 119_000, 7_200_000, 172_800_000].map(span), [
      '0 seconds',
      '1 second',
      '59 seconds',
      '119 seconds',
      '2 hours',
      '2 days',
    ])
    assert.equal(shellWord('/etc/mesh-1/tls.key'), '/etc/mesh-1/tls.key')
    assert.equal(shellWord('a; rm -rf $HOME'), "'a; rm -rf $HOME'")
  })
})
