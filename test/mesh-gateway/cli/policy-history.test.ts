import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { policyOf } from '../policy/policies.ts'
import { callLine, egressLine } from '../recorded/records.ts'
import { makeWorkplace, type Workplace } from './gateway-command.ts'

const BOT = { tenant: 'acme', agent: 'bot-01' }
const TRANSLATOR = { tenant: 'globex', agent: 'translator' }
/** As it was when the log was written: one tenant watches what its agents want. */
const POLICY = policyOf({
  acme: {
    mode: 'audit',
    egress: { deny: ['gist.github.com'] },
    delegation: { allow: [{ from: '*', to: 'globex/*' }] },
  },
  globex: { delegation: { accept: [{ from: 'acme/*', to: '*' }] } },
})
const to = (host: string, path: string | null) =>
  egressLine(
    {
      agent: BOT,
      host,
      port: 443,
      request: path === null ? null : { method: 'GET', path },
      ip: '93.184.216.34',
      actors: null,
    },
    POLICY,
  )

describe('mesh-gateway policy suggest and replay', () => {
  let place: Workplace
  before(async () => {
    place = await makeWorkplace()
    const call = { caller: BOT, callee: TRANSLATOR, method: 'pkg.Svc/M', hop: 1, origin: BOT }
    const lines = [
      to('api.openai.com', null),
      to('api.github.com', '/repos/acme/x'),
      to('gist.github.com', null),
      'not a record',
      callLine(call, POLICY),
      to('api.openai.com', null).slice(0, 50),
    ]
    await place.write('audit.log', lines.join('\n'))
  })
  after(() => place.close())

  it('write a policy that allows what was let through, and prove it', async () => {
    const audit = join(place.dir, 'audit.log')
    const out = join(place.dir, 'candidate')
    assert.deepEqual(await place.run('policy', 'suggest', '--audit', audit, '--out', out), {
      code: 0,
      stdout: 'DIR/candidate/acme.json\nDIR/candidate/globex.json\n',
      stderr: [
        'mesh-gateway: 1 line of DIR/audit.log are none of an audit log, passed over',
        'mesh-gateway: the last line of DIR/audit.log is cut off, passed over',
        'mesh-gateway: from 3 records of what was let through; refused, and of no account: 1',
        'mesh-gateway: next: mesh-gateway policy replay --audit DIR/audit.log --dir DIR/candidate',
        '',
      ].join('\n'),
    })
    assert.deepEqual(JSON.parse(await readFile(join(out, 'acme.json'), 'utf8')), {
      tenant: 'acme',
      mode: 'enforce',
      egress: {
        agents: {
          'bot-01': {
            allow: [
              { host: 'api.github.com:443', methods: ['GET'], paths: ['/repos/acme/x'] },
              'api.openai.com:443',
            ],
          },
        },
      },
      delegation: {
        allow: [{ from: 'bot-01', to: 'globex/translator', methods: ['pkg.Svc/M'] }],
        maxHops: 1,
      },
    })
    const replayed = await place.run('policy', 'replay', '--audit', audit, '--dir', out)
    assert.equal(replayed.code, 0)
    assert.equal(replayed.stdout, 'same           4\nnewly refused  0\nnewly allowed  0\n')
  })

  it('never write over policy that is there', async () => {
    const audit = join(place.dir, 'audit.log')
    const policy = join(place.dir, 'policy')
    const before = await readFile(join(policy, 'acme.json'), 'utf8')
    const said = await place.run('policy', 'suggest', '--audit', audit, '--out', policy)
    assert.equal(said.code, 1)
    assert.match(said.stderr, /DIR\/policy holds acme\.json already\n.*hint: name a new directory/)
    assert.equal(await readFile(join(policy, 'acme.json'), 'utf8'), before)
  })

  it('show what a candidate would change, with examples, and exit 1 when it refuses what was let through', async () => {
    const audit = join(place.dir, 'audit.log')
    await place.write('other/acme.json', {
      tenant: 'acme',
      egress: { allow: ['api.openai.com', 'gist.github.com'] },
    })
    const dir = join(place.dir, 'other')
    const said = await place.run('policy', 'replay', '--audit', audit, '--dir', dir)
    assert.equal(said.code, 1)
    assert.equal(
      said.stdout,
      [
        'same           1',
        'newly refused  2',
        '  1 x  acme/bot-01 to GET api.github.com:443/repos/acme/x  MESH_POLICY_NOT_ALLOWED',
        '  1 x  acme/bot-01 to globex/translator pkg.Svc/M  MESH_POLICY_NOT_ALLOWED',
        'newly allowed  1',
        '  1 x  acme/bot-01 to CONNECT gist.github.com:443  MESH_POLICY_DENIED by acme.json#/egress/allow/1',
        '',
      ].join('\n'),
    )
    assert.match(said.stderr, /2 recorded requests would be refused under DIR\/other/)
    const json = JSON.parse(
      (await place.run('policy', 'replay', '--audit', audit, '--dir', dir, '--json')).stdout,
    )
    assert.deepEqual(
      [json.same, json.newly_refused, json.newly_allowed, json.foreign_lines, json.torn_last_line],
      [1, 2, 1, 1, true],
    )
    assert.equal(json.examples.newly_refused[0].what, 'GET api.github.com:443/repos/acme/x')
  })

  it('judge what is of other tenants when the file of one is broken, and say what was not judged', async () => {
    const audit = join(place.dir, 'audit.log')
    await place.write('half/acme.json', { tenant: 'acme', egress: { allow: ['*'] } })
    await place.write('half/globex.json', { tenant: 'globex', delegation: { allow: 1 } })
    const replay = (...more: string[]) =>
      place.run('policy', 'replay', '--audit', audit, '--dir', join(place.dir, 'half'), ...more)
    await place.write('half/acme.json', {
      tenant: 'acme',
      egress: { allow: ['api.openai.com', 'api.github.com'] },
    })
    const said = await replay()
    assert.equal(said.code, 1)
    assert.equal(said.stdout, 'same           3\nnewly refused  0\nnewly allowed  0\n')
    assert.match(
      said.stderr,
      /1 recorded request not judged: of globex\.json, broken; .*policy check/,
    )
    const { same, not_judged, broken_files } = JSON.parse((await replay('--json')).stdout)
    assert.deepEqual([same, not_judged, broken_files], [3, 1, ['globex.json']])
    await place.write('half/_global.json', { egress: { deny: 1 } })
    assert.match((await replay()).stderr, /MESH_POLICY_INVALID|_global\.json/)
  })

  it('print the policy when no directory is named, of one tenant when one is', async () => {
    const audit = join(place.dir, 'audit.log')
    const said = await place.run('policy', 'suggest', '--audit', audit, '--tenant', 'globex')
    assert.deepEqual(Object.keys(JSON.parse(said.stdout)), ['globex.json'])
  })

  it('say that there is nothing to suggest', async () => {
    await place.write('empty.log', '')
    const said = await place.run('policy', 'suggest', '--audit', join(place.dir, 'empty.log'))
    assert.equal(said.code, 1)
    assert.match(said.stderr, /shows nothing that a policy could allow/)
  })
})
