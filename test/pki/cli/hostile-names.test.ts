/** What stands in a certificate, or in a path, does not paint the terminal of whoever looks at it. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { mint } from '../../agent-sdk/tls/mint.ts'
import { meshPkiHere } from '../run-here.ts'

const NAME = 'good\u202eevil\u001b[2J'
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
const MOVES = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069]/

describe('mesh-pki, of a name that turns text about', () => {
  let dir: string
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-pki-'))
    const { pem, keyPem } = mint({ name: NAME, pathLength: null })
    await writeFile(join(dir, 'tls.crt'), pem)
    await writeFile(join(dir, 'tls.key'), keyPem)
  })
  after(() => rm(dir, { recursive: true }))

  for (const command of ['inspect', 'verify'])
    for (const json of [false, true])
      it(`${command}${json ? ' --json' : ''} prints it without the marks`, async () => {
        const file = join(dir, 'tls.crt')
        const ca = command === 'verify' ? ['--ca', file] : []
        const { stdout, stderr } = await meshPkiHere([
          command,
          file,
          ...ca,
          ...(json ? ['--json'] : []),
        ])
        assert.ok(stdout.length > 0)
        assert.doesNotMatch(stdout + stderr, MOVES)
      })

  it('says which file cannot be read without them', async () => {
    const { code, stderr } = await meshPkiHere(['inspect', join(dir, NAME)])
    assert.equal(code, 1)
    assert.match(stderr, /good\?evil\?\[2J/)
    assert.doesNotMatch(stderr, MOVES)
  })
})
