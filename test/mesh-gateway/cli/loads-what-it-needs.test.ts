/** A process of mesh-gateway loads the command that it runs, and no other: most of its time is loading. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const MAIN = fileURLToPath(new URL('../../../mesh-gateway/src/cli/main.ts', import.meta.url))
const COMMANDS = ['issue-token', 'keys', 'service-account', 'revoke', 'backup', 'doctor']
  .concat(['policy', 'explain', 'trees'])
  .map((name) => `${name}.ts`)
/** Tells the files of the folder cli that were loaded, on stderr. */
const SPY = `data:text/javascript,${encodeURIComponent(`
  import { registerHooks } from 'node:module'
  registerHooks({
    load(url, context, next) {
      const [, file] = /mesh-gateway\\/src\\/cli\\/([\\w-]+\\.ts)$/.exec(url) ?? []
      if (file !== undefined) process.stderr.write('loaded ' + file + '\\n')
      return next(url, context)
    },
  })`)}`

async function commandsLoadedBy(...args: string[]): Promise<string[]> {
  const run = promisify(execFile)
  const { stderr } = await run(process.execPath, ['--import', SPY, MAIN, ...args])
  const loaded = [...stderr.matchAll(/^loaded (.*)$/gm)].map(([, file = '']) => file)
  assert.ok(loaded.includes('run-command.ts'), stderr)
  return loaded.filter((file) => COMMANDS.includes(file))
}

describe('mesh-gateway', () => {
  it('loads the command that it runs, and no other', async () => {
    assert.deepEqual(await commandsLoadedBy('keys', '--help'), ['keys.ts'])
    assert.deepEqual(await commandsLoadedBy('policy', 'check', '--help'), ['policy.ts'])
  })

  it('loads none for its version', async () => {
    assert.deepEqual(await commandsLoadedBy('--version'), [])
  })

  it('loads all of them for the list in its help', async () => {
    assert.deepEqual((await commandsLoadedBy('--help')).sort(), [...COMMANDS].sort())
  })
})
