import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeIdentity } from '@clawmesh/pki'
import { Decrypter } from 'age-encryption'
import { run } from '../../pki/run.ts'
import { makeCa } from '../../pki/scratch.ts'
import { needProgram } from '../../support/need-program.ts'
import { meshGateway, meshPki } from './commands.ts'
import { measure } from './figures.ts'

const GUIDE = new URL('../../../docs/guides/backup.md', import.meta.url)
const PASS = 'a passphrase of the archive'
const CODE = { 'mesh-pki': meshPki, 'mesh-gateway': meshGateway } as const

describe('backups', function () {
  this.timeout(240_000)
  let dir = ''
  before(async function () {
    needProgram(this, 'restic', 'version')
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-backup-'))
    await writeFile(join(dir, 'archive.pass'), `${PASS}\n`)
    await writeFile(join(dir, 'restic.pass'), 'a passphrase of restic\n')
    const ca = await makeCa(join(dir, 'mesh-ca'))
    await writeIdentity(join(dir, 'identity'), ca.issueGateway({ name: 'gw', tenants: ['acme'] }))
    await sh('mkdir policy')
    const allow = ['api.example.com']
    await writeFile(
      join(dir, 'policy/acme.json'),
      JSON.stringify({ tenant: 'acme', egress: { allow } }),
    )
    await writeFile(
      join(dir, 'gateway.json'),
      JSON.stringify({
        trustDomain: 'mesh.internal',
        identity: { dir: 'identity' },
        policy: { dir: 'policy' },
        keys: { dir: 'keys' },
        revocation: { list: 'revoked.jsonl' },
      }),
    )
    const of = '--config gateway.json'
    await sh(`mesh-gateway revoke --new ${of}
      mesh-gateway issue-token ${of} --tenant acme --agent-id bot >token
      mesh-gateway revoke agent acme/gone ${of}
      restic init`)
  })
  after(() => rm(dir, { recursive: true, force: true }))

  /** Runs a script with the commands of ours and restic in it. */
  async function sh(script: string, wanted = 0) {
    const functions = Object.entries(CODE).map(
      ([name, [file = '']]) => `${name}() { "${process.execPath}" "${file}" "$@"; }`,
    )
    const ran = await run('bash', ['-c', ['set -eo pipefail', ...functions, script].join('\n')], {
      cwd: dir,
      env: {
        RESTIC_REPOSITORY: join(dir, 'repository'),
        RESTIC_PASSWORD_FILE: join(dir, 'restic.pass'),
        RESTIC_CACHE_DIR: join(dir, 'cache'),
      },
    })
    assert.equal(ran.code === 0 ? 0 : 1, wanted, `${script}\n${ran.stdout}\n${ran.stderr}`)
    return ran
  }
  const digests = async (at: string) =>
    (await sh(`cd ${at} && find . -type f ! -name '*.lock' -exec sha256sum {} + | sort -k2`)).stdout

  it('are made and restored by the commands of the guide, as they stand', async () => {
    const blocks = (await readFile(GUIDE, 'utf8')).matchAll(/^```console\n(.*?)^```$/gms)
    const commands = [...blocks].flatMap(([, block = '']) => block.match(/(?<=^\$ ).*$/gm) ?? [])
    assert.equal(commands.length, 6)
    await sh(commands.join('\n'))
    const keys = await digests('keys')
    assert.equal(await digests('restored/keys'), keys)
    const revoked = await sh(
      'mesh-gateway revoke --list --json --trust-domain mesh.internal --revocation-list restored/revocations.jsonl',
    )
    assert.match(revoked.stdout, /agent\/gone/)
  })

  it('go through restic and come back the same, by the pipes of the guide', async () => {
    const [, pipes = ''] =
      /## With restic.*?```sh\n(.*?)```/s.exec(await readFile(GUIDE, 'utf8')) ?? []
    assert.match(pipes, /restic dump/)
    await sh(`${pipes.replace('--dir restored', '--dir from-restic')}
      mesh-pki backup create --dir mesh-ca --out - --passphrase-file archive.pass |
        restic backup --stdin --stdin-filename ca.age
      restic dump latest ca.age |
        mesh-pki backup restore - --dir ca-from-restic --passphrase-file archive.pass
      restic check`)
    assert.equal(await digests('from-restic/keys'), await digests('keys'))
    const without = (text: string) =>
      text
        .split('\n')
        .filter((line) => !line.includes('crl.json'))
        .join('\n')
    assert.equal(without(await digests('ca-from-restic')), without(await digests('mesh-ca')))
  })

  it('fail when restic goes away, and what restic has of a broken one is refused', async () => {
    // more than a pipe holds
    await writeFile(join(dir, 'large'), Buffer.alloc(1_000_000))
    const create = 'mesh-gateway backup create --config gateway.json --passphrase-file archive.pass'
    const gone = await sh(`${create} --include large --out - | head -c 100 >/dev/null`, 1)
    assert.match(gone.stderr, /EPIPE/)
    await sh(`${create} --out - | { head -c 3000; cat >/dev/null; } |
      restic backup --stdin --stdin-filename cut.age`)
    const { stderr } = await sh(
      'restic dump latest cut.age | mesh-gateway backup verify - --passphrase-file archive.pass',
      1,
    )
    assert.match(stderr, /cut off or altered/)
  })

  it('open without any of our programs: age, tar and sha256sum', async () => {
    await sh('mesh-pki backup create --dir mesh-ca --out plain.age --passphrase-file archive.pass')
    const age = new Decrypter()
    age.addPassphrase(PASS)
    await writeFile(
      join(dir, 'plain.tar'),
      await age.decrypt(await readFile(join(dir, 'plain.age'))),
    )
    const { stdout } = await sh(
      'mkdir plain && cd plain && tar xf ../plain.tar && sha256sum -c SHA256SUMS && stat -c %a ca.json',
    )
    assert.match(stdout, /intermediate\.key: OK[\s\S]*^600$/m)
    assert.ok((await readdir(join(dir, 'plain'))).includes('backup.json'))
  })

  it('of 1,000 agents are made and restored', async () => {
    for (const { of, createMs, restoreMs, archiveBytes } of await measure(1_000)) {
      process.stdout.write(
        `      ${of}: backup ${createMs} ms, restore ${restoreMs} ms, ${Math.round(archiveBytes / 1024)} KiB\n`,
      )
      assert.ok(archiveBytes > 50_000)
    }
  })
})
