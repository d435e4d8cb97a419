import assert from 'node:assert/strict'
import { chmod, cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describeClosing } from '../support/closes-everything.ts'
import { needGrpcurl } from '../support/grpcurl.ts'
import { guideSections, openGuideShell } from '../support/guide.ts'
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

    const steps = [...guideSections(await readFile(GUIDE, 'utf8')).values()].flat()
    assert.ok(steps.length > 12, `${steps.length} commands`)
    const replaced = [['127.0.0.1:8443', mesh.gateway.delegation]] as const
    const shell = await openGuideShell({ cwd: mesh.dir, env, replaced })
    try {
      await shell.take(steps)
    } finally {
      await shell.close()
    }
  }).timeout(120_000)
})
