import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { installPublished, PUBLISHED } from '../../scripts/dev/install-published.ts'
import { makeIssuedWorkplace } from '../mesh-gateway/cli/issued-workplace.ts'
import { bundleSdk } from '../support/bundle-sdk.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const run = promisify(execFile)
const MAIN = 'node_modules/@clawmesh/gateway/src/cli/main.js'
const IDLE_LIMIT_MB = 128

describe('what is published works without the checkout', () => {
  let dir: string
  let installed: string

  before(async function () {
    this.timeout(240_000)
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-published-'))
    installed = await installPublished(dir)
  })
  after(async () => {
    await rm(dir, { recursive: true, force: true })
  })

  /** Plain node: no flag, and nothing that strips types. */
  const node = (...args: string[]) =>
    run(process.execPath, ['--no-strip-types', ...args], { cwd: installed })

  it('carries JavaScript, declarations and .proto files, and no TypeScript', async () => {
    for (const name of Object.values(PUBLISHED)) {
      const files = await readdir(join(installed, 'node_modules/@clawmesh', name), {
        recursive: true,
      })
      // the command mesh-agent has doors, but no main one
      const door = name === 'agent' ? 'src/tools/index' : 'src/index'
      assert.ok(files.includes(`${door}.js`) && files.includes(`${door}.d.ts`), name)
      assert.ok(files.includes('LICENSE') && files.includes('package.json'), name)
      assert.deepEqual(
        files.filter((file) => /(?<!\.d)\.ts$/.test(file)),
        [],
      )
    }
  })

  it('runs each command', async () => {
    for (const [name, command] of [
      ['pki', 'mesh-pki'],
      ['gateway', 'mesh-gateway'],
      ['agent', 'mesh-agent'],
    ] as const) {
      const main = join('node_modules/@clawmesh', name, 'bin', `${command}.cjs`)
      const { stdout } = await node(main, '--help')
      assert.match(stdout, new RegExp(`^usage: ${command}`, 'im'))
    }
  })

  it('runs workers, which say what keeps them from starting', async () => {
    const dirs = ['identity', 'policy', 'keys'].flatMap((name) => [`--${name}-dir`, 'none'])
    const ports = ['egress', 'delegation', 'admin'].flatMap((name) => [
      `--${name}-listen`,
      '127.0.0.1:0',
    ])
    const flags = ['--trust-domain', 'mesh.internal', '--workers', '2', ...dirs, ...ports]
    await assert.rejects(
      node(MAIN, 'start', ...flags),
      (error) =>
        error instanceof Error &&
        'stderr' in error &&
        /^mesh-gateway: .*none.*\nmesh-gateway: hint: /m.test(String(error.stderr)),
    )
  })

  it(`rests under ${IDLE_LIMIT_MB} MB when the gateway has nothing to do`, async () => {
    const place = await makeIssuedWorkplace(join(installed, MAIN))
    try {
      const { child } = await place.start()
      const status = await readFile(`/proc/${child.pid}/status`, 'utf8')
      const residentMb = (Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024) / 1e6
      assert.ok(residentMb < IDLE_LIMIT_MB, `${residentMb} MB resident`)
    } finally {
      await place.close()
    }
  }).timeout(120_000)

  it('serves the console, whose modules are JavaScript, and lit-html beside them', async () => {
    await writeFile(join(installed, 'console.mjs'), ASK_CONSOLE)
    const { stdout, stderr } = await node('console.mjs')
    assert.equal(stderr, '', 'nothing is experimental there')
    const modules: readonly string[] = JSON.parse(stdout)
    for (const name of ['page/main.js', 'page/trees.js', 'lit-html.js'])
      assert.ok(modules.includes(`/console/${name}`), stdout)
  })

  it('imports by name, and has its schemas in the code', async () => {
    const program = `
      import { createAgent } from '@clawmesh/agent-sdk'
      import { DELEGATION_SERVICE } from '@clawmesh/proto'
import { loadProto, serviceOf } from '@clawmesh/proto/wire'
      import { createGateway } from '@clawmesh/gateway'
      import { initCa } from '@clawmesh/pki'
      import { createTools } from '@clawmesh/agent/tools'
      import { skillText } from '@clawmesh/agent/skill'
      const service = serviceOf(loadProto('clawmesh/delegation/v1/delegation.proto'), DELEGATION_SERVICE)
      console.log([createAgent, createGateway, initCa, createTools, skillText].map((f) => typeof f).join(), Object.keys(service).join())`
    const { stdout } = await node('--input-type=module', '--eval', program)
    assert.equal(
      stdout.trim(),
      'function,function,function,function,function Delegate,Watch,Get,Cancel,List,SendInput,Describe',
    )
  })

  it('is bundled into one file that runs where nothing else is', async () => {
    const program = `
      import { createAgent } from '@clawmesh/agent-sdk'
      import { createTestMesh } from '@clawmesh/agent-sdk/testing'
      const mesh = createTestMesh()
      await mesh.agent('b').serve({ skills: { echo: (task) => task.text() } })
      const delegation = mesh.agent('a').delegate('b', { skill: 'echo', input: 'hello' })
      console.log(typeof createAgent, (await delegation.result()).text())
      await mesh.close()`
    await writeFile(join(installed, 'bundled.js'), program)
    const elsewhere = await mkdtemp(join(tmpdir(), 'clawmesh-bundle-'))
    const file = join(elsewhere, 'agent.mjs')
    try {
      await bundleSdk(join(installed, 'bundled.js'), file, 'esm', installed)
      const { stdout } = await run(process.execPath, ['--no-strip-types', file], { cwd: elsewhere })
      assert.equal(stdout.trim(), 'function hello')
    } finally {
      await rm(elsewhere, { recursive: true, force: true })
    }
  }).timeout(120_000)

  it('has declarations that type-check where it is used', async () => {
    const program = `
      import { createAgent, type Skill } from '@clawmesh/agent-sdk'
      const echo: Skill = (task) => task.text()
      const agent = await createAgent({ gateway: '127.0.0.1:8443', identity: 'id' })
      await agent.serve({ skills: { echo } })
      // @ts-expect-error a number is no gateway
      await createAgent({ gateway: 1, identity: 'id' })`
    await writeFile(join(installed, 'use.ts'), program)
    const tsc = join(root, 'node_modules/typescript/bin/tsc')
    const flags = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'esnext']
    await run(process.execPath, [tsc, ...flags, '--types', 'node', 'use.ts'], {
      cwd: installed,
    }).catch((error: unknown) => {
      assert.fail(
        error instanceof Error && 'stdout' in error ? String(error.stdout) : String(error),
      )
    })
  }).timeout(120_000)
})

/** Loads the page as a browser would, module by module, and prints what it has loaded. */
const ASK_CONSOLE = `
import { createServer } from 'node:http'
import { createConsole } from './node_modules/@clawmesh/gateway/src/admin/console/console-files.js'
const { answer } = createConsole()
const server = createServer((request, response) => void answer(request, response)).listen(0)
const origin = 'http://127.0.0.1:' + server.address().port
const loaded = new Set()
const load = async (path) => {
  if (loaded.has(path)) return
  loaded.add(path)
  const response = await fetch(origin + path)
  if (response.status !== 200) throw new Error(path + ' ' + response.status)
  const text = await response.text()
  for (const [, to] of text.matchAll(/(?:from |src=)["']([^"']+)["']/g))
    await load(to === 'lit-html' ? '/console/lit-html.js' : new URL(to, origin + path).pathname)
}
await load('/console/')
process.stdout.write(JSON.stringify([...loaded]))
server.close()
server.closeAllConnections()
`
