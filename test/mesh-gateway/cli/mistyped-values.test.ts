/** Mistakes of people at the command line: each is refused with the value that was meant, and nothing is changed. */
import assert from 'node:assert/strict'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { uuidV7 } from '@clawmesh/proto'
import { makeWorkplace, type Workplace } from './gateway-command.ts'

const ENV = {
  MESH_TRUST_DOMAIN: 'mesh.internal',
  MESH_POLICY_DIR: 'policy',
  MESH_KEYS_DIR: 'keys',
  MESH_REVOCATION_LIST: 'revoked.json',
  MESH_SERVICE_ACCOUNTS_FILE: 'accounts.json',
}

describe('a value at the command line that is mistyped', () => {
  let place: Workplace
  const run = (...args: string[]) => place.runWith(ENV, ...args)
  const hintOf = (stderr: string) => /^mesh-gateway: hint: (.*)$/m.exec(stderr)?.[1] ?? ''
  before(async () => {
    place = await makeWorkplace()
    await place.write('policy/acme.json', { tenant: 'acme', egress: { allow: ['x.test'] } })
    assert.equal((await run('revoke', '--new')).code, 0)
    assert.equal((await run('issue-token', '--agent-id', 'bot-01')).code, 0)
    const account = ['--tenant', 'acme', '--agent-id', 'bot-01']
    assert.equal((await run('service-account', 'create', ...account)).code, 0)
  })
  after(() => place?.close())

  for (const args of [
    ['revoke', 'agent', 'acme/planner', '--for', '24'],
    ['keys', 'rotate', '--force', '--overlap', '24'],
    ['issue-token', '--agent-id', 'bot-01', '--ttl', '900'],
  ])
    it(`as a time without a unit is wrong usage, and \`${args[0]}\` changes nothing`, async () => {
      const list = await readFile(join(place.dir, 'revoked.json'), 'utf8')
      const keys = await readFile(join(place.dir, 'keys/ring.json'), 'utf8')
      const { code, stdout, stderr } = await run(...args)
      assert.deepEqual([code, stdout], [2, ''])
      assert.match(stderr, /argument '\d+' is invalid; it has no unit: write it like 90s, 15m/)
      assert.equal(await readFile(join(place.dir, 'revoked.json'), 'utf8'), list)
      assert.equal(await readFile(join(place.dir, 'keys/ring.json'), 'utf8'), keys)
    })

  it('as the id of a key or an account leads to the list, not to a backup', async () => {
    const key = await run('keys', 'retire', 'nope')
    assert.equal(key.code, 1)
    assert.match(key.stderr, /there is no key "nope" in DIR\/keys\n/)
    assert.equal(hintOf(key.stderr), '`mesh-gateway keys list` shows which there are')
    const account = await run('service-account', 'revoke', 'nope')
    assert.equal(account.code, 1)
    assert.match(account.stderr, /there is no service account "nope" in DIR\/accounts\.json\n/)
    assert.equal(
      hintOf(account.stderr),
      '`mesh-gateway service-account list` shows which there are',
    )
    // the key of an account is a secret, and its id is a part of it
    const owner = ['--tenant', 'acme', '--agent-id', 'bot-02']
    const secret = (await run('service-account', 'create', ...owner)).stdout.trim()
    const [, id = ''] = secret.split('_')
    const pasted = await run('service-account', 'revoke', secret)
    assert.equal(pasted.code, 1)
    assert.ok(!pasted.stderr.includes(secret.slice(-20)))
    assert.match(pasted.stderr, /^mesh-gateway: that is the key of an account, not its id\n/)
    assert.equal(hintOf(pasted.stderr), `mesh-gateway service-account revoke ${id}`)
    for (const { stderr } of [key, account]) assert.doesNotMatch(stderr, /backup|good copy|anew/)
  })

  it('as the file of a certificate says what may be named, and how it was meant', async () => {
    await mkdir(join(place.dir, 'planner'))
    await place.write('tls.key', '-----BEGIN PRIVATE KEY-----\nMIGH\n-----END PRIVATE KEY-----\n')
    for (const [name, hint] of [
      ['nope.crt', /^name a PEM file, a SHA-256 fingerprint or a serial number$/],
      ['planner', /^it is a directory: name planner\/tls\.crt$/],
      ['tls.key', /^name the certificate, such as tls\.crt: a PEM file, a SHA-256 fingerprint/],
    ] as const) {
      const { code, stderr } = await run('revoke', 'certificate', join(place.dir, name))
      assert.equal(code, 1)
      assert.match(hintOf(stderr).replaceAll('DIR/', ''), hint)
    }
    const inside = await readdir(place.dir)
    assert.ok(inside.includes('revoked.json'))
  })

  it('as the id of a tree or a token says where the right one stands, and revokes nothing', async () => {
    const before = await readFile(join(place.dir, 'revoked.json'), 'utf8')
    for (const [kind, field] of [
      ['txn', 'root_id'],
      ['token', 'token_jti'],
    ] as const) {
      // the first part of an id, the trace id of the same record, and words
      for (const id of ['01a22ceb', '0af7651916cd43dd8448eb211c80319c', 'planner']) {
        const { code, stderr } = await run('revoke', kind, id)
        assert.equal(code, 1)
        assert.match(stderr, new RegExp(`"${id}" names no ${kind}\n`))
        assert.match(hintOf(stderr), new RegExp(`${field} of an audit record`))
      }
    }
    assert.equal(await readFile(join(place.dir, 'revoked.json'), 'utf8'), before)
    // a token is a secret: it is not repeated into a terminal or the log of a job
    const token = (await run('issue-token', '--agent-id', 'bot-01')).stdout.trim()
    const whole = await run('revoke', 'token', token)
    assert.equal(whole.code, 1)
    assert.ok(!whole.stderr.includes(token.slice(0, 40)))
    assert.match(whole.stderr, /^mesh-gateway: that is a token itself\n/)
    assert.match(
      hintOf(whole.stderr),
      /token_jti .*POST \/v1\/token\/revoke takes the token itself/,
    )
    assert.match((await run('revoke', 'txn', 'tree-1', '--undo')).stderr, /tree-1 is not in DIR/)
    // as the gateway makes them; those of other issuers carry the mark of their issuer
    assert.equal((await run('revoke', 'txn', uuidV7())).code, 0)
    for (const jti of [uuidV7(), '0a1b2c3d:whatever-it-says', `0a1b2c3d:sha256:${'A'.repeat(43)}`])
      assert.equal((await run('revoke', 'token', jti)).code, 0)
  })

  it('as the tenant of a new account is warned of, since its key opens nothing yet', async () => {
    const create = (tenant: string) =>
      run('service-account', 'create', '--tenant', tenant, '--agent-id', 'ci')
    const typo = await create('acm')
    assert.equal(typo.code, 0)
    assert.match(
      typo.stderr,
      /warning: there is no acm\.json in DIR\/policy: the key opens nothing/,
    )
    assert.doesNotMatch((await create('acme')).stderr, /warning/)
  })

  it('as a peer to be examined is told without an empty place, with the form that is meant', async () => {
    const short = await run('doctor', '--peer', 'researcher')
    assert.equal(short.code, 2)
    assert.match(short.stderr, /argument 'researcher' is invalid; write tenant\/agent, e\.g\. acme/)
    const foreign = await run('doctor', '--identity-dir', 'gw', '--peer', 'researcher.acme.else')
    assert.equal(foreign.code, 1)
    assert.equal(hintOf(foreign.stderr), 'peer names are <agent>.<tenant>.mesh.internal')
  })

  it('as a key of the configuration is one finding of the doctor, in one line', async () => {
    await place.write('typo.json', { trustDomain: 'mesh.internal', polcy: {}, drainMS: 1 })
    const { code, stdout } = await place.run('doctor', '--config', join(place.dir, 'typo.json'))
    assert.equal(code, 1)
    assert.match(
      stdout,
      /BAD +configuration +5 faults in the configuration: identity\.dir: missing; /,
    )
    assert.match(stdout, /; polcy \(DIR\/typo\.json\): unknown key; did you mean policy/)
    assert.doesNotMatch(stdout, /\?/)
  })

  it('as the root of a tree, or a file without its option, is told in words of ours', async () => {
    const tree = await run('trees', 'xx')
    assert.equal(tree.code, 2)
    assert.match(
      tree.stderr,
      /^mesh-gateway: argument 'root' 'xx' is invalid; write root_id of an /,
    )
    for (const command of ['start', 'doctor']) {
      const { code, stderr } = await run(command, 'gateway.json')
      assert.equal(code, 2)
      assert.equal(hintOf(stderr), `mesh-gateway ${command} --config gateway.json`)
    }
  })
})
