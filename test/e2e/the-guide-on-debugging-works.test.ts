import assert from 'node:assert/strict'
import { chmod, cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describeClosing } from '../support/closes-everything.ts'
import { needGrpcurl, run } from '../support/grpcurl.ts'
import { type Mesh, startMesh } from '../support/mesh.ts'

const GUIDE = new URL('../../docs/guides/debugging.md', import.meta.url)
const COMMAND = fileURLToPath(new URL('../../node_modules/.bin/mesh-gateway', import.meta.url))

describeClosing('the guide on debugging', () => {
  let mesh: Mesh

  before(async function () {
    this.timeout(120_000)
    needGrpcurl(this)
    mesh = await startMesh({
      policy: { acme: { delegation: { allow: [{ from: 'planner', to: 'researcher' }] } } },
    })
    await mesh.serve('acme', 'researcher', { skills: { echo: (task) => task.text() } })
    const planner = await mesh.identity('acme', 'planner')
    await cp(planner, join(mesh.dir, 'planner'), { recursive: true, verbatimSymlinks: true })
    const bin = join(mesh.dir, 'bin')
    await mkdir(bin)
    await writeFile(
      `${bin}/mesh-gateway`,
      `#!/bin/sh\nexec '${process.execPath}' '${COMMAND}' "$@"\n`,
    )
    await chmod(`${bin}/mesh-gateway`, 0o755)
  })
  after(() => mesh?.close())

  it('holds commands that work, block by block, and end as it says', async () => {
    const env = {
      PATH: [join(mesh.dir, 'bin'), process.env.PATH].join(delimiter),
      NODE_COMPILE_CACHE: join(mesh.dir, 'compiled'),
    }
    // one refusal for the audit log to tell of
    const intruder = await mesh.agent('acme', 'intruder')
    await assert.rejects(intruder.delegate('researcher', { skill: 'echo', input: '' }).result())
    await mesh.auditLine('the refusal', ({ action_allowed }) => action_allowed === false)

    const guide = (await readFile(GUIDE, 'utf8')).replaceAll(
      '127.0.0.1:8443',
      mesh.gateway.delegation,
    )
    let ran = 0
    for (const [, block = ''] of guide.matchAll(/^```console\n(.*?)^```$/gms)) {
      let setting = ''
      for (const line of block.match(/(?<=^\$ ).*$/gm) ?? []) {
        const [, command = '', code = '0'] = /^(.*?)(?: # exit (\d))?$/.exec(line) ?? []
        const isSetting = /^[A-Z]+=/.test(command)
        if (isSetting) setting = `${command}\n`
        const ended = await run('sh', ['-c', isSetting ? command : `${setting}${command}`], {
          env,
          cwd: mesh.dir,
        })
        assert.equal(ended.code, Number(code), `${command}\n${ended.stdout}${ended.stderr}`)
        ran += 1
      }
    }
    assert.ok(ran > 12, `${ran} commands`)
  }).timeout(120_000)
})
