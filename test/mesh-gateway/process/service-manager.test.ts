import assert from 'node:assert/strict'
import { chmod, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openServiceManager } from '../../../mesh-gateway/src/process/service-manager.ts'
import { waitFor } from '../../support/wait-for.ts'

/** What systemd itself does with the messages is tried in test/deploy/systemd. */
describe('Telling the service manager', () => {
  let dir: string
  let warnings: string[]
  const log = { warn: (_fields: object, text: string) => void warnings.push(text) }

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-notify-'))
    warnings = []
    const tell = `printf '%s|' "$@" >>"${dir}/told"; echo >>"${dir}/told"`
    const file = join(dir, 'systemd-notify')
    await writeFile(file, `#!/bin/sh\n[ ! -e "${dir}/fails" ] || exit 1\n${tell}\n`)
    await chmod(file, 0o755)
  })

  afterEach(() => rm(dir, { recursive: true, force: true }))

  const env = (more: Readonly<Record<string, string>> = {}) => ({
    NOTIFY_SOCKET: '/run/systemd/notify',
    PATH: dir,
    ...more,
  })
  const told = async () =>
    (await readFile(join(dir, 'told'), 'utf8').catch(() => '')).split('\n').filter(Boolean)

  it('says when it is ready, reloads and stops, in this order', async () => {
    const manager = openServiceManager({ env: env(), log })
    manager.ready('ready')
    manager.reloading()
    manager.ready('degraded: policy: acme.json\nREADY=0')
    manager.stopping(40_000)
    const lines = await waitFor('four messages', async () => {
      const all = await told()
      return all.length === 4 && all
    })
    assert.match(lines[1] ?? '', /^RELOADING=1\|MONOTONIC_USEC=\d+\|$/)
    assert.deepEqual(
      lines.filter((_, at) => at !== 1),
      [
        'READY=1|STATUS=ready|',
        'READY=1|STATUS=degraded: policy: acme.json READY=0|',
        'STOPPING=1|EXTEND_TIMEOUT_USEC=40000000|',
      ],
    )
    manager.close()
  })

  it('says its state when it is another, and only then', async () => {
    const manager = openServiceManager({ env: env(), log, followMs: 5 })
    let state = 'degraded: policy: acme.json'
    manager.follow(async () => state)
    manager.ready('ready')
    const lines = (count: number) =>
      waitFor(`${count} messages`, async () => {
        const all = await told()
        return all.length >= count && all
      })
    assert.deepEqual(await lines(2), [
      'READY=1|STATUS=ready|',
      'READY=1|STATUS=degraded: policy: acme.json|',
    ])
    state = 'ready'
    await lines(3)
    // it is reloading until it says ready again
    manager.reloading()
    state = 'degraded: keys: ring.json'
    await lines(4)
    manager.ready('ready')
    assert.deepEqual((await lines(6)).slice(4), [
      'READY=1|STATUS=ready|',
      'READY=1|STATUS=degraded: keys: ring.json|',
    ])
    manager.stopping(1)
    state = 'not ready: draining'
    assert.match((await lines(7)).at(-1) ?? '', /^STOPPING/)
    assert.equal((await told()).length, 7)
    manager.close()
  })

  it('says again what got lost', async () => {
    await writeFile(join(dir, 'fails'), '')
    const manager = openServiceManager({ env: env(), log, followMs: 5 })
    manager.ready('ready')
    manager.follow(async () => 'ready')
    await waitFor('a warning', () => warnings.length > 0)
    assert.deepEqual(await told(), [])
    await rm(join(dir, 'fails'))
    await waitFor('the state', async () => (await told()).includes('READY=1|STATUS=ready|'))
    assert.equal(warnings.length, 1)
    manager.close()
  })

  it('says that it is alive, once it is ready, until it is closed', async () => {
    const manager = openServiceManager({ env: env({ WATCHDOG_USEC: '20000' }), log })
    assert.deepEqual(await told(), [])
    manager.ready('ready')
    await waitFor('signs of life', async () => (await told()).length > 3)
    const [first, ...others] = await told()
    assert.equal(first, 'READY=1|STATUS=ready|')
    assert.ok(others.every((line) => line === 'WATCHDOG=1|'))
    manager.close()
  })

  it('says that it is alive while another message, or the last sign of life, is slow to leave', async () => {
    // on a busy machine a process takes seconds to start; this one waits for a file
    const wait = `while [ -e "${dir}/$1" ]; do sleep 0.01; done`
    const tell = `printf '%s|' "$@" >>"${dir}/told"; echo >>"${dir}/told"`
    const file = join(dir, 'systemd-notify')
    await writeFile(file, `#!/bin/sh\necho "$1" >>"${dir}/begun"\n${wait}\n${tell}\n`)
    const slow = (message: string) => writeFile(join(dir, message), '')
    const begun = async (message: string) =>
      (await readFile(join(dir, 'begun'), 'utf8')).split('\n').filter((one) => one === message)
        .length
    // a sign may take the whole period, and what runs beside this test takes its time
    const usual = { ...env({ WATCHDOG_USEC: '8000000' }), PATH: `${dir}:/usr/bin:/bin` }
    const manager = openServiceManager({ env: usual, log })
    manager.ready('ready')
    await waitFor('the first message', async () => (await told()).length > 0)
    await slow('RELOADING=1')
    await slow('WATCHDOG=1')
    manager.reloading()
    await waitFor('two signs of life on their way', async () => (await begun('WATCHDOG=1')) >= 2)
    await rm(join(dir, 'WATCHDOG=1'))
    await waitFor('signs of life', async () => (await told()).includes('WATCHDOG=1|'))
    assert.ok(!(await told()).some((line) => line.startsWith('RELOADING')))
    await rm(join(dir, 'RELOADING=1'))
    await waitFor('the other', async () => (await told()).some((line) => /^RELOADING/.test(line)))
    manager.close()
    assert.deepEqual(warnings, [])
  })

  it('sends no sign of life for another process', async () => {
    const ours = env({ WATCHDOG_USEC: '1000', WATCHDOG_PID: '4711' })
    const manager = openServiceManager({ env: ours, log, pid: 4712 })
    manager.ready('ready')
    await waitFor('the first message', async () => (await told()).length > 0)
    manager.stopping(1)
    const lines = await waitFor('the last message', async () => {
      const all = await told()
      return all.some((line) => line.startsWith('STOPPING')) && all
    })
    assert.equal(lines.length, 2)
    manager.close()
  })

  it('says in the log, once, that systemd-notify fails, and goes on', async () => {
    await writeFile(join(dir, 'fails'), '')
    const manager = openServiceManager({ env: env(), log })
    manager.ready('ready')
    manager.reloading()
    manager.ready('ready')
    await waitFor('a warning', () => warnings.length > 0)
    await rm(join(dir, 'fails'))
    manager.stopping(1)
    await waitFor('a message', async () => (await told()).some((line) => /^STOPPING/.test(line)))
    assert.equal(warnings.length, 1)
    manager.close()
  })

  it('goes on when a process cannot even be started', async () => {
    // it is being written, as in an upgrade: Node throws
    await using _writer = await open(join(dir, 'systemd-notify'), 'r+')
    const manager = openServiceManager({ env: env(), log })
    manager.ready('ready')
    await waitFor('a warning', () => warnings.length > 0)
    manager.stopping(1)
    manager.close()
  })

  it('does nothing without a service manager', async () => {
    const manager = openServiceManager({ env: { PATH: dir, WATCHDOG_USEC: '1000' }, log })
    manager.ready('ready')
    manager.stopping(1)
    manager.close()
    assert.deepEqual([await told(), warnings], [[], []])
  })
})
