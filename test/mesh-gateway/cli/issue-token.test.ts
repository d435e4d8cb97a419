import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { makeTestCa } from '../../support/test-ca.ts'
import { makeWorkplace, type Workplace } from './gateway-command.ts'

const LIST = ['--config', 'gateway.json', '--revocation-list', 'revoked.json']
const SPIFFE_ID = 'spiffe://mesh.internal/tenant/acme/agent/bot-01'

describe('mesh-gateway issue-token', () => {
  let place: Workplace
  beforeEach(async () => {
    place = await makeWorkplace()
    await revoke('--new')
  })
  afterEach(() => place.close())

  const issue = (agent: string, ...more: string[]) =>
    place.run('issue-token', ...LIST, '--agent-id', agent, ...more)
  const revoke = async (...args: string[]) => {
    const { code, stderr } = await place.run('revoke', ...args, ...LIST)
    assert.equal(code, 0, stderr)
  }
  const entry = (kind: string, value: string, until: string | null) => ({
    kind,
    value,
    reason: 'stolen',
    since: '2026-01-01T00:00:00.000Z',
    until,
  })

  it('gives no token to an agent that is revoked, and says how that changes', async () => {
    await revoke('agent', 'acme/bot-01', '--reason', 's3cret of the operators')
    for (const more of [[], ['--json'], ['--allow', 'api.openai.com'], ['--tenant', 'acme']])
      assert.deepEqual(await issue('bot-01', ...more), {
        code: 1,
        stdout: '',
        stderr:
          'mesh-gateway: the agent acme/bot-01 has been revoked\nmesh-gateway: hint: `mesh-gateway revoke --list` shows since when and why; `mesh-gateway revoke agent acme/bot-01 --undo` lets it in again\n',
      })
    assert.equal((await issue('bot-02')).code, 0, 'nobody else is concerned')
    await revoke('agent', 'acme/bot-01', '--undo')
    assert.match((await issue('bot-01')).stdout, /^[\w-]+\.[\w-]+\.[\w-]+\n$/)
  })

  it('goes by how long an agent is revoked, and by the name that the configuration gives it', async () => {
    const ended = entry('agent', SPIFFE_ID, '2026-01-02T00:00:00.000Z')
    await place.write('revoked.json', { revoked: [ended, entry('token', 'jti-1', null)] })
    assert.equal((await issue('bot-01')).code, 0, 'its time is over')
    await place.write('revoked.json', {
      revoked: [entry('agent', 'spiffe://mesh.internal/ns/acme/sa/bot-01', null)],
    })
    assert.equal((await issue('bot-01')).code, 0, 'that is the name of somebody else')
    const kubernetes = ['--spiffe-agent-path', '/ns/{tenant}/sa/{agent}']
    assert.equal((await issue('bot-01', ...kubernetes)).code, 1)
  })

  it('gives tokens where no list is configured, as a gateway starts without one', async () => {
    const { code } = await place.run('issue-token', ...LIST.slice(0, 2), '--agent-id', 'bot-01')
    assert.equal(code, 0)
  })

  it('gives nobody a token when the list that is configured has gone', async () => {
    await revoke('agent', 'acme/bot-01')
    await rm(join(place.dir, 'revoked.json'))
    for (const agent of ['bot-01', 'bot-02']) {
      const { code, stdout, stderr } = await issue(agent)
      assert.deepEqual([code, stdout], [1, ''])
      assert.match(stderr, /there is no list of revocations DIR\/revoked\.json\n.*hint: put back/)
    }
  })

  it('gives nobody a token when the list is broken, as no gateway starts with it', async () => {
    const ca = await makeTestCa()
    try {
      const identity = await ca.gatewayDir({ name: 'gw', tenants: ['acme'] })
      const good = entry('agent', SPIFFE_ID, null)
      const broken = [
        '',
        '{ "revoked": [',
        '[]',
        { revoked: [{ ...good, kind: 'agents' }] },
        { revoked: [{ ...good, value: 'acme/bot-01' }] },
        { revoked: [good], more: true },
        null,
      ]
      for (const content of broken) {
        await rm(join(place.dir, 'revoked.json'), { recursive: true, force: true })
        if (content === null) await mkdir(join(place.dir, 'revoked.json'))
        else await place.write('revoked.json', content)
        const said = await issue('bot-02')
        const shown = JSON.stringify(content)
        assert.deepEqual([said.code, said.stdout], [1, ''], shown)
        const [first = ''] = said.stderr.split('\n')
        assert.match(first, /DIR\/revoked\.json/, shown)
        if (content !== null) assert.match(said.stderr, /hint: put back/, shown)
        const start = await place.run(
          'start',
          ...LIST,
          '--identity-dir',
          identity,
          '--log-level',
          'error',
        )
        assert.equal(start.code, 1, shown)
        assert.ok(start.stderr.includes(first), `${shown}: ${start.stderr}`)
      }
    } finally {
      await ca.close()
    }
  })

  it('makes no signing key when the list is broken', async () => {
    await place.write('torn.json', '{')
    const torn = ['--revocation-list', 'torn.json', '--keys-dir', 'none-yet']
    assert.equal((await issue('bot-01', ...torn)).code, 1)
    assert.ok(!existsSync(join(place.dir, 'none-yet')))
  })
})
