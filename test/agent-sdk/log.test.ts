import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

describe('the log of an agent that was given none', () => {
  const said = async (script: string) => {
    const imports = "import { stderrLog as log } from '@clawmesh/agent-sdk'\n"
    const { stdout, stderr } = await promisify(execFile)(
      process.execPath,
      ['--input-type=module', '-e', imports + script],
      { cwd: new URL('../../', import.meta.url) },
    )
    assert.equal(stdout, '')
    return stderr
  }

  it('says warnings and errors on stderr, with their fields and the stack of the cause', async () => {
    const stderr = await said(`
      log.debug({}, 'nothing'); log.info({}, 'nothing')
      log.warn({ code: 'MESH_X', none: undefined, seconds: 2 }, 'it broke')
      const err = new Error('boom', { cause: new TypeError('deeper') })
      err.config = { authorization: 'a secret' }
      log.error({ skill: 's', err }, 'the skill failed')`)
    assert.match(stderr, /^clawmesh warning: it broke code=MESH_X seconds=2\n/)
    assert.match(stderr, /\nclawmesh error: the skill failed skill=s\n {2}Error: boom\n {6}at /)
    assert.match(stderr, /\n {2}caused by TypeError: deeper\n/)
    assert.doesNotMatch(stderr, /nothing|a secret/)
  })

  it('lets nothing that others wrote paint a terminal, and takes any value', async () => {
    const stderr = await said(`
      const circle = { big: 1n }; circle.circle = circle
      log.warn({ circle, note: '\\u001b[31mred\\nline', err: new Error('\\u001b[2J') }, 'a\\u202eb')`)
    assert.doesNotMatch(stderr.replaceAll('\n', ''), /\p{Cc}|\p{Cf}/u)
    assert.match(
      stderr,
      /^clawmesh warning: a\?b circle=.*1n.* note=\?\[31mred\?line\n {2}Error: \?\[2J/,
    )
  })
})
