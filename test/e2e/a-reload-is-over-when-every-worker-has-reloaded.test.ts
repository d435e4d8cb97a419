/** systemd (and who asked) is told that a reload is over when the slowest worker has read everything anew, with its faults. */
import assert from 'node:assert/strict'
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import {
  type SeveralWorkers,
  startSeveralWorkers,
} from '../mesh-gateway/workers/several-workers.ts'
import { waitFor } from '../support/wait-for.ts'

describe('a reload of a gateway of several workers', () => {
  let dir: string
  let world: SeveralWorkers
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-reload-'))
    const file = join(dir, 'systemd-notify')
    await writeFile(file, `#!/bin/sh\necho "$@" >>"${dir}/told"\n`)
    await chmod(file, 0o755)
    world = await startSeveralWorkers({
      // nothing is found by looking again and again
      config: { reload: { pollMs: 3_600_000 } },
      env: {
        NOTIFY_SOCKET: '/run/systemd/notify',
        PATH: `${dir}${delimiter}${process.env.PATH ?? ''}`,
      },
    })
  })
  after(async () => {
    await world?.close()
    await rm(dir, { recursive: true, force: true })
  })

  const told = async () =>
    (await readFile(join(dir, 'told'), 'utf8').catch(() => '')).split('\n').filter(Boolean)
  /** What it told since it began to reload; null before. */
  const sinceReload = async (reloads: number) => {
    const all = await told()
    const begins = all.flatMap((line, at) => (line.startsWith('RELOADING=1') ? [at] : []))
    const begin = begins[reloads - 1]
    return begin === undefined ? null : all.slice(begin + 1)
  }
  const over = (reloads: number) =>
    waitFor('READY=1', async () => (await sinceReload(reloads))?.[0] ?? false)

  it('waits for the slowest of them, and tells the faults of each', async () => {
    const [, slow] = await waitFor('two workers', async () => {
      const pids = await world.pids()
      return pids.length === 2 && pids
    })
    assert.ok(slow !== undefined)
    await world.setPolicy({ allow: 'no list' })
    process.kill(slow, 'SIGSTOP')
    process.kill(world.gateway.pid, 'SIGHUP')
    await waitFor('RELOADING=1', async () => (await sinceReload(1)) !== null)
    // each waits a second for the worker that is silent, as the state in words does
    for (let asked = 0; asked < 3; asked += 1) await world.get('/ready')
    assert.deepEqual(await sinceReload(1), [])
    process.kill(slow, 'SIGCONT')
    assert.match(await over(1), /^READY=1 STATUS=degraded: policy: .*acme\.json/)
    const line = world.gateway.lastLines().find((one) => one.includes('not everything could'))
    const { faults } = JSON.parse(line ?? '{}')
    assert.deepEqual(
      faults.map(({ worker, what }: { worker: number; what: string }) => [worker, what]),
      [
        [1, 'policy'],
        [2, 'policy'],
      ],
    )
  })

  it('says so when all is well', async () => {
    await world.setPolicy({})
    process.kill(world.gateway.pid, 'SIGHUP')
    assert.equal(await over(2), 'READY=1 STATUS=ready')
    assert.ok(world.gateway.lastLines().some((one) => one.includes('has been read anew')))
  })

  it('tells a fault of the configuration itself, which no worker reads', async () => {
    const { configFile } = world.gateway
    const config = await readFile(configFile)
    await writeFile(configFile, '{ broken')
    process.kill(world.gateway.pid, 'SIGHUP')
    assert.match(await over(3), /^READY=1 STATUS=degraded: config: /)
    const line = world.gateway.lastLines().findLast((one) => one.includes('anew'))
    assert.match(line ?? '', /"faults":\[\{"what":"config",.*not everything could be read anew/)
    await writeFile(configFile, config)
    process.kill(world.gateway.pid, 'SIGHUP')
    assert.equal(await over(4), 'READY=1 STATUS=ready')
  })

  it('does not wait for a worker that ends meanwhile', async () => {
    const [, slow] = await world.pids()
    assert.ok(slow !== undefined)
    process.kill(slow, 'SIGSTOP')
    process.kill(world.gateway.pid, 'SIGHUP')
    await waitFor('RELOADING=1', async () => (await sinceReload(5)) !== null)
    process.kill(slow, 'SIGKILL')
    assert.match(await over(5), /^READY=1 /)
    const line = world.gateway.lastLines().find((one) => one.includes('it ended meanwhile'))
    assert.match(line ?? '', /"worker":2,"what":"worker"/)
  })
})
