/** The end of a process whose disk is slow, or does not answer. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeNamedPipe, needNamedPipes } from '../../support/named-pipe.ts'

const TERMINAL = new URL('../../../mesh-gateway/src/process/terminal.ts', import.meta.url).href

describe('the end of a process', () => {
  let dir: string
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-end-'))
  })
  after(() => rm(dir, { recursive: true }))

  /** With an `open` that waits until the other end of a pipe is opened, in milliseconds; null: for ever. */
  async function ended(answersMs: number | null): Promise<unknown[]> {
    const pipe = join(dir, `pipe-${answersMs}`)
    makeNamedPipe(pipe)
    const script = `import { open, openSync } from 'node:fs'
      import { endProcess } from ${JSON.stringify(TERMINAL)}
      process.on('SIGTERM', () => {})
      open(${JSON.stringify(pipe)}, 'r', () => {})
      endProcess(process, 7)
      ${answersMs === null ? '' : `setTimeout(() => openSync(${JSON.stringify(pipe)}, 'w'), ${answersMs})`}`
    const child = spawn(process.execPath, ['--input-type=module', '--eval', script])
    return once(child, 'exit')
  }

  it('has its code though an operation of the disk was slow', async function () {
    needNamedPipes(this)
    assert.deepEqual(await ended(400), [7, null])
  })

  it('comes by a signal when the disk does not answer at all', async function () {
    needNamedPipes(this)
    assert.deepEqual(await ended(null), [null, 'SIGTERM'])
  })
})
