import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { lookupThreads, widenThreadPool } from '../../../mesh-gateway/src/process/thread-pool.ts'
import { makeNamedPipe, needNamedPipes } from '../../support/named-pipe.ts'

const PROGRAM = fileURLToPath(new URL('./hanging-lookups.ts', import.meta.url))

describe('the threads of the process', () => {
  it('are 24 unless the environment says otherwise', () => {
    const env: NodeJS.ProcessEnv = {}
    widenThreadPool(env)
    assert.equal(env.UV_THREADPOOL_SIZE, '24')
    const told = { UV_THREADPOOL_SIZE: '6' }
    widenThreadPool(told)
    assert.equal(told.UV_THREADPOOL_SIZE, '6')
  })

  it('are taken by lookups up to the half that libuv lets them have, so that none waits there behind another', () => {
    const lookups = (size?: string) =>
      lookupThreads(size === undefined ? {} : { UV_THREADPOOL_SIZE: size })
    assert.equal(lookups(), 2)
    assert.equal(lookups('24'), 12)
    assert.equal(lookups('8'), 4)
    assert.equal(lookups('7'), 4)
    assert.equal(lookups('2'), 1)
    for (const one of ['1', '0', '-3', 'many', '']) assert.equal(lookups(one), 1, one)
    assert.equal(lookups('100000'), 512)
    assert.equal(lookups('12 of them'), 6)
    assert.equal(lookups('1e3'), 1, 'libuv reads a 1')
  })

  for (const size of ['4', '7', '24'])
    it(`look up names of one tenant, and read files, while all that another may ask for hang: of ${size}`, async function () {
      needNamedPipes(this)
      this.timeout(120_000)
      const dir = await mkdtemp(join(tmpdir(), 'clawmesh-threads-'))
      // glibc reads the file that this names for each name without a dot: a pipe that nobody writes to holds it for ever
      const aliases = join(dir, 'aliases')
      makeNamedPipe(aliases)
      const child = spawn(process.execPath, [PROGRAM], {
        env: { ...process.env, UV_THREADPOOL_SIZE: size, HOSTALIASES: aliases },
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      const closed = once(child, 'close')
      try {
        let said = ''
        for await (const data of child.stdout) {
          said += data
          if (said === 'file\nname\n') break
        }
        assert.equal(said, 'file\nname\n')
      } finally {
        child.kill('SIGKILL')
        await closed
        await rm(dir, { recursive: true })
      }
    })
})
