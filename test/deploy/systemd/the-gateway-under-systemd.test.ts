/** deploy/systemd, by a systemd that was booted for it: start, kill, reload, renewal, watchdog, stop, upgrade. */
import assert from 'node:assert/strict'
import { waitFor } from '../../support/wait-for.ts'
import { bootGatewayMachine, GATEWAY, type GatewayMachine, metric } from './gateway-machine.ts'

const RENEWAL = 'clawmesh-renew.service'
const TIMER = 'clawmesh-renew.timer'
const GENERATION = 'clawmesh_reload_generation{what="identity"}'
/** Only what hangs takes so long. */
const SLOW = { withinMs: 90_000 }
const UNITS = [GATEWAY, RENEWAL, TIMER]

describe('Under systemd, the gateway', function () {
  this.timeout(400_000)
  let machine: GatewayMachine

  before(async () => {
    machine = await bootGatewayMachine()
  })

  after(() => machine?.close())

  const pid = () => machine.property(GATEWAY, 'MainPID')
  const readiness = async () => (await machine.get('/ready')).status
  const path = (unit: string) => `/etc/systemd/system/${unit}`

  it('has units that systemd understands, each key of them', async () => {
    const verify = (unit: string) => machine.run('systemd-analyze', 'verify', '--man=no', unit)
    for (const unit of UNITS)
      assert.deepEqual(await verify(path(unit)), { code: 0, stdout: '', stderr: '' })
    // its exit code says nothing of an unknown key
    await machine.must('sh', '-ec', `sed 's/^UMask/Umask/' ${path(GATEWAY)} >/tmp/wrong.service`)
    const { code, stderr } = await verify('/tmp/wrong.service')
    assert.equal(code, 0)
    assert.match(stderr, /Unknown key/)
  })

  it('has an exposure under 1.5', async () => {
    const analyze = ['security', '--offline=true', '--no-pager', '--threshold=14'] as const
    for (const unit of [GATEWAY, RENEWAL]) {
      const { code, stdout } = await machine.run('systemd-analyze', ...analyze, path(unit))
      assert.equal(code, 0, stdout)
      const [, exposure] = /Overall exposure level for \S+: ([\d.]+)/.exec(stdout) ?? []
      process.stdout.write(`      ${unit}: exposure ${exposure}\n`)
    }
  })

  it('has its certificate before its first start, and has started when it is ready', async () => {
    await machine.must('systemctl', 'enable', '--now', TIMER)
    const beganMs = performance.now()
    await machine.must('systemctl', 'enable', '--now', GATEWAY)
    process.stdout.write(`      started within ${Math.round(performance.now() - beganMs)} ms\n`)
    assert.equal(await readiness(), 200)
    assert.equal(await machine.property(GATEWAY, 'StatusText'), 'ready')
    assert.equal(await machine.property(RENEWAL, 'Result'), 'success')
  })

  it('runs as a user that was made for it, with no capability', async () => {
    const status = await machine.must('cat', `/proc/${await pid()}/status`)
    const field = (name: string) => new RegExp(`^${name}:\\s+(\\S+)`, 'm').exec(status)?.[1]
    const user = Number(field('Uid'))
    assert.ok(user >= 61_184 && user <= 65_519, `user ${user}`)
    assert.match(field('CapBnd') ?? '', /^0+$/)
    assert.match(field('CapEff') ?? '', /^0+$/)
    assert.equal(field('NoNewPrivs'), '1')
    assert.equal(field('Seccomp'), '2')
  })

  it('has its secrets as credentials, and sees neither their files nor the CA', async () => {
    const id = await pid()
    const user = (await machine.must('stat', '-c', '%u', `/proc/${id}`)).trim()
    const inIt = (...words: readonly string[]) =>
      machine.run('nsenter', '--target', id, '--mount', '--setuid', user, '--', ...words)
    const secret = await inIt('cat', '/run/credentials/clawmesh-gateway.service/redis-password')
    assert.equal(secret.stdout, 'a password for tests\n')
    for (const file of ['/etc/clawmesh/redis-password', '/etc/clawmesh/ca-passphrase'])
      assert.notEqual((await inIt('cat', file)).code, 0)
    for (const dir of ['/var/lib/clawmesh-ca/', '/var/lib/private/clawmesh-ca/'])
      assert.notEqual((await inIt('ls', dir)).code, 0)
    assert.notEqual((await inIt('touch', '/etc/clawmesh/policy/x.json')).code, 0)
  })

  it('is started again after a crash', async () => {
    const before = await pid()
    const beganMs = performance.now()
    await machine.must('sh', '-c', `kill -KILL ${before}`)
    await machine.becomes(GATEWAY, 'NRestarts', /^1$/)
    await machine.becomes(GATEWAY, 'ActiveState', /^active$/)
    process.stdout.write(`      ready ${Math.round(performance.now() - beganMs)} ms after a kill\n`)
    assert.notEqual(await pid(), before)
    assert.equal(await readiness(), 200)
  })

  it('reads everything anew on reload, and tells what it could not read', async () => {
    const before = await pid()
    const file = '/etc/clawmesh/policy/globex.json'
    await machine.write(file, '{"tenant":"globex","unknown":1}', '644')
    await machine.must('systemctl', 'reload', GATEWAY)
    await machine.becomes(GATEWAY, 'StatusText', /^degraded: policy: .*globex\.json/)
    await machine.must('rm', file)
    await machine.must('systemctl', 'reload', GATEWAY)
    await machine.becomes(GATEWAY, 'StatusText', /^ready$/)
    assert.equal(await machine.property(GATEWAY, 'ActiveState'), 'active')
    assert.equal(await pid(), before)
  })

  it('goes on with a renewed certificate without a restart', async () => {
    const [before, generation] = [await pid(), await metric(machine, GENERATION)]
    await machine.must('systemctl', 'start', RENEWAL)
    await waitFor(
      'the certificate',
      async () => (await metric(machine, GENERATION)) > generation,
      SLOW,
    )
    assert.equal(await pid(), before)
  })

  it('has its certificate renewed by the timer', async () => {
    const next = await machine.property(TIMER, 'NextElapseUSecRealtime')
    assert.notEqual(next, '')
    const generation = await metric(machine, GENERATION)
    await machine.dropIn(
      TIMER,
      'Timer',
      'OnCalendar=*:*:0/1\nRandomizedDelaySec=0\nAccuracySec=1ms',
    )
    await machine.must('systemctl', 'restart', TIMER)
    await waitFor(
      'the certificate',
      async () => (await metric(machine, GENERATION)) > generation,
      SLOW,
    )
    await machine.must('systemctl', 'stop', TIMER)
  })

  it('is ended and started again when it hangs, and is left alone while it lives', async () => {
    await machine.dropIn(GATEWAY, 'Service', 'WatchdogSec=20s')
    await machine.must('systemctl', 'restart', GATEWAY)
    const before = await pid()
    const alive = () => machine.property(GATEWAY, 'WatchdogTimestampMonotonic')
    const first = await alive()
    await waitFor('a sign of life', async () => (await alive()) !== first, SLOW)
    assert.equal(await pid(), before)
    await machine.must('sh', '-c', `kill -STOP ${before}`)
    await machine.must('sh', '-ec', SHORTEN_WATCHDOG)
    const timeout = /Watchdog timeout/
    await waitFor('the watchdog', async () => timeout.test(await machine.journal(GATEWAY)), SLOW)
    await machine.becomes(GATEWAY, 'NRestarts', /^[1-9]/)
    await machine.becomes(GATEWAY, 'ActiveState', /^active$/)
    assert.notEqual(await pid(), before)
    assert.equal(await readiness(), 200)
  })

  it('lets what is open go on at a stop, for longer than systemd would wait', async () => {
    await machine.dropIn(GATEWAY, 'Service', 'TimeoutStopSec=1s')
    await machine.must('systemctl', 'restart', GATEWAY)
    const token = await machine.must(
      ...([
        'env',
        'MESH_IDENTITY_DIR=/var/lib/clawmesh/identity',
        'mesh-gateway',
        'issue-token',
      ] as const),
      ...['--config', '/etc/clawmesh/gateway.json', '--keys-dir', '/var/lib/clawmesh/keys'],
      ...['--tenant', 'acme', '--agent-id', 'bot-01'],
    )
    await machine.write('/srv/token', token.trim())
    await machine.write('/srv/tunnel.mjs', TUNNEL)
    await machine.must('systemd-run', '--unit=tunnel', '--quiet', 'node', '/srv/tunnel.mjs')
    await waitFor('the tunnel', async () => /200/.test(await machine.journal('tunnel')))
    const beganMs = performance.now()
    await machine.must('systemctl', 'stop', GATEWAY)
    assert.ok(performance.now() - beganMs >= 3_000, 'the tunnel was cut at once')
    assert.equal(await machine.property(GATEWAY, 'Result'), 'success')
    assert.equal(await machine.property(GATEWAY, 'ExecMainStatus'), '0')
    const said = (await machine.journal(GATEWAY)).split('SIGTERM: draining').at(-1) ?? ''
    assert.match(said, /mesh-gateway: drained/)
    assert.doesNotMatch(said, /timed out/)
  })

  it('is upgraded by a restart, and back', async () => {
    await machine.must('systemctl', 'start', GATEWAY)
    for (const version of ['0.2.0', '0.1.0']) {
      await machine.install(version)
      await machine.must('systemctl', 'restart', GATEWAY)
      assert.equal(await readiness(), 200)
      const started = (await machine.journal(GATEWAY))
        .split('\n')
        .filter((line) => /gateway starts/.test(line))
      assert.match(started.at(-1) ?? '', new RegExp(`"version":"${version}"`))
    }
    // nothing that a person has to look at
    assert.equal(await machine.property(GATEWAY, 'ActiveState'), 'active')
  })
})

/** As a process of the unit: what hangs is found after a second, in place of twenty. */
const SHORTEN_WATCHDOG = `
  for root in /sys/fs/cgroup/systemd /sys/fs/cgroup; do
    procs=$root/system.slice/${GATEWAY}/cgroup.procs
    [ ! -e "$procs" ] || { echo $$ >"$procs"; break; }
  done
  export NOTIFY_SOCKET=/run/systemd/notify
  systemd-notify WATCHDOG_USEC=1000000`

/** A destination, and an agent that holds a tunnel to it open. */
const TUNNEL = `
import { readFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
createServer((socket) => socket.on('error', () => {}).resume()).listen(9999, '127.0.0.1', () => {
  const token = readFileSync('/srv/token', 'utf8')
  const socket = connect(8080, '127.0.0.1')
  socket.write('CONNECT 127.0.0.1:9999 HTTP/1.1\\r\\nhost: 127.0.0.1:9999\\r\\nproxy-authorization: Bearer ' + token + '\\r\\n\\r\\n')
  socket.on('data', (data) => console.log(String(data).split('\\r\\n')[0]))
  socket.on('error', () => {})
  socket.on('close', () => process.exit())
})
`
