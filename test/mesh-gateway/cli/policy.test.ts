import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { MeshError } from '@clawmesh/proto'
import { CommanderError } from 'commander'
import { explainCommand } from '../../../mesh-gateway/src/cli/explain.ts'
import type { CommandOutput } from '../../../mesh-gateway/src/cli/explanation.ts'
import { policyCommand } from '../../../mesh-gateway/src/cli/policy.ts'
import { formatFault, type PolicyFault } from '../../../mesh-gateway/src/policy/index.ts'

const FAULT: PolicyFault = { file: '', pointer: '', line: 1, column: 1, message: '' }

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
    const output: CommandOutput = {
      result(text) {
        said.stdout += text.replaceAll(dir, 'DIR')
      },
      note(text) {
        said.stderr += `${text}\n`
      },
      failed() {
        said.code = 1
      },
    }
    const made = command(output, { env: {}, cwd: dir })
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
    assert.deepEqual(said.stderr.split('\n'), [
      '3 faults in 2 files',
      '_global.json: a gateway that runs keeps the last good one; one that starts refuses to',
      'acme.json: a gateway that runs keeps the last good one; one that starts allows nothing to this tenant',
      '',
    ])
    const json = JSON.parse((await run(policyCommand, 'check', dir, '--json')).stdout)
    assert.equal(json.ok, false)
    assert.deepEqual(
      json.verdicts.map(({ file, good, faults }: Record<string, unknown>) => [file, good, faults]),
      [
        ['_global.json', false, 1],
        ['acme.json', false, 2],
        ['globex.json', true, 0],
      ],
    )
    assert.deepEqual(json.faults[2], {
      file: 'acme.json',
      pointer: '/tenent',
      line: 1,
      column: 3,
      message: 'unknown key; did you mean tenant',
    })
  })

  it('warn of rules that can never take effect, where they stand, and exit 0', async () => {
    await writeFile(
      path.join(dir, 'acme.json'),
      `{ "tenant": "acme",
  "delegation": { "allow": [{ "from": "planner", "to": "globex/nobody" }] },
  "egress": { "allow": ["api.example:443",
    { "methods": ["GET"], "host": "api.example:8443" }],
    "agents": { "bot-01": { "allow": ["x.evil.example"] } } } }`,
    )
    await writeFile(
      path.join(dir, '_global.json'),
      '{ "egress": { "ports": [443, 9443], "deny": ["*.evil.example"] } }',
    )
    const warnings = [
      'acme.json:2:29 #/delegation/allow/0: "planner" to "globex/nobody" has no effect: a call across tenants needs both sides, and no rule of delegation.accept of globex.json fits it',
      'acme.json:4:5 #/egress/allow/1: "api.example:8443" has no effect: port 8443 is not listed: egress.ports of _global.json has 443, 9443; add it there, or take the rule out',
      'acme.json:5:39 #/egress/agents/bot-01/allow/0: "x.evil.example" has no effect: *.evil.example is denied by _global.json#/egress/deny/0; deny rules always win',
      'globex.json:1:44 #/delegation/accept/0: "acme/planner" to "translator" has no effect: a call across tenants needs both sides, and no rule of delegation.allow of acme.json fits it',
    ]
    assert.deepEqual(await run(policyCommand, 'check', dir), {
      code: 0,
      stdout: 'DIR is valid: 2 tenants in 3 files\n',
      stderr: warnings.map((warning) => `warning: ${warning}\n`).join(''),
    })
    const said = await run(policyCommand, 'check', dir, '--json')
    const json = JSON.parse(said.stdout)
    assert.deepEqual([said.code, json.ok, json.faults], [0, true, []])
    assert.equal(said.stderr, '', 'a program is told once')
    assert.deepEqual(json.warnings.map(formatFault), warnings)
    assert.deepEqual(Object.keys(json.warnings[0]), Object.keys(FAULT))
  })

  it('warn of nothing while there are faults', async () => {
    const allow = ['a.example:8443', '*']
    await writeFile(
      path.join(dir, 'acme.json'),
      JSON.stringify({ tenant: 'acme', egress: { allow } }),
    )
    const said = await run(policyCommand, 'check', dir)
    assert.equal(said.code, 1)
    assert.match(said.stderr, /^1 fault in 1 file\nacme\.json: a gateway that runs keeps/)
    assert.doesNotMatch(said.stderr, /warning/)
    const json = JSON.parse((await run(policyCommand, 'check', dir, '--json')).stdout)
    assert.deepEqual([json.faults.length, json.warnings], [1, []])
  })

  it('find the few that have no effect among ten thousand in each list', async () => {
    const list = (make: (at: number) => string) =>
      Array.from({ length: 10_000 }, (_, at) => make(at))
    const egress = {
      allow: list((at) => (at % 5000 === 7 ? `h${at}.example:8443` : `h${at}.x.example`)),
      deny: list((at) => `h${at + 9_999}.x.example`),
    }
    await writeFile(path.join(dir, 'acme.json'), JSON.stringify({ tenant: 'acme', egress }))
    const json = JSON.parse((await run(policyCommand, 'check', dir, '--json')).stdout)
    const pointers = json.warnings
      .filter(({ file }: { file: string }) => file === 'acme.json')
      .map(({ pointer }: { pointer: string }) => pointer)
    assert.deepEqual(
      pointers,
      ['7', '5007', '9999'].map((at) => `/egress/allow/${at}`),
    )
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
