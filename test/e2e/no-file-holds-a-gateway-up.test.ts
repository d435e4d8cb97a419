/** What takes the place of a file that a running gateway follows: it is warned of, the last good one stays, nothing waits for it. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { link, open, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type GatewayOfFiles,
  type GatewayOfFilesOptions,
  startGatewayOfFiles,
  waitForSuccess,
} from '../support/gateway-of-files.ts'
import { needNamedPipes } from '../support/named-pipe.ts'
import { waitFor } from '../support/wait-for.ts'

const MIB = 1024 * 1024

function residentBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024
}

describe('no file holds a gateway up:', function () {
  this.timeout(240_000)
  let opened: GatewayOfFiles | undefined
  afterEach(async () => {
    await opened?.close()
    opened = undefined
  })

  async function start(options: GatewayOfFilesOptions = {}): Promise<GatewayOfFiles> {
    opened = await startGatewayOfFiles(options)
    return opened
  }

  const alive = async (world: GatewayOfFiles) => {
    const answer = await fetch(`http://${world.gateway.admin}/ready`)
    assert.equal(answer.status, 200)
  }

  it('a named pipe in its place is warned of once, and the good file that is put back is read', async function () {
    needNamedPipes(this)
    const world = await start()
    for (const file of world.files) {
      await world.replaceByPipe(file)
      await waitForSuccess(world, file, 0)
      await alive(world)
      process.kill(world.gateway.pid, 'SIGHUP')
      await alive(world)
      const before = await world.generation(file)
      assert.equal(world.warnings(file).length, 1, world.warnings(file).join('\n'))
      assert.match(world.warnings(file)[0] ?? '', /regular file/)
      await world.putBack(file)
      await waitForSuccess(world, file, 1)
      if (file.exact === true) continue
      const next = async () => (await world.generation(file)) === (before ?? 0) + 1
      await waitFor(`${file.what} to be read again`, next)
    }
    assert.equal((await world.gateway.stop()).code, 0)
  })

  it('with pipes in all places it ends at SIGTERM as ever', async function () {
    needNamedPipes(this)
    const world = await start()
    for (const file of world.files) await world.replaceByPipe(file)
    for (const file of world.files) await waitForSuccess(world, file, 0)
    assert.deepEqual(await world.gateway.stop(), { code: 0, signal: null })
  })

  it('a file of 200 MB is not read', async function () {
    if (process.platform !== 'linux') return this.skip()
    const world = await start()
    const { pid } = world.gateway
    for (const file of world.files) {
      const huge = `${file.path}.huge`
      await writeFile(huge, '')
      await truncate(huge, 200 * MIB)
      const before = residentBytes(pid)
      await link(file.path, `${file.path}.kept`)
      await rename(huge, file.path)
      await waitForSuccess(world, file, 0)
      const grown = residentBytes(pid) - before
      assert.ok(grown < 50 * MIB, `${file.what}: ${grown} bytes more`)
      // the journal of revocations is read line by line
      assert.match(world.warnings(file)[0] ?? '', /larger than|a line is too long/)
      await world.putBack(file)
      await waitForSuccess(world, file, 1)
    }
  })

  it('a disk that does not answer is waited for no longer than five seconds, by SIGTERM neither', async function () {
    needNamedPipes(this)
    // opens without O_NONBLOCK: a pipe then keeps the thread that opens it, as a mount does that hangs
    const hook = join(import.meta.dirname, '..', 'support', 'blocking-open.ts')
    const world = await start({ env: { NODE_OPTIONS: `--import ${hook}` } })
    for (const file of world.files) await world.replaceByPipe(file)
    for (const file of world.files) await waitForSuccess(world, file, 0)
    await alive(world)
    for (const file of world.files) {
      assert.equal(world.warnings(file).length, 1, world.warnings(file).join('\n'))
      assert.match(world.warnings(file)[0] ?? '', /did not answer/)
    }
    // the disk answers again
    for (const file of world.files) {
      const pipe = await open(file.path, 'r+')
      await world.putBack(file)
      await pipe.close()
    }
    for (const file of world.files) await waitForSuccess(world, file, 1)
    await alive(world)
    for (const file of world.files) await world.replaceByPipe(file)
    for (const file of world.files) await waitForSuccess(world, file, 0)
    // within the grace time, after which it would be killed
    assert.deepEqual(await world.gateway.stop(), { code: null, signal: 'SIGTERM' })
    for (const file of world.files) await rm(file.path)
  })
})
