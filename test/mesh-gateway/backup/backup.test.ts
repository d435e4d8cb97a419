import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { createSqliteTaskStore } from '@clawmesh/agent-sdk'
import { Secret } from '@clawmesh/proto'
import { openArchive, restoreTree, saveArchive, writeArchive } from '@clawmesh/proto/backup'
import { isGatewayFile } from '../../../mesh-gateway/src/backup/names.ts'
import { proveRestored } from '../../../mesh-gateway/src/backup/prove-restored.ts'
import { snapshotGateway } from '../../../mesh-gateway/src/backup/snapshot-gateway.ts'
import { readList } from '../../../mesh-gateway/src/revocation/list-file.ts'
import { readAccounts } from '../../../mesh-gateway/src/tokens/account-file.ts'
import { type IssuedWorkplace, makeIssuedWorkplace } from '../cli/issued-workplace.ts'

const OPERATOR = fileURLToPath(new URL('endless-operator.ts', import.meta.url))
const CONFIG = ['--config', 'gateway.json']
const BOT = ['--tenant', 'acme', '--agent-id', 'bot-01']

describe('mesh-gateway backup', () => {
  let place: IssuedWorkplace
  const path = (...names: string[]) => join(place.dir, ...names)
  beforeEach(async () => {
    place = await makeIssuedWorkplace()
    await place.write('archive-pass', 'a passphrase of the archive\n')
    const config: unknown = JSON.parse(await readFile(path('gateway.json'), 'utf8'))
    await place.write('gateway.json', {
      ...Object(config),
      revocation: { list: 'state/revoked.jsonl' },
    })
    await place.write('state/nothing', '')
    await ran('revoke', '--new', ...CONFIG)
  })
  afterEach(() => place.close())

  const ran = async (...args: string[]) => {
    const { code, stdout, stderr } = await place.run(...args)
    assert.equal(code, 0, stderr)
    return stdout
  }
  const issueToken = async () => (await ran('issue-token', ...CONFIG, ...BOT)).trim()
  const restore = (to: string, ...more: string[]) =>
    place.run('backup', 'restore', path('gw.age'), '--dir', path(to), ...pass(), ...more)
  const pass = () => ['--passphrase-file', path('archive-pass')]
  /** As the command does, at less cost of guessing the passphrase, which is not what is tested. */
  const create = async (...included: string[]) => {
    const from = { path: 'gateway.json', env: {}, flags: {}, cwd: place.dir }
    const { sources, made, close } = await snapshotGateway(from, included)
    const facts = { kind: 'gateway', version: '0.1.0', made: made.toISOString() } as const
    const passphrase = new Secret('a passphrase of the archive')
    await saveArchive(writeArchive({ facts, sources, passphrase, workFactor: 4 }), path('gw.age'))
    await close()
  }
  const keys = async (dir = 'keys') => {
    const out: unknown = JSON.parse(await ran('keys', 'list', '--keys-dir', path(dir), '--json'))
    const found: unknown = Reflect.get(Object(out), 'keys')
    assert.ok(Array.isArray(found))
    return found.map((key: unknown) => ({
      kid: String(Reflect.get(Object(key), 'kid')),
      role: String(Reflect.get(Object(key), 'role')),
    }))
  }
  const account = async () => {
    const out = await ran('service-account', 'create', ...CONFIG, ...BOT, '--json')
    return String(Reflect.get(Object(JSON.parse(out)), 'id'))
  }
  /** The code of the refusal, or the status, for a request to a host that policy does not allow. */
  const ask = async (port: string, token: string) => {
    const asked = request({
      host: '127.0.0.1',
      port: Number(port.split(':').at(-1)),
      path: 'http://not-allowed.invalid/',
      headers: { host: 'not-allowed.invalid', 'proxy-authorization': `Bearer ${token}` },
    }).end()
    const [response] = await once(asked, 'response')
    const pieces: Buffer[] = []
    for await (const piece of response) pieces.push(piece)
    return String(Reflect.get(Object(JSON.parse(Buffer.concat(pieces).toString())), 'code'))
  }

  it('brings a gateway back on an empty machine: old tokens verify, what was revoked stays so', async () => {
    const [old, revoked] = [await issueToken(), await issueToken()]
    await ran('keys', 'rotate', ...CONFIG)
    const [, claims = ''] = revoked.split('.')
    const { jti } = JSON.parse(Buffer.from(claims, 'base64url').toString('utf8'))
    await ran('revoke', 'token', String(jti), ...CONFIG)
    const before = await keys()
    const made = await place.run('backup', 'create', ...CONFIG, '--out', path('gw.age'), ...pass())
    assert.equal(made.code, 0, made.stderr)
    for (const name of ['keys', 'identity', 'policy', 'state', 'gateway.json'])
      await rm(path(name), { recursive: true })
    const { code, stderr } = await restore('restored')
    assert.equal(code, 0, stderr)
    assert.deepEqual(await keys('restored/keys'), before)
    assert.equal((await stat(path('restored'))).mode & 0o777, 0o700)
    assert.equal((await stat(path('restored/keys/ring.json'))).mode & 0o777, 0o600)
    const gateway = await place.start('--config', path('restored/gateway.json'))
    const egress = gateway.said('egress')
    assert.equal(await ask(egress, old), 'MESH_POLICY_NOT_ALLOWED')
    assert.equal(await ask(egress, revoked), 'MESH_TOKEN_REVOKED')
    gateway.child.kill('SIGTERM')
    await gateway.ended
  })

  it('stores what environment and flags say, and finds the files of a restored directory by relative paths', async () => {
    const from = {
      path: null,
      env: {
        MESH_TRUST_DOMAIN: 'mesh.internal',
        MESH_IDENTITY_DIR: 'identity',
        MESH_POLICY_DIR: 'policy',
        MESH_TOKENS_TTL_MS: '5m',
      },
      flags: { 'keys-dir': 'keys' },
      cwd: place.dir,
    }
    await issueToken()
    const { sources, close } = await snapshotGateway(from, [])
    const [config] = sources
    const pieces: Uint8Array[] = []
    for await (const piece of config?.read() ?? []) pieces.push(piece)
    assert.deepEqual(JSON.parse(Buffer.concat(pieces).toString()), {
      trustDomain: 'mesh.internal',
      identity: { dir: 'identity' },
      policy: { dir: 'policy' },
      keys: { dir: 'keys' },
      audit: { file: 'stdout' },
      tokens: { ttlMs: '5m' },
    })
    await close()
  })

  it('is taken while keys rotate, accounts come and go and tokens are revoked: each one is whole', async () => {
    await account()
    await issueToken()
    const operator = spawn(
      process.execPath,
      [OPERATOR, path('keys'), path('accounts.json'), path('state/revoked.jsonl')],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    const done: string[] = []
    createInterface(operator.stdout).on('line', (line) => done.push(line))
    try {
      for (let round = 0; round < 8; round += 1) {
        while (done.length < round * 3) await once(operator.stdout, 'data')
        const before = [...done]
        await create()
        const to = path(`copy-${round}`)
        await restoreTree({
          input: openArchive(path('gw.age')),
          passphrase: new Secret('a passphrase of the archive'),
          kind: 'gateway',
          version: '0.1.0',
          dir: to,
          force: false,
          accepts: isGatewayFile,
          lastName: 'gateway.json',
          prove: (staged) =>
            proveRestored({
              staged,
              before: null,
              compareWith: null,
              keepRevocations: false,
              nowMs: Date.now(),
            }),
        })
        const listed = new Set(
          (await readList(join(to, 'revocations.jsonl'), Date.now())).map(({ value }) => value),
        )
        const accounts = (await readAccounts(join(to, 'accounts.json'))).parse()
        for (const line of before) {
          const [id = '', jti = ''] = line.split(' ')
          assert.ok(listed.has(jti), `${jti} is revoked in the backup`)
          const found = accounts.find((one) => one.id === id)
          assert.notEqual(found?.revoked ?? null, null, `${id} is revoked in the backup`)
        }
      }
    } finally {
      operator.kill('SIGKILL')
      await once(operator, 'exit')
    }
  })

  it('is refused when it would let in again what a newer gateway has revoked or retired', async () => {
    const [kept, ended] = [await account(), await account()]
    await issueToken()
    await ran('keys', 'rotate', ...CONFIG)
    const old = (await keys()).find(({ role }) => role === 'verifying')?.kid ?? ''
    await create()
    await ran('service-account', 'revoke', ended, ...CONFIG)
    await ran('revoke', 'agent', 'acme/bot-02', ...CONFIG)
    await ran('keys', 'retire', old, ...CONFIG)
    const compare = ['--compare', path('gateway.json')]
    const { code, stderr } = await restore('restored', ...compare)
    assert.equal(code, 1)
    assert.match(
      stderr,
      /revoked now: agent spiffe:\/\/mesh\.internal\/tenant\/acme\/agent\/bot-02/,
    )
    assert.match(stderr, new RegExp(`service account ${ended} of acme/bot-01`))
    assert.match(stderr, new RegExp(`signing key ${old}`))
    assert.doesNotMatch(stderr, new RegExp(kept))
    await assert.rejects(stat(path('restored')), { code: 'ENOENT' })

    assert.equal((await restore('kept', ...compare, '--keep-revocations')).code, 0)
    const accounts = (await readAccounts(path('kept/accounts.json'))).parse()
    assert.deepEqual(
      accounts.filter(({ revoked }) => revoked === null).map(({ id }) => id),
      [kept],
    )
    assert.equal((await readList(path('kept/revocations.jsonl'), Date.now())).length, 1)
    assert.ok((await keys('kept/keys')).every(({ kid }) => kid !== old))

    assert.equal((await restore('forced', ...compare, '--force')).code, 0)
    assert.ok((await keys('forced/keys')).some(({ kid }) => kid === old))
    // over the restored one that knows more, it is compared with that one
    const over = await restore('kept')
    assert.match(over.stderr, /would replace what is in/)
    assert.match(over.stderr, new RegExp(`signing key ${old}`))
  })

  it('is refused when what the gateway to compare with has revoked cannot be read', async () => {
    await Promise.all([account(), issueToken()])
    await create()
    for (const one of ['state/revoked.jsonl', 'keys/ring.json', 'accounts.json']) {
      const before = await readFile(path(one))
      await writeFile(path(one), 'nothing of the kind\n')
      const { code, stderr } = await restore('restored', '--compare', path('gateway.json'))
      assert.ok(code === 1 && stderr.includes(one), stderr)
      await writeFile(path(one), before)
    }
    await assert.rejects(stat(path('restored')), { code: 'ENOENT' })
  })

  it('does not keep a key that signs and was retired since, and says so', async () => {
    await issueToken()
    await create()
    const [active] = await keys()
    await ran('keys', 'rotate', ...CONFIG)
    await ran('keys', 'retire', active?.kid ?? '', ...CONFIG)
    const compare = ['--compare', path('gateway.json'), '--keep-revocations']
    const { code, stderr } = await restore('restored', ...compare)
    assert.equal(code, 1)
    assert.match(stderr, new RegExp(`signing key ${active?.kid}`))
  })

  it('restores nothing that does not work: a key that is missing, a list that is torn', async () => {
    await issueToken()
    await writeFile(path('state/revoked.jsonl'), 'nothing of the kind\n')
    await create()
    const { code, stderr } = await restore('restored')
    assert.equal(code, 1)
    assert.match(stderr, /revocations\.jsonl/)
    assert.deepEqual(
      (await readdir(place.dir)).filter((name) => name.startsWith('restored')),
      [],
    )
  })

  it('includes databases as of one moment, and says when an agent holds its store', async () => {
    await issueToken()
    const database = new DatabaseSync(path('tasks.db'))
    database.exec('PRAGMA journal_mode = WAL; CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (7)')
    await create('tasks.db')
    database.close()
    assert.equal((await restore('restored')).code, 0)
    const copy = new DatabaseSync(path('restored/included/tasks.db'), { readOnly: true })
    assert.deepEqual({ ...copy.prepare('SELECT n FROM t').get() }, { n: 7 })
    copy.close()
    const store = createSqliteTaskStore({ file: path('agent.db') })
    await assert.rejects(create('agent.db'), {
      code: 'MESH_BACKUP_INVALID',
      message: /cannot copy the database/,
    })
    store.close()
    assert.deepEqual(
      (await readdir(place.dir)).filter((name) => name.endsWith('.backup')),
      [],
    )
  })

  it('is verified without being restored', async () => {
    await issueToken()
    await create()
    const { code, stdout } = await place.run(
      'backup',
      'verify',
      path('gw.age'),
      ...pass(),
      '--json',
    )
    assert.equal(code, 0)
    assert.match(stdout, /"name": "keys\/ring\.json"/)
  })
})
