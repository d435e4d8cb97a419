/** What a command prints of files that others wrote moves no cursor and reorders nothing; as JSON it reads back as it was. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { makeWorkplace, type Workplace } from './gateway-command.ts'

const REASON = 'left\u202e the team\u001b[2J\nagent acme/planner'
const MOVES = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u

describe('mesh-gateway, of text that turns text about', () => {
  let place: Workplace
  before(async () => {
    place = await makeWorkplace()
  })
  after(() => place.close())

  const quiet = (text: string) => assert.doesNotMatch(text.replaceAll('\n', ''), MOVES)

  it('revoke and revoke --list print a reason on one line, and as JSON whole', async () => {
    const env = {
      MESH_TRUST_DOMAIN: 'mesh.internal',
      MESH_REVOCATION_LIST: join(place.dir, 'revoked.json'),
    }
    const revoke = (...args: string[]) => place.runWith(env, 'revoke', ...args)
    assert.equal((await revoke('--new')).code, 0)
    const said = await revoke('agent', 'acme/bot-09', '--reason', REASON)
    assert.equal(said.code, 0, said.stderr)
    quiet(said.stdout + said.stderr)
    const table = await revoke('--list')
    quiet(table.stdout)
    assert.match(table.stdout, /left\? the team\?\[2J\?agent/)
    const json = await revoke('--list', '--json')
    quiet(json.stdout)
    assert.equal(JSON.parse(json.stdout).revoked[0].reason, REASON)
  })

  it('an error names a file without them', async () => {
    const { stderr } = await place.run(
      'policy',
      'replay',
      '--audit',
      'x',
      '--dir',
      'no\u202e\u001b[2J',
    )
    assert.match(stderr, /no\?\?\[2J/)
    quiet(stderr)
  })
})
