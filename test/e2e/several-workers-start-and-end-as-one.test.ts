/** The process that the operator starts is one gateway to look at, whatever stands behind it. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { type IssuedWorkplace, makeIssuedWorkplace } from '../mesh-gateway/cli/issued-workplace.ts'
import {
  childrenOf,
  isRunning,
  type SeveralWorkers,
  startSeveralWorkers,
} from '../mesh-gateway/workers/several-workers.ts'
import { describeClosing } from '../support/closes-everything.ts'
import { waitFor } from '../support/wait-for.ts'

describeClosing('several workers start and end as one', function () {
  this.timeout(120_000)
  let place: IssuedWorkplace
  before(async () => {
    place = await makeIssuedWorkplace()
  })
  after(() => place.close())

  const start = async (...more: string[]) => {
    const started = await place.start('--workers', '2', ...more)
    return { ...started, pids: await childrenOf(started.child.pid) }
  }

  it('the terminal shows what it shows with one, and how many there are', async () => {
    const { stderr, child, ended, pids } = await start()
    const facts = stderr()
      .split('\n')
      .filter((line) => line.startsWith('mesh-gateway:'))
      .map((line) => line.split(/ +/)[1])
    assert.deepEqual(facts, ['identity', 'egress', 'delegation', 'workers', 'admin'])
    assert.match(stderr(), /mesh-gateway: workers +2\n/)
    assert.equal(pids.length, 2)
    // a terminal sends it to all of them
    for (const pid of [...pids, child.pid ?? 0]) process.kill(pid, 'SIGINT')
    assert.deepEqual(await ended, [0, null])
    assert.match(stderr(), /SIGINT: draining[^\n]*\nmesh-gateway: drained\n$/)
    for (const pid of pids) assert.equal(isRunning(pid), false)
  })

  const faults: readonly (readonly [string, (port: number) => Promise<readonly string[]>])[] = [
    [
      'an identity that is torn',
      async () => {
        await place.issue('torn')
        await writeFile(join(place.dir, 'torn', 'tls.crt'), 'torn')
        return ['--identity-dir', 'torn']
      },
    ],
    ['no policy to be read', async () => ['--policy-dir', 'gateway.json']],
    [
      'a delegation port that is taken',
      async (port) => ['--delegation-listen', `127.0.0.1:${port}`],
    ],
    ['an egress port that is taken', async (port) => ['--egress-listen', `127.0.0.1:${port}`]],
    ['an admin port that is taken', async (port) => ['--admin-listen', `127.0.0.1:${port}`]],
    ['an audit log that is a directory', async () => ['--audit-file', 'policy']],
  ]
  for (const [what, prepare] of faults)
    it(`${what} is said once, as with one process, and nothing is left running`, async () => {
      const holder = createServer().listen(0, '127.0.0.1')
      await once(holder, 'listening')
      const bound = holder.address()
      const flags = [
        ...(await prepare(typeof bound === 'object' && bound !== null ? bound.port : 0)),
        ...['--log-level', 'error'],
      ]
      const alone = await place.run('start', '--config', 'gateway.json', ...flags)
      const with2 = await place.runProcess(
        {},
        ...['start', '--config', 'gateway.json', '--workers', '2', ...flags],
      )
      const spoken = (text: string) =>
        text.split('\n').filter((line) => line.startsWith('mesh-gateway:'))
      assert.equal(alone.code, 1)
      assert.ok(spoken(alone.stderr).length >= 2, alone.stderr)
      assert.deepEqual(spoken(with2.stderr), spoken(alone.stderr))
      assert.equal(with2.code, 1)
      assert.equal(with2.stdout, alone.stdout)
      holder.close()
      await once(holder, 'close')
    })

  it('a wrong number of workers is a fault of the configuration, like any other', async () => {
    for (const wrong of ['0', '65', '1.5', '-1', 'many']) {
      const { code, stderr } = await place.run('start', '--workers', wrong)
      assert.equal(code, 2)
      assert.match(stderr, /workers \(--workers\): must be a whole number from 1 to 64, or auto/)
    }
    const { stdout } = await place.run('start', '--config', 'gateway.json', '--print-config')
    assert.equal(JSON.parse(stdout).workers, 1)
  })

  it('a second signal ends all of them at once', async () => {
    const { child, ended, pids, stderr } = await start()
    // one that hangs would be waited for
    process.kill(pids[0] ?? 0, 'SIGSTOP')
    child.kill('SIGTERM')
    await waitFor('the drain', () => stderr().includes('draining'))
    child.kill('SIGTERM')
    assert.deepEqual(await ended, [1, null])
    await waitFor('the end of the workers', () => !pids.some(isRunning))
  })

  it('a worker that does not end in time is killed', async () => {
    const { child, ended, pids } = await start('--drain-ms', '0')
    process.kill(pids[1] ?? 0, 'SIGSTOP')
    child.kill('SIGTERM')
    assert.deepEqual(await ended, [0, null])
    assert.equal(pids.some(isRunning), false)
  })

  it('on a Unix socket, also one that a killed gateway has left behind', async () => {
    const path = join(place.dir, 'egress.sock')
    for (const end of ['SIGKILL', 'SIGTERM'] as const) {
      const { child, ended, pids } = await start('--egress-listen', `unix:${path}`)
      for (let i = 0; i < 4; i += 1) {
        const socket = connect(path)
        socket.write('GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n')
        const [answer] = await once(socket, 'data')
        assert.match(String(answer), /200 OK[\s\S]*"up"/)
        socket.destroy()
      }
      assert.equal((await stat(path)).mode & 0o777, 0o660)
      const status = await readFile(`/proc/${child.pid}/status`, 'utf8').catch(() => null)
      // the supervisor makes the socket, some time before a worker sets its mode
      if (status !== null) assert.match(status, /^Umask:\t0\d\d7$/m)
      child.kill(end)
      await ended
      await waitFor('the end of the workers', () => !pids.some(isRunning))
    }
    assert.ok(!(await readdir(place.dir)).includes('egress.sock'))
  })

  it('a TLS session that one worker began goes on at any other, also after its certificate changed', async () => {
    const tls = join(place.dir, 'tls')
    const renew = () => place.issue('tls')
    await renew()
    const { said } = await start('--egress-tls-dir', tls, '--reload-poll-ms', '200')
    const [host = '', port = ''] = said('egress').replace('https://', '').split(':')
    const roots = await readFile(join(tls, 'ca.crt'), 'utf8')
    let session: Buffer | undefined
    const ask = async () => {
      const socket = connectTls({
        ...{ host, port: Number(port), ca: roots, servername: 'localhost' },
        checkServerIdentity(_, { serialNumber }) {
          serials.add(serialNumber)
          return undefined
        },
        ...(session === undefined ? {} : { session }),
      })
      socket.on('session', (ticket) => {
        session = ticket
      })
      await once(socket, 'secureConnect')
      socket.write('GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n')
      await once(socket, 'data')
      const resumed = socket.isSessionReused()
      socket.destroy()
      return resumed
    }
    const serials = new Set<string>()
    assert.equal(await ask(), false)
    // one connection after another goes to one worker after another
    for (let i = 0; i < 5; i += 1) assert.equal(await ask(), true)
    await renew()
    await waitFor('the new certificate', async () => {
      const kept = session
      session = undefined
      await ask()
      session = kept
      return serials.size === 2
    })
    for (let i = 0; i < 5; i += 1) assert.equal(await ask(), true)
  })
})

describeClosing('when the supervisor is gone', function () {
  this.timeout(120_000)
  let world: SeveralWorkers
  before(async () => {
    world = await startSeveralWorkers({ config: { drainMs: 60_000 } })
  })
  after(() => world.close())

  it('killed: the ports are free at once, and its workers let what runs end, and end', async () => {
    const pids = await world.pids()
    const tunnels = [await world.ask('bot'), await world.ask('bot')]
    const { pid } = world.gateway
    process.kill(pid, 'SIGKILL')
    await waitFor('its end', () => !isRunning(pid))
    for (const tunnel of tunnels) assert.equal(await tunnel.echoes(), true)
    const [host = '', port = ''] = world.gateway.egress.split(':')
    const refused = connect(Number(port), host)
    const [error] = await once(refused, 'error')
    assert.equal(error.code, 'ECONNREFUSED')
    await world.gateway.start()
    const next = await world.ask('bot')
    assert.equal(next.status, 200)
    next.socket.destroy()
    assert.equal(pids.every(isRunning), true)
    for (const tunnel of tunnels) {
      assert.equal(await tunnel.echoes(), true)
      tunnel.socket.destroy()
    }
    await waitFor('the end of its workers', () => !pids.some(isRunning))
  })

  it('asked to end: what runs at every worker goes on to its end, and new work is refused', async () => {
    const pids = await world.pids()
    const tunnels = [await world.ask('bot'), await world.ask('bot')]
    // as an init system sends it: to every process
    for (const pid of [...pids, world.gateway.pid]) process.kill(pid, 'SIGTERM')
    await waitFor('the drain', async () => {
      const { status, body } = await world.get('/ready')
      return status === 503 && body.includes('draining')
    })
    for (const tunnel of tunnels) assert.equal(await tunnel.echoes(), true)
    assert.deepEqual(JSON.parse((await world.get('/ready')).body).missing, [
      { what: 'draining', reason: 'the gateway is shutting down' },
    ])
    const [host = '', port = ''] = world.gateway.egress.split(':')
    const refused = connect(Number(port), host)
    await once(refused, 'error')
    for (const { socket } of tunnels) socket.destroy()
    assert.deepEqual(await world.gateway.ended, { code: 0, signal: null })
    assert.equal(pids.some(isRunning), false)
  })
})
