/** What stands in a certificate, or in a path, does not paint the terminal of whoever looks at it. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { needProgram } from '../../support/need-program.ts'
import { meshPki, run } from '../run.ts'

const NAME = 'good\u202eevil\u001b[2J'
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
const MOVES = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069]/

describe('mesh-pki, of a name that turns text about', () => {
  let dir: string
  before(async function () {
    needProgram(this, 'openssl', 'version')
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-pki-'))
    const key = ['-newkey', 'rsa:2048', '-nodes', '-keyout', join(dir, 'tls.key')]
    const made = await run('openssl', [
      ...['req', '-x509', '-utf8', '-subj', `/CN=${NAME}`, ...key],
      ...['-out', join(dir, 'tls.crt'), '-days', '2'],
    ])
    assert.equal(made.code, 0, made.stderr)
  })
  after(async () => {
    if (dir !== undefined) await rm(dir, { recursive: true })
  })

  for (const command of ['inspect', 'verify'])
    for (const json of [false, true])
      it(`${command}${json ? ' --json' : ''} prints it without the marks`, async () => {
        const file = join(dir, 'tls.crt')
        const ca = command === 'verify' ? ['--ca', file] : []
        const { stdout, stderr } = await meshPki([
          command,
          file,
          ...ca,
          ...(json ? ['--json'] : []),
        ])
        assert.ok(stdout.length > 0)
        assert.doesNotMatch(stdout + stderr, MOVES)
      })

  it('says which file cannot be read without them', async () => {
    const { code, stderr } = await meshPki(['inspect', join(dir, NAME)])
    assert.equal(code, 1)
    assert.match(stderr, /good\?evil\?\[2J/)
    assert.doesNotMatch(stderr, MOVES)
  })
})
