/** The first section of the guide "Your first delegated skill", command by command, and then those of examples/README.md on its mesh. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type RunningProcess, startProcess } from '../../scripts/dev/child-process.ts'
import { freePorts } from '../../scripts/dev/free-ports.ts'
import { waitUntilReady } from '../../scripts/dev/wait-until-ready.ts'
import { run } from '../pki/run.ts'
import { PASSPHRASE } from '../pki/scratch.ts'
import { codeBlocks } from '../repository/documents/markdown-files.ts'
import { describeClosing } from '../support/closes-everything.ts'
import { isOnPath, needProgram } from '../support/need-program.ts'
import { waitFor } from '../support/wait-for.ts'
import { linesOf, ROOT, servingPort, startExample } from './run-example.ts'

const BIN = new URL('node_modules/.bin/', ROOT)
/** What the shell has nothing to do with. */
const PLAIN = /^[\w./:= -]+$/

describeClosing('the guide to the first delegated skill', function () {
  this.timeout(240_000)
  let dir: string
  const running: RunningProcess[] = []

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-guide-'))
  })
  after(async () => {
    for (const each of running.toReversed()) await each.stop(15_000)
    await rm(dir, { recursive: true, force: true })
  })

  const commandsOf = async (path: string, pattern: RegExp) => {
    const [text = ''] = pattern.exec(await readFile(new URL(path, ROOT), 'utf8')) ?? []
    return codeBlocks({ path, text })
      .filter(({ language }) => language === 'sh')
      .flatMap((block) => block.text.replaceAll(/\\\n\s*/g, ' ').split('\n'))
  }

  it('makes a mesh, on which the example delegates without any DNS', async function () {
    // the guide is for a shell with its usual programs
    if (!isOnPath('mkdir')) needProgram(this, 'mkdir')
    const [delegation = 0, egress = 0, admin = 0, listen = 0] = await freePorts(4)
    const own = (command: string) =>
      command
        .replaceAll('0.0.0.0:8443', `127.0.0.1:${delegation}`)
        .replaceAll('127.0.0.1:8443', `127.0.0.1:${delegation}`)
        .replaceAll('10.0.0.7:7443', `127.0.0.1:${listen}`)
        .replaceAll('$MESH', dir)
    const commands = (
      await commandsOf('docs/guides/openclaw-first-skill.md', /^## 1\..*?(?=^## 2\.)/ms)
    ).map(own)
    const start = commands.pop() ?? ''
    assert.ok(commands.length >= 6, commands.join('\n'))
    const env = {
      PATH: [fileURLToPath(BIN), process.env.PATH].join(delimiter),
      MESH_PKI_PASSPHRASE: PASSPHRASE.reveal(),
    }
    for (const command of commands) {
      const { code, stdout, stderr } = await run('sh', ['-c', command], { env, cwd: dir })
      assert.equal(code, 0, `${command}\n${stdout}${stderr}`)
    }

    assert.match(start, PLAIN)
    const [program = '', ...args] = start.split(/ +/)
    const gateway = startProcess({
      ...{ name: program, file: new URL(program, BIN), foreign: true, cwd: dir },
      // beside what else is on this machine
      args: [
        ...[...args, '--egress-listen', `127.0.0.1:${egress}`],
        ...['--admin-listen', `127.0.0.1:${admin}`],
      ],
    })
    running.push(gateway)
    await ready(gateway, `http://127.0.0.1:${admin}/ready`)

    const examples = (await commandsOf('examples/README.md', /^.*$/s)).map(own)
    const agents = examples
      .filter((command) => command.includes(dir))
      .map((each) => each.split(' '))
      // npx finds the node of the checkout, which is the one that runs this
      .map((words) => words.slice(words.indexOf('node') + 1))
    const [serve = [], ask = [], ...more] = agents
    assert.deepEqual(more, [])
    const researcher = startExample(serve[0] ?? '', [...serve.slice(1), `127.0.0.1:${listen}`])
    running.push(researcher)
    assert.equal(await servingPort(researcher), listen)
    const planner = startExample(ask[0] ?? '', ask.slice(1))
    running.push(planner)
    assert.equal((await planner.ended).code, 0, linesOf(planner))
    assert.match(linesOf(planner), /^# Clawmesh An mTLS delegation mesh for AI agents\.$/m)
    // "has one line for it"
    await waitFor('its line of the audit log', () =>
      gateway.lastLines().some((line) => {
        if (!line.includes('DelegationService/Delegate"')) return false
        assert.match(line, /"agent_id":"planner"/)
        return true
      }),
    )
  })
})

/** @throws Error with its last lines when it ends instead */
async function ready(gateway: RunningProcess, url: string): Promise<void> {
  const asking = new AbortController()
  void gateway.ended.then(() => asking.abort(new Error(linesOf(gateway))))
  await waitUntilReady(url, { signal: asking.signal, withinMs: 90_000 })
}
