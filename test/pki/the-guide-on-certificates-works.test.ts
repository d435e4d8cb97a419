import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { needProgram } from '../support/need-program.ts'
import { run } from './run.ts'
import { meshPkiHere } from './run-here.ts'
import { makeScratch, PASSPHRASE, type Scratch } from './scratch.ts'

const PLAIN = /^[\w./ -]+$/
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
    const env = { MESH_PKI_PASSPHRASE: PASSPHRASE.reveal() }
    const cwd = scratch.dir
    const blocks = (await readFile(GUIDE, 'utf8')).matchAll(/^```console\n(.*?)^```$/gms)
    const commands = [...blocks].flatMap(([, block = '']) => block.match(/(?<=^\$ ).*$/gm) ?? [])
    assert.ok(commands.length > 10)
    for (const command of commands) {
      // what the shell has nothing to do with runs in this process
      const [program, ...args] = PLAIN.test(command) ? command.split(' ') : []
      const { code, stderr } =
        program === 'mesh-pki'
          ? await meshPkiHere(args, { env, cwd })
          : await run('sh', ['-c', command], { env, cwd })
      assert.equal(code, 0, `${command}\n${stderr}`)
    }
  })
})
