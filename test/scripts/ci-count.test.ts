import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { run } from '../support/grpcurl.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))

describe('the last line of CI', () => {
  let dir: string
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-count-'))
  })
  after(() => rm(dir, { recursive: true }))

  const count = async (tests: string) => {
    const file = join(dir, 'some.test.ts')
    const output = join(dir, 'count.json')
    await rm(output, { force: true })
    await writeFile(file, tests)
    const mocha = join(root, 'node_modules/mocha/bin/mocha.js')
    const reporter = ['--reporter', join(root, 'scripts/ci/spec-and-count.ts')]
    const ran = await run(process.execPath, [
      ...[mocha, '--no-config', file, ...reporter],
      ...['--reporter-option', `output=${output}`],
    ])
    const printed = await run(process.execPath, [join(root, 'scripts/ci/print-count.ts'), output])
    return { mocha: ran.code, code: printed.code, lines: printed.stdout.trim().split('\n') }
  }

  it('is what mocha counted', async () => {
    const good = await count("it('a', () => {})\nit('b', () => {})")
    assert.deepEqual(good, { mocha: 0, code: 0, lines: ['2 passed, 0 failed'] })
    const bad = await count("it('a', () => {})\nit('b', () => { throw new Error('x') })")
    assert.equal(bad.code, 1)
    assert.equal(bad.lines.at(-1), '1 passed, 1 failed')
    assert.notEqual(bad.mocha, 0)
  })

  it('says what was skipped, and fails for it', async () => {
    const skipped = await count("it('a', () => {})\ndescribe('b', () => it.skip('c', () => {}))")
    assert.deepEqual(skipped.lines, ['skipped: b c', '1 passed, 0 failed'])
    assert.equal(skipped.code, 1)
  })

  it('fails when nothing ran, or mocha did not get to its end', async () => {
    assert.equal((await count('')).code, 1)
    const broken = await count('process.exit(0)')
    assert.equal(broken.code, 1)
    assert.equal(broken.lines.at(-1), '0 passed, 1 failed')
  })
})
