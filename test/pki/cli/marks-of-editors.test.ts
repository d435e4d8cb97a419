/** A byte order mark, as editors of Windows write it, stands before no file that a command reads in vain. */
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { makeRequest } from '../make-request.ts'
import { meshPkiHere } from '../run-here.ts'
import { makeScratch, type Scratch } from '../scratch.ts'

const MARK = '\uFEFF'

describe('a byte order mark', () => {
  let scratch: Scratch
  before(async () => {
    scratch = await makeScratch()
  })
  after(() => scratch.remove())

  async function command(...args: readonly string[]) {
    const { code, stdout, stderr } = await meshPkiHere(args)
    assert.equal(code, 0, `${args.join(' ')}\n${stdout}${stderr}`)
    return stdout
  }
  const mark = async (path: string) => writeFile(path, MARK + (await readFile(path, 'utf8')))

  it('is passed over in every file of every command', async function () {
    this.timeout(60_000)
    const at = (name: string) => scratch.path(name)
    const pass = ['--passphrase-file', at('pass.txt')]
    await writeFile(at('pass.txt'), 'a passphrase of the tests\n')
    await command('init', '--trust-domain', 'mesh.internal', '--dir', at('ca'), ...pass)
    await mark(at('pass.txt'))
    const dir = at('ca')
    for (const name of await readdir(dir)) if (!/jsonl$/.test(name)) await mark(join(dir, name))
    const ca = ['--dir', dir, ...pass]
    const planner = ['--tenant', 'acme', '--agent', 'planner']
    await command('issue', 'agent', ...planner, '--out', at('planner'), ...ca)
    const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    await writeFile(at('key'), keys.privateKey.export({ type: 'pkcs8', format: 'pem' }))
    await writeFile(at('csr'), makeRequest({ keys }))
    for (const name of ['csr', 'key']) await mark(at(name))
    await command('sign', '--csr', at('csr'), ...planner, '--out', at('signed.crt'), ...ca)
    for (const name of ['planner/tls.crt', 'planner/tls.key', 'planner/ca.crt', 'signed.crt'])
      await mark(at(name))
    await command('verify', at('planner'))
    await command('verify', at('signed.crt'), '--ca', join(dir, 'root.crt'))
    for (const name of ['csr', 'key', 'signed.crt', 'planner', 'ca'])
      assert.match(await command('inspect', at(name)), /EC P-256/)
    await command('trust', join(dir, 'root.crt'), '--dir', dir)
    await command('renew', 'intermediate', '--root-key', join(dir, 'root.key'), ...ca)
    await command('revoke', at('signed.crt'), '--dir', dir)
    await command('crl', '--out', at('crl.pem'), ...ca)
  })

  it('of several files that were put together, is passed over before each', async () => {
    const { stdout } = { stdout: await readFile(scratch.path('planner', 'tls.crt'), 'utf8') }
    const both = stdout.replaceAll('-----BEGIN', `${MARK}-----BEGIN`)
    await writeFile(scratch.path('both.crt'), both)
    const said = await command('inspect', scratch.path('both.crt'))
    assert.equal(said.match(/^certificate/gm)?.length, 2)
  })
})
