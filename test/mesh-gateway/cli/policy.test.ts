import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { MeshError } from '@clawmesh/proto'
import { CommanderError } from 'commander'
import { explainCommand } from '../../../mesh-gateway/src/cli/explain.ts'
import { policyCommand } from '../../../mesh-gateway/src/cli/policy.ts'

describe('the policy commands', () => {
  let dir = ''
  beforeEach(async () => {
    dir = await mkdtemp(path.join(tmpdir(), 'policy-cli-'))
    const acme = {
      tenant: 'acme',
      egress: {
        allow: ['openai.com', { host: 'api.github.com', methods: ['GET'] }],
        limits: { requestsPerMinute: 600 },
        agents: { canary: { mode: 'audit' } },
      },
      delegation: { allow: [{ from: 'planner', to: 'globex/translator' }] },
    }
    await writeFile(path.join(dir, 'acme.json'), JSON.stringify(acme))
    const accept = [{ from: 'acme/planner', to: 'translator', methods: ['pkg.Svc/M'] }]
    await writeFile(
      path.join(dir, 'globex.json'),
      JSON.stringify({ tenant: 'globex', delegation: { accept } }),
    )
  })
  afterEach(() => rm(dir, { recursive: true }))

  async function run(command: typeof policyCommand, ...args: string[]) {
    const said = { code: 0, stdout: '', stderr: '' }
    const made = command({
      result(text) {
        said.stdout += text.replaceAll(dir, 'DIR')
      },
      note(text) {
        said.stderr += `${text}\n`
      },
      failed() {
        said.code = 1
      },
    })
    for (const each of [made, ...made.commands])
      each.exitOverride().configureOutput({ writeErr: (text) => (said.stderr += text) })
    await made.parseAsync(args, { from: 'user' })
    return said
  }

  it('say that a directory is valid', async () => {
    assert.deepEqual(await run(policyCommand, 'check', dir), {
      code: 0,
      stdout: 'DIR is valid: 2 tenants in 2 files\n',
      stderr: '',
    })
  })

  it('list all faults on stdout and exit 1', async () => {
    await writeFile(path.join(dir, 'acme.json'), '{ "tenent": "acme" }')
    await writeFile(path.join(dir, '_global.json'), '{ "egress": { "deny": ["*"] } }')
    const said = await run(policyCommand, 'check', dir)
    assert.equal(said.code, 1)
    assert.deepEqual(said.stdout.split('\n'), [
      '_global.json:1:24 #/egress/deny/0: "*" matches everything; name hosts, or use mode audit to see which are wanted',
      'acme.json:1:1 #/tenant: is missing',
      'acme.json:1:3 #/tenent: unknown key; did you mean tenant',
      '',
    ])
    assert.equal(said.stderr, '3 faults in 2 files\n')
    const json = JSON.parse((await run(policyCommand, 'check', dir, '--json')).stdout)
    assert.equal(json.ok, false)
    assert.deepEqual(json.faults[2], {
      file: 'acme.json',
      pointer: '/tenent',
      line: 1,
      column: 3,
      message: 'unknown key; did you mean tenant',
    })
  })

  it('call a directory that is absent or empty a fault', async () => {
    assert.match(
      (await run(policyCommand, 'check', path.join(dir, 'none'))).stdout,
      /does not exist/,
    )
    await rm(path.join(dir, 'acme.json'))
    await rm(path.join(dir, 'globex.json'))
    assert.match((await run(policyCommand, 'check', dir)).stdout, /holds no policy file/)
  })

  const egress = (...args: string[]) => run(policyCommand, 'explain', '--dir', dir, ...args)

  it('explain an egress request that is allowed', async () => {
    const said = await egress('--agent', 'acme/bot-01', '--to', 'OpenAI.com:443')
    assert.deepEqual(said, {
      code: 0,
      stderr: '',
      stdout: [
        'allow    acme/bot-01 to openai.com:443 (tunnel)',
        '  rule   acme.json#/egress/allow/0',
        '  file   DIR/acme.json',
        '  mode   enforce',
        '  limits requestsPerMinute 600, burst 60',
        '',
      ].join('\n'),
    })
  })

  it('explain a refusal with its code and a hint, and exit 1', async () => {
    const said = await egress('--agent', 'acme/bot-01', '--to', 'api.openai.com')
    assert.equal(said.code, 1)
    assert.match(
      said.stdout,
      /^deny {5}acme\/bot-01 to api\.openai\.com:443 \(tunnel\)\n {2}code {3}MESH_POLICY_NOT_ALLOWED/,
    )
    assert.match(said.stdout, / {2}hint {3}api\.openai\.com is not allowed; openai\.com is\n$/)
  })

  it('explain requests, tokens and audit mode', async () => {
    const github = ['--to', 'api.github.com', '--agent', 'acme/bot-01']
    assert.equal((await egress(...github)).code, 1)
    assert.equal((await egress(...github, '--method', 'GET', '--path', '/x')).code, 0)
    const token = await egress('--agent', 'acme/b', '--to', 'openai.com', '--token', 'x.test')
    assert.match(token.stdout, /MESH_TOKEN_DESTINATION/)
    const audit = await egress('--agent', 'acme/canary', '--to', 'x.test')
    assert.equal(audit.code, 0)
    assert.match(audit.stdout, /^audit .*mode {3}audit; enforce would refuse/s)
  })

  it('explain a delegation across tenants', async () => {
    const args = ['--dir', dir, '--from', 'acme/planner', '--to', 'globex/translator']
    const json = JSON.parse(
      (await run(explainCommand, ...args, '--method', '/pkg.Svc/M', '--json')).stdout,
    )
    assert.equal(json.action, 'allow')
    assert.equal(json.rule, 'acme.json#/delegation/allow/0 and globex.json#/delegation/accept/0')
    const refused = await run(explainCommand, ...args, '--method', 'pkg.Svc/N')
    assert.equal(refused.code, 1)
    assert.match(
      refused.stdout,
      /MESH_POLICY_NOT_ACCEPTED.*file {3}DIR\/globex\.json.*names methods pkg\.Svc\/M only/s,
    )
  })

  it('throw for a broken directory, and name it', async () => {
    await writeFile(path.join(dir, 'acme.json'), '{')
    await assert.rejects(
      egress('--agent', 'acme/b', '--to', 'x.test'),
      (error) => error instanceof MeshError && error.code === 'MESH_POLICY_INVALID',
    )
  })

  for (const args of [
    ['--agent', 'acme', '--to', 'x.test'],
    ['--agent', 'acme/b', '--to', 'https://x.test/'],
    ['--agent', 'acme/b', '--to', 'x.test:0'],
    ['--agent', 'acme/b', '--to', '::1'],
    ['--agent', 'acme/b'],
    ['--agent', 'acme/b', '--to', 'x.test', '--unknown'],
  ])
    it(`call this wrong usage: ${args.join(' ')}`, async () => {
      await assert.rejects(egress(...args), CommanderError)
    })
})
