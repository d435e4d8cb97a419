/**
 * A token locks after a few wrong PINs. One start of a gateway tries one once, however many workers it has, and systemd
 * does not start it again then. The module is SoftHSM behind the spy of OpenSC, which writes each login down.
 */
import assert from 'node:assert/strict'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  type SeveralWorkers,
  startSeveralWorkers,
} from '../../mesh-gateway/workers/several-workers.ts'
import { needProgram } from '../../support/need-program.ts'
import { waitFor } from '../../support/wait-for.ts'
import { shipped } from '../shipped.ts'
import { MODULE, makeToken, PIN, type SoftHsm } from './soft-hsm.ts'

const SPY = '/usr/lib/x86_64-linux-gnu/pkcs11-spy.so'
const WORKERS = 2
const WRONG = /exit code 3:.*does not take the PIN/s

describe('the PIN of a token, with several workers', function () {
  this.timeout(240_000)
  let hsm: SoftHsm
  let world: SeveralWorkers
  before(async function () {
    needProgram(this, 'softhsm2-util', '--version')
    needProgram(this, 'pkcs11-tool', '--module', MODULE, '--show-info')
    hsm = makeToken('mesh')
    world = await startSeveralWorkers({
      workers: WORKERS,
      config: { keys: { dir: 'keys', pkcs11: hsm.uri.replace(MODULE, SPY) } },
      env: { PKCS11SPY: MODULE, PKCS11SPY_OUTPUT: join(hsm.dir, 'spy') },
    })
  })
  after(async () => {
    await world?.close()
    hsm?.remove()
  })

  const logins = () => readFileSync(join(hsm.dir, 'spy'), 'utf8').split(/: C_Login\n/).length - 1
  /** How many logins something takes. */
  const during = async (work: () => Promise<unknown>) => {
    const before = logins()
    await work()
    return logins() - before
  }

  it('is told once for all of them, and no more for a worker that takes the place of another', async () => {
    await world.gateway.stop()
    assert.equal(await during(() => world.gateway.start()), 1)
    const pids = await waitFor('all workers', async () => {
      const found = await world.pids()
      return found.length === WORKERS && found
    })
    const [first = 0] = pids
    const another = await during(async () => {
      process.kill(first, 'SIGKILL')
      await waitFor('another worker', async () => {
        const found = await world.pids()
        return found.length === WORKERS && !found.includes(first)
      })
    })
    assert.equal(another, 0)
    assert.equal((await world.get('/ready')).body, '{"status":"ready"}\n')
  })

  it('is tried once in a start when it is wrong, and the gateway ends with the status that systemd is told of', async () => {
    await world.gateway.stop()
    writeFileSync(hsm.pinFile, 'wrong\n')
    const start = () => assert.rejects(world.gateway.start(), WRONG)
    for (let round = 0; round < 2; round += 1) assert.equal(await during(start), 1)
    assert.match(
      await shipped('systemd/clawmesh-gateway.service', {}),
      /^RestartPreventExitStatus=3$/m,
    )
  })

  it('is tried once also where there are no keys yet', async () => {
    rmSync(join(world.dir, 'keys'), { recursive: true })
    assert.equal(await during(() => assert.rejects(world.gateway.start(), WRONG)), 1)
    writeFileSync(hsm.pinFile, `${PIN}\n`)
    await world.gateway.start()
    assert.equal((await world.get('/ready')).status, 200)
  })
})
