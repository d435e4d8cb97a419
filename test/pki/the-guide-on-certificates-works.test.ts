import assert from 'node:assert/strict'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { delimiter } from 'node:path'
import { needProgram } from '../support/need-program.ts'
import { MESH_PKI, run } from './run.ts'
import { makeScratch, PASSPHRASE, type Scratch } from './scratch.ts'

const GUIDE = new URL('../../docs/guides/certificates.md', import.meta.url)

describe('the guide on certificates', () => {
  let scratch: Scratch
  before(async () => {
    scratch = await makeScratch()
  })
  after(() => scratch.remove())

  it('holds commands that work, one after the other', async function () {
    needProgram(this, 'openssl', 'version')
    this.timeout(240_000)
    const bin = scratch.path('bin')
    await mkdir(bin)
    await writeFile(`${bin}/mesh-pki`, `#!/bin/sh\nexec '${process.execPath}' '${MESH_PKI}' "$@"\n`)
    await chmod(`${bin}/mesh-pki`, 0o755)
    const env = {
      PATH: [bin, process.env.PATH].join(delimiter),
      NODE_COMPILE_CACHE: scratch.path('compiled'),
      MESH_PKI_PASSPHRASE: PASSPHRASE.reveal(),
    }
    const blocks = (await readFile(GUIDE, 'utf8')).matchAll(/^```console\n(.*?)^```$/gms)
    const commands = [...blocks].flatMap(([, block = '']) => block.match(/(?<=^\$ ).*$/gm) ?? [])
    assert.ok(commands.length > 10)
    for (const command of commands) {
      const { code, stderr } = await run('sh', ['-c', command], { env, cwd: scratch.dir })
      assert.equal(code, 0, `${command}\n${stderr}`)
    }
  })
})
