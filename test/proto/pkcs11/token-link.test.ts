import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const PROGRAM = fileURLToPath(new URL('sign-without-descriptors.ts', import.meta.url))

describe('the link to a token', () => {
  it('refuses a signature when there is no file descriptor for its process, and ends nothing else', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'token-link-'))
    try {
      const pinFile = join(dir, 'pin')
      await writeFile(pinFile, '12345678\n')
      // it dies of an error that nothing listens to, unless the link does
      const { stdout } = await promisify(execFile)('/bin/sh', [
        ...['-c', 'ulimit -n 200; exec "$@"', 'sh'],
        ...[process.execPath, PROGRAM, pinFile],
      ])
      const { without, enough } = JSON.parse(stdout)
      assert.match(without, /token none cannot be used: its process cannot be started \(EMFILE\)/)
      // its module is none: the process was there
      assert.match(enough, /token none cannot be used: (?!its process)/)
    } finally {
      await rm(dir, { recursive: true })
    }
  })
})
