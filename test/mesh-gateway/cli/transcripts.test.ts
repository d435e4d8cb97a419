import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { createLocalJWKSet, jwtVerify } from 'jose'
import { openKeyRing } from '../../../mesh-gateway/src/tokens/key-ring.ts'
import { helpPages } from '../../support/help-pages.ts'
import { makeWorkplace, type Workplace } from './gateway-command.ts'

describe('mesh-gateway on the command line', () => {
  let place: Workplace
  before(async () => {
    place = await makeWorkplace()
  })
  after(() => place.close())
  const config = ['--config', 'gateway.json']

  it('shows worked examples, and 2 with a hint when it is used wrongly', async () => {
    const [help, nothing, unknown, flag] = await Promise.all([
      place.run('issue-token', '--help'),
      place.run(),
      place.runProcess({}, 'strat'),
      place.run('start', '--egress-lisn', 'x'),
    ])
    assert.equal(help.code, 0)
    assert.match(help.stdout, /Examples:\n {2}\$ mesh-gateway issue-token /)
    assert.equal(help.stderr, '')
    assert.equal(nothing.code, 2)
    assert.match(nothing.stderr, /Commands:/)
    assert.deepEqual(unknown, {
      code: 2,
      stdout: '',
      stderr:
        "mesh-gateway: unknown command 'strat', did you mean start\nmesh-gateway: hint: mesh-gateway --help\n",
    })
    assert.equal(flag.code, 2)
    assert.match(flag.stderr, /did you mean --egress-listen/)
  })

  it('fits into 80 columns of any terminal with the help of every command, and shows no example twice', async () => {
    const pages = await helpPages(async (args) => {
      const { code, stdout } = await place.run(...args)
      assert.equal(code, 0, args.join(' '))
      return stdout
    })
    for (const { of, lines } of pages) {
      const long = lines.filter((line) => line.length > 80)
      assert.deepEqual(long, [], of)
      const examples = lines.filter((line) => line.startsWith('  $ '))
      assert.deepEqual([...new Set(examples)], examples, of)
    }
    assert.deepEqual(pages.map(({ of }) => of).toSorted(), [
      '',
      ...['backup', 'backup create', 'backup restore', 'backup verify'],
      ...['doctor', 'explain', 'issue-token'],
      ...['keys', 'keys export', 'keys list', 'keys retire', 'keys rotate'],
      ...['policy', 'policy check', 'policy explain', 'policy replay', 'policy suggest', 'revoke'],
      ...['service-account', 'service-account create', 'service-account list'],
      ...['service-account revoke', 'start', 'top', 'trees'],
    ])
  })

  it('tells every fault of the configuration at once, and exits 2 when a flag is among them, else 1', async () => {
    const { code, stdout, stderr } = await place.runProcess(
      { MESH_CONFIG: 'gateway.json', MESH_ADMIN_LISTEN: '9090', MESH_KEYS_DIRR: 'x' },
      'start',
      '--drain-ms',
      'soon',
    )
    assert.deepEqual({ code, stdout }, { code: 2, stdout: '' })
    assert.equal(
      stderr,
      `mesh-gateway: 3 faults in the configuration
  MESH_KEYS_DIRR: no such variable; did you mean MESH_KEYS_DIR
  admin.listen (MESH_ADMIN_LISTEN): must be host:port, e.g. 127.0.0.1:9090
  drainMs (--drain-ms): must be a time: 15m, 30s, or a number of milliseconds
mesh-gateway: hint: \`mesh-gateway start --help\` lists every setting
`,
    )
    const [flag, variable, missing] = await Promise.all([
      place.run('keys', 'list', ...config, '--keys-overlap-ms', 'soon'),
      place.runWith({ MESH_KEYS_OVERLAP_MS: 'soon' }, 'keys', 'list', ...config),
      place.run('keys', 'list'),
    ])
    assert.deepEqual(
      [flag, variable, missing].map((one) => one.code),
      [2, 1, 1],
    )
    assert.match(flag.stderr, /keys\.overlapMs \(--keys-overlap-ms\): must be a time/)
    assert.match(missing.stderr, /hint: no file was named, by --config or MESH_CONFIG; /)
    assert.doesNotMatch(flag.stderr, /no file was named/)
    const gone = await place.run('start', '--config', 'nowhere.json')
    assert.equal(gone.code, 1)
    assert.match(gone.stderr, /cannot read the configuration nowhere\.json \(ENOENT\)/)
  })

  it('says of a file that cannot be read what is wrong with it, not that all of it is missing', async () => {
    await place.write('torn.json', '{ "trustDomain": "mesh.internal",')
    const { code, stderr } = await place.runWith(
      { MESH_DRAIN_MS: 'soon' },
      ...['start', '--config', 'torn.json'],
    )
    assert.equal(code, 1)
    assert.equal(
      stderr,
      `mesh-gateway: 2 faults in the configuration
  torn.json:1:34: expected a key in double quotes, found the end
  drainMs (MESH_DRAIN_MS): must be a time: 15m, 30s, or a number of milliseconds
mesh-gateway: hint: \`mesh-gateway start --help\` lists every setting
`,
    )
  })

  it('names the flag of a setting only to commands that have it', async () => {
    const [audit, policy, start] = await Promise.all([
      place.run('policy', 'suggest', '--audit', 'nowhere.log'),
      place.run('policy', 'explain', '--dir', 'nowhere', '--agent', 'a/b', '--to', 'x.test'),
      place.run('start', ...config, '--policy-dir', 'nowhere'),
    ])
    for (const { code, stderr } of [audit, policy]) {
      assert.equal(code, 1)
      assert.match(stderr, /^mesh-gateway: hint: /m)
      assert.doesNotMatch(stderr, /--audit-file|--policy-dir/)
    }
    assert.match(start.stderr, /hint: identity\.dir is --identity-dir or MESH_IDENTITY_DIR/)
  })

  it('says in one sentence what is wrong with an option or an argument', async () => {
    const [ttl, extra] = await Promise.all([
      place.run('issue-token', '--agent-id', 'bot-01', '--ttl', 'soon'),
      place.run('start', 'extra'),
    ])
    assert.deepEqual([ttl.code, extra.code], [2, 2])
    assert.equal(
      ttl.stderr,
      "mesh-gateway: option '--ttl <time>' argument 'soon' is invalid; write it like 90s, 15m or 24h\nmesh-gateway: hint: mesh-gateway issue-token --help\n",
    )
    assert.match(
      extra.stderr,
      /^mesh-gateway: too many arguments for 'start'; expected 0 arguments but got 1: extra\n/,
    )
  })

  it('shows the configuration as it is read, in the form of a file', async () => {
    const { code, stdout, stderr } = await place.runWith(
      { MESH_DRAIN_MS: '1m' },
      'start',
      ...config,
      '--print-config',
    )
    assert.deepEqual({ code, stderr }, { code: 0, stderr: '' })
    const shown = JSON.parse(stdout)
    assert.equal(shown.drainMs, 60_000)
    assert.equal(shown.keys.dir, 'DIR/keys')
    assert.equal(shown.egress.listen, '127.0.0.1:0')
  })

  it('prints a token on stdout and nothing else, good for what policy allows', async () => {
    const { code, stdout, stderr } = await place.runProcess(
      {},
      'issue-token',
      ...config,
      '--agent-id',
      'bot-01',
    )
    assert.equal(code, 0)
    assert.match(stdout, /^[\w-]+\.[\w-]+\.[\w-]+\n$/)
    assert.match(
      stderr,
      /^mesh-gateway: token \S+ for acme\/bot-01, until \S+\nmesh-gateway: it allows api\.openai\.com, \*\.example\.com\n$/,
    )
    assert.ok(!stderr.includes(stdout.trim().slice(0, 30)))
    const ring = await openKeyRing({ dir: join(place.dir, 'keys') })
    const { payload } = await jwtVerify(
      stdout.trim(),
      createLocalJWKSet({ keys: [...ring.jwks().keys] }),
    )
    await ring.close()
    assert.equal(payload.sub, 'spiffe://mesh.internal/tenant/acme/agent/bot-01')
    assert.deepEqual(payload.allowed_destinations, ['api.openai.com', '*.example.com'])
    assert.equal((payload.exp ?? 0) - (payload.iat ?? 0), 900)
  })

  it('narrows a token, and refuses one that policy does not cover or that would live too long', async () => {
    const issue = (...args: string[]) =>
      place.run('issue-token', ...config, '--agent-id', 'bot-01', ...args)
    const [narrow, beyond, long, empty, agent] = await Promise.all([
      issue(
        '--allow',
        'a.example.com',
        '--allow',
        'b.example.com,api.openai.com:443',
        '--ttl',
        '5m',
        '--json',
      ),
      issue('--allow', 'evil.com'),
      issue('--ttl', '2h'),
      issue('--allow', ''),
      issue('--agent-id', '../x'),
    ])
    const facts = JSON.parse(narrow.stdout)
    assert.deepEqual(facts.allowed_destinations, [
      'a.example.com',
      'b.example.com',
      'api.openai.com:443',
    ])
    assert.deepEqual(
      { ...beyond },
      {
        code: 1,
        stdout: '',
        stderr:
          'mesh-gateway: policy does not allow acme/bot-01: evil.com\nmesh-gateway: hint: it allows api.openai.com, *.example.com\n',
      },
    )
    assert.equal(long.code, 1)
    assert.match(long.stderr, /3600 seconds at most\n.*tokens\.maxTtlMs/)
    assert.equal(empty.code, 1)
    assert.equal(agent.code, 2)
    for (const refused of [beyond, long, empty, agent]) assert.equal(refused.stdout, '')
  })

  it('asks for the tenant when there are several, and for a policy when there is none or a broken one', async () => {
    await place.write('two/acme.json', { tenant: 'acme' })
    await place.write('two/globex.json', { tenant: 'globex' })
    await place.write('typo/acme.json', { tenant: 'acme', egres: {} })
    const issue = (dir: string, ...more: string[]) =>
      place.run('issue-token', ...config, '--policy-dir', dir, '--agent-id', 'bot-01', ...more)
    const [two, none, typo, stranger] = await Promise.all([
      issue('two'),
      issue('nowhere'),
      issue('typo'),
      issue('policy', '--tenant', 'umbrella'),
    ])
    assert.equal(two.code, 2)
    assert.match(two.stderr, /--tenant is needed: acme, globex have policies/)
    assert.equal(none.code, 1)
    assert.equal(typo.code, 1)
    assert.match(typo.stderr, /egres.*did you mean egress/)
    assert.equal(stranger.code, 1)
    assert.match(stranger.stderr, /tenant umbrella has no policy/)
  })

  it('lists, rotates and retires keys, and never shows a private one', async () => {
    const keys = (...args: string[]) => place.run('keys', ...args, '--keys-dir', 'ring')
    const empty = await keys('list')
    assert.equal(empty.code, 1)
    assert.match(empty.stderr, /there are no signing keys in DIR\/ring\n.*the first/)
    await place.run('issue-token', ...config, '--keys-dir', 'ring', '--agent-id', 'bot-01')
    const before = JSON.parse((await keys('list', '--json')).stdout).keys
    const rotated = await keys('rotate', '--overlap', '1h', '--json')
    const after = JSON.parse(rotated.stdout).keys
    assert.equal(after[0].kid, before[1].kid)
    assert.equal(after[0].role, 'active')
    assert.equal(after[2].role, 'verifying')
    const again = await keys('rotate')
    assert.equal(again.code, 1)
    assert.match(again.stderr, /so new that verifiers.*\n.*hint: rotate again in 3\d\d seconds/)
    assert.equal((await keys('list', '--json')).stdout, rotated.stdout)
    const listed = await keys('list')
    assert.match(listed.stdout, /^KID +STATE +CREATED +MEANING\n/)
    const active = await keys('retire', after[0].kid)
    assert.equal(active.code, 1)
    assert.match(active.stderr, /hint: run `mesh-gateway keys rotate` first/)
    assert.equal((await keys('retire', after[2].kid)).code, 0)
    const missing = await keys('retire', after[2].kid)
    assert.equal(missing.code, 1)
    for (const { stdout, stderr } of [rotated, listed, active, missing])
      assert.ok(!`${stdout}${stderr}`.includes('PRIVATE'))
  })

  it('creates, lists and revokes service accounts; the key is on stdout once and in no file', async () => {
    const accounts = (...args: string[]) => place.run('service-account', ...args, ...config)
    const who = ['--tenant', 'acme', '--agent-id', 'ci']
    const made = await accounts('create', ...who, '--allow', 'api.openai.com')
    assert.equal(made.code, 0)
    const [, id = ''] = /^cmsa_([0-9a-f]{16})_[\w-]{43}\n$/.exec(made.stdout) ?? []
    assert.ok(!made.stderr.includes(made.stdout.trim()))
    const file = await readFile(join(place.dir, 'accounts.json'), 'utf8')
    assert.ok(!file.includes(made.stdout.trim().slice(22)))
    const wrong = await accounts('create', ...who, '--allow', 'https://x/')
    assert.equal(wrong.code, 2)
    assert.equal((await accounts('revoke', id)).code, 0)
    const [listed, json] = [await accounts('list'), await accounts('list', '--json')]
    assert.match(listed.stdout, new RegExp(`${id} +acme/ci +api\\.openai\\.com +\\S+ +revoked`))
    assert.equal('hash' in JSON.parse(json.stdout).accounts[0], false)
    assert.equal((await accounts('revoke', 'nobody')).code, 1)
  })

  it('says in one sentence what hinders a start, and which setting changes it', async () => {
    const taken = createServer()
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
    const address = taken.address()
    const port = typeof address === 'object' ? address?.port : 0
    const { makeTestCa } = await import('../../support/test-ca.ts')
    const ca = await makeTestCa()
    const identity = await ca.gatewayDir({ name: 'gw', tenants: ['acme'] })
    await writeFile(join(place.dir, 'a-file'), '')
    const good = ['start', ...config, '--identity-dir', identity, '--log-level', 'error']
    const [nobody, port80, audit, keys] = await Promise.all([
      place.run('start', ...config),
      place.run(...good, '--admin-listen', `127.0.0.1:${port}`),
      place.run(...good, '--audit-file', 'a-file/audit.log'),
      place.run(...good, '--keys-dir', 'a-file'),
    ])
    taken.close()
    await ca.close()
    const said = ({ stderr }: { stderr: string }) =>
      stderr.split('\n').filter((line) => line.startsWith('mesh-gateway:'))
    for (const refused of [nobody, port80, audit, keys])
      assert.equal(refused.code, 1, refused.stderr)
    assert.match(said(nobody).join('\n'), /--identity-dir or MESH_IDENTITY_DIR/)
    assert.deepEqual(said(port80), [
      `mesh-gateway: 127.0.0.1:${port} is taken by another process`,
      'mesh-gateway: hint: change admin.listen, or end what uses the address',
      'mesh-gateway: hint: admin.listen is --admin-listen or MESH_ADMIN_LISTEN',
    ])
    assert.match(said(audit).join('\n'), /cannot write the audit log .*\(E\w+\)\n.*audit\.file/)
    assert.match(said(keys).join('\n'), /--keys-dir or MESH_KEYS_DIR/)
  })
})
