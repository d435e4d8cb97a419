/** A process of mesh-gateway loads the command that it runs, and no other: most of its time is loading. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const MAIN = fileURLToPath(new URL('../../../mesh-gateway/src/cli/main.ts', import.meta.url))
const COMMANDS = ['issue-token', 'keys', 'service-account', 'revoke', 'backup', 'doctor']
  .concat(['policy', 'explain', 'trees'])
  .map((name) => `${name}.ts`)
const PKI = fileURLToPath(new URL('../../../pki/src/cli/main.ts', import.meta.url))
/** Tells what was loaded, on stderr. */
const SPY = `data:text/javascript,${encodeURIComponent(`
  import { registerHooks } from 'node:module'
  registerHooks({
    load(url, context, next) {
      process.stderr.write('loaded ' + url + '\\n')
      return next(url, context)
    },
  })`)}`

async function loadedBy(main: string, ...args: string[]): Promise<string[]> {
  const run = promisify(execFile)
  const { stderr } = await run(process.execPath, ['--import', SPY, main, ...args])
  const loaded = [...stderr.matchAll(/^loaded (.*)$/gm)].map(([, url = '']) => url)
  assert.ok(
    loaded.some((url) => url.endsWith('/src/cli/run-command.ts')),
    stderr,
  )
  return loaded
}

async function commandsLoadedBy(...args: string[]): Promise<string[]> {
  const loaded = await loadedBy(MAIN, ...args)
  const files = loaded.map((url) => /mesh-gateway\/src\/cli\/([\w-]+\.ts)$/.exec(url)?.[1] ?? '')
  return files.filter((file) => COMMANDS.includes(file))
}

/** The packages of gRPC, of which a command that makes no call uses nothing: 200 files of 460. */
async function grpcLoadedBy(main: string, ...args: string[]): Promise<string[]> {
  const loaded = await loadedBy(main, ...args)
  return loaded.filter((url) => /node_modules\/(?:@grpc|protobufjs|@protobufjs)\//.test(url))
}

describe('mesh-gateway', () => {
  it('loads the command that it runs, and no other', async () => {
    assert.deepEqual(await commandsLoadedBy('keys', '--help'), ['keys.ts'])
    assert.deepEqual(await commandsLoadedBy('policy', 'check', '--help'), ['policy.ts'])
  })

  it('loads none for its version', async () => {
    assert.deepEqual(await commandsLoadedBy('--version'), [])
  })

  it('loads nothing of gRPC for a command that makes no call', async () => {
    for (const args of [['--version'], ['--help'], ['policy', 'check', '--help']])
      assert.deepEqual(await grpcLoadedBy(MAIN, ...args), [])
    assert.deepEqual(await grpcLoadedBy(PKI, '--help'), [])
  })

  it('loads all of them for the list in its help', async () => {
    assert.deepEqual((await commandsLoadedBy('--help')).sort(), [...COMMANDS].sort())
  })
})
