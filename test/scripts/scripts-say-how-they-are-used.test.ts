import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { run } from '../pki/run.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
/** Scripts of package.json that take options of their own. */
const SCRIPTS = [
  ...['start', 'build', 'image', 'bench', 'mutate'],
  ...['test:security', 'test:openclaw', 'test:deploy'],
]
/** The others go to mocha, which refuses them. */
const HANDS_ON = 'test:openclaw'

describe('a script of the checkout', function () {
  this.timeout(60_000)
  let files: ReadonlyMap<string, string>
  before(async () => {
    const { scripts } = JSON.parse(
      await readFile(new URL('../../package.json', import.meta.url), 'utf8'),
    )
    files = new Map(SCRIPTS.map((name) => [name, /^node (\S+)$/.exec(scripts[name])?.[1] ?? '']))
  })
  const ran = (name: string, ...args: string[]) =>
    run(process.execPath, [files.get(name) ?? '', ...args], { cwd: ROOT })

  for (const name of SCRIPTS) {
    const usage = new RegExp(`^usage: npm (?:run )?${name}\\b`, 'm')
    it(`shows how it is used, and does nothing else: ${name}`, async () => {
      const { code, stdout, stderr } = await ran(name, '--help')
      assert.match(stdout, usage)
      assert.deepEqual([code, stderr], [0, ''])
    })
    if (name !== HANDS_ON)
      it(`says in a line what it does not know: ${name}`, async () => {
        const { code, stdout, stderr } = await ran(name, '--frobnicate')
        assert.match(stderr, /--frobnicate/)
        assert.doesNotMatch(stderr, /^\s+at /m)
        assert.deepEqual([code, stdout], [2, ''])
      })
  }
})
