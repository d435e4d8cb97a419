import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Ran, run } from '../support/grpcurl.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const COMMANDS = {
  'mesh-gateway': 'mesh-gateway/bin/mesh-gateway.cjs',
  'mesh-pki': 'pki/bin/mesh-pki.cjs',
  start: 'scripts/start.cjs',
}
const ARGUMENTS: readonly (readonly string[])[] = [['--help'], ['start'], ['doctor'], []]

describe('a command', () => {
  let dir: string
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-node-'))
  })
  after(() => rm(dir, { recursive: true }))

  /** This Node, taking itself for another. */
  async function asVersion(version: string, args: readonly string[]): Promise<Ran> {
    const disguise = join(dir, `${version}.cjs`)
    const value = `{ ...process.versions, node: '${version}' }`
    await writeFile(disguise, `Object.defineProperty(process, 'versions', { value: ${value} })`)
    return run(process.execPath, ['--require', disguise, ...args], { cwd: dir })
  }
  const refuses = (ran: Ran, command: string, version: string) => {
    assert.deepEqual(ran, {
      code: 1,
      stdout: '',
      stderr: `${command}: needs Node 24.16 or later, this is ${version}
${command}: hint: npm install node@24 brings one for a project, nodejs.org has it for a machine
`,
    })
  }

  for (const [command, file] of Object.entries(COMMANDS))
    it(`${command} says which Node it needs, whatever it is asked`, async () => {
      for (const version of ['24.15.9', '22.21.0', '9.0.0'])
        refuses(await asVersion(version, [join(root, file), '--help']), command, version)
      for (const args of ARGUMENTS)
        refuses(await asVersion('20.20.2', [join(root, file), ...args]), command, '20.20.2')
      for (const version of ['24.16.0', '25.0.0', '100.1.0']) {
        const { code, stdout } = await asVersion(version, [join(root, file), '--help'])
        assert.equal(code, 0)
        assert.match(stdout, /usage: /i)
      }
    })

  const older = olderNode()
  if (older !== null)
    it(`is refused by Node ${older.version} itself, before that meets what it cannot read`, async () => {
      for (const [command, file] of Object.entries(COMMANDS))
        for (const args of ARGUMENTS)
          refuses(await run(older.path, [join(root, file), ...args]), command, older.version)
    })
})

describe('npm in a checkout', () => {
  it('does not warn of the Node that it runs on: the right one comes along', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'clawmesh-npm-'))
    try {
      await writeFile(join(dir, 'package.json'), '{"name":"x","engines":{"node":">=999"}}')
      const install = () =>
        run('npm', ['install', '--offline', '--no-audit', '--no-fund'], {
          cwd: dir,
          env: ownEnvironment(),
        })
      assert.match((await install()).stderr, /EBADENGINE/)
      await copyFile(join(root, '.npmrc'), join(dir, '.npmrc'))
      const { code, stdout, stderr } = await install()
      assert.deepEqual([code, stderr], [0, ''])
      assert.match(stdout, /up to date/)
    } finally {
      await rm(dir, { recursive: true })
    }
  })
})

/** Without what an npm that runs these tests tells its children. */
function ownEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)))
}

/** The machine's own, where that is too old for us; not the one that comes with `npm ci`. */
function olderNode(): { readonly path: string; readonly version: string } | null {
  const dirs = (process.env.PATH ?? '').split(delimiter)
  for (const at of dirs.filter((each) => !each.includes('node_modules')))
    try {
      const path = join(at, 'node')
      const version = execFileSync(path, ['--version'], { encoding: 'utf8' }).trim().slice(1)
      if (Number(version.split('.')[0]) < 24) return { path, version }
    } catch {
      // no node there
    }
  return null
}
