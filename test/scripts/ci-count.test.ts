import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { run } from '../support/grpcurl.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const script = (name: string) => join(root, 'scripts/ci', name)

for (const [how, more] of [
  ['of tests in one process', []],
  ['of tests in two processes', ['--parallel', '--jobs=2']],
] as const)
  describe(`the last line of CI, ${how}`, () => countIsTrue(more))

function countIsTrue(more: readonly string[]): void {
  let dir: string
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-count-'))
    await mkdir(join(dir, 'test'))
  })
  afterEach(() => rm(dir, { recursive: true }))

  const countWith = async (options: readonly string[], ...files: string[]) => {
    const output = join(dir, 'count.json')
    for (const [index, text] of files.entries())
      await writeFile(join(dir, 'test', `${'abc'[index]}.test.mjs`), `${HEAD}${text}`)
    const mocha = join(root, 'node_modules/mocha/bin/mocha.js')
    const ran = await run(
      process.execPath,
      [
        script('run-tests.ts'),
        output,
        process.execPath,
        mocha,
        '--no-config',
        '--extension=mjs',
        ...options,
      ],
      { cwd: dir },
    )
    const printed = await run(process.execPath, [script('print-count.ts'), output])
    return { tests: ran.code, code: printed.code, lines: printed.stdout.trim().split('\n') }
  }
  const count = (...files: string[]) => countWith(more, ...files)
  // the first call in all runs fails, the next ones do not
  const HEAD = `
    import { existsSync, writeFileSync } from 'node:fs'
    const failsOnce = (name) => () => {
      if (existsSync(name)) return
      writeFileSync(name, '')
      throw new Error('once')
    }
    const fails = () => { throw new Error('always') }
    const passes = () => {}
  `

  it('is what mocha counted', async () => {
    const good = await count("it('a', passes)\nit('b', passes)")
    assert.deepEqual(good, { tests: 0, code: 0, lines: ['2 passed, 0 failed'] })
  })

  it('fails with a test that fails each time, and names it', async () => {
    const bad = await count("it('a', passes)\nit('b', fails)", "it('c', passes)")
    assert.notEqual(bad.tests, 0)
    assert.equal(bad.code, 1)
    assert.deepEqual(bad.lines.slice(-2), ['failed: b: Error: always', '2 passed, 1 failed'])
  })

  it('names what passed only when it was tried a second time', async () => {
    const { lines, ...codes } = await count("it('a', failsOnce('a'))\nit('b', passes)")
    assert.deepEqual(codes, { tests: 0, code: 0 })
    assert.deepEqual(lines, ['tried a second time: a: Error: once', '2 passed, 0 failed'])
  })

  it('the same for a hook: its file runs again, and each test counts once', async () => {
    const flaky =
      "describe('d', () => { before(failsOnce('b')); it('b', passes); it('c', passes) })"
    const { lines, ...codes } = await count("it('a', passes)", flaky, "it('e', passes)")
    assert.deepEqual(codes, { tests: 0, code: 0 })
    assert.deepEqual(lines, [
      'tried a second time: d "before all" hook for "b": Error: once',
      '4 passed, 0 failed',
    ])
    const late = "describe('d', () => { after(failsOnce('l')); it('b', passes); it('c', passes) })"
    assert.equal((await count("it('a', passes)", late)).lines.at(-1), '4 passed, 0 failed')
  })

  if (more.includes('--parallel'))
    it('the same for a hook that is run for each file', async () => {
      const hooks = `export const mochaHooks = { afterAll: () => failsOnce('h')() }`
      await writeFile(join(dir, 'hooks.mjs'), `${HEAD}${hooks}`)
      const options = [...more, '--require=./hooks.mjs']
      const { lines, ...codes } = await countWith(options, "it('a', passes)", "it('b', passes)")
      assert.deepEqual(codes, { tests: 0, code: 0 })
      assert.match(lines[0] ?? '', /^tried a second time: .*"after all" hook.*: Error: once$/)
      assert.equal(lines[1], '2 passed, 0 failed')
    })

  it('fails with a hook that fails each time', async () => {
    const broken = "describe('d', () => { before(fails); it('b', passes) })"
    const { lines, ...codes } = await count("it('a', passes)", broken)
    assert.deepEqual(codes, { tests: 1, code: 1 })
    assert.equal(lines.at(-1), '1 passed, 1 failed')
  })

  it('says what was skipped, and fails for it', async () => {
    const skipped = await count("it('a', passes)\ndescribe('b', () => it.skip('c', passes))")
    assert.deepEqual(skipped.lines, ['skipped: b c', '1 passed, 0 failed'])
    assert.equal(skipped.code, 1)
  })

  it('sums what several runs came to, and fails when one of them is missing', async () => {
    const one = { passes: 2, failures: 0, skipped: [], retried: [], failed: [], failedFiles: {} }
    const [first, second] = [join(dir, 'one.json'), join(dir, 'two.json')]
    await writeFile(first, JSON.stringify(one))
    const missing = await run(process.execPath, [script('print-count.ts'), first, second])
    assert.equal(missing.code, 1)
    assert.equal(missing.stdout.trim().split('\n').at(-1), '2 passed, 1 failed')
    await writeFile(second, JSON.stringify(one))
    const both = await run(process.execPath, [script('print-count.ts'), first, second])
    assert.equal(both.code, 0)
    assert.equal(both.stdout, '4 passed, 0 failed\n')
  })

  it('fails when nothing ran, or mocha did not get to its end, the first time or the second', async () => {
    assert.equal((await count('')).code, 1)
    const broken = await count('process.exit(0)')
    assert.equal(broken.code, 1)
    assert.equal(broken.lines.at(-1), '0 passed, 1 failed')
    const later =
      "if (existsSync('x')) process.exit(0)\ndescribe('d', () => { before(failsOnce('x')); it('b', passes) })"
    assert.equal((await count(later)).lines.at(-1), '0 passed, 1 failed')
  })
}
