/** `mesh-agent openclaw setup`: what it writes, what it keeps, and when it writes nothing. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  chmod,
  type FileHandle,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ErrorCode, MeshError } from '@clawmesh/proto'
import { readJson5, valueAt } from '../../../mesh-agent/src/openclaw/json5-text.ts'
import { planSetup, shown } from '../../../mesh-agent/src/openclaw/setup.ts'
import { makeTestCa, type TestCa } from '../../support/test-ca.ts'
import { bundledCommand } from '../relay/relay-process.ts'

const WRITTEN = `// a gateway of mine
{
  gateway: { mode: 'local', auth: { token: "keep me" } },
  proxy: { enabled: false, proxyUrl: 'http://bob:hunter2@10.0.0.1:3128' }, // the old one
  plugins: { allow: ['other'] },
}
`

describe('mesh-agent openclaw setup', function () {
  this.timeout(120_000)
  let ca: TestCa
  let identity: string
  let dir: string
  let file: string
  before(async () => {
    ca = await makeTestCa()
    identity = await ca.agentDir({ tenant: 'acme', agent: 'bot-01' })
  })
  after(() => ca.close())
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-openclaw-'))
    file = join(dir, 'openclaw.json')
  })
  afterEach(() => rm(dir, { recursive: true }))

  const plan = (plugin = true, renewSecret = false) =>
    planSetup({
      configFile: file,
      mesh: {
        ...{ identity, gateway: '127.0.0.1:8443', egress: 'http://127.0.0.1:8080' },
        ...{ listen: '127.0.0.1:8081', secretFile: join(dir, 'relay.secret') },
      },
      ...{ plugin, renewSecret },
      now: () => new Date('2026-11-30T01:02:03Z'),
    })
  const secret = async () => (await readFile(join(dir, 'relay.secret'), 'utf8')).trim()
  const written = async () => readJson5(await readFile(file, 'utf8'))

  it('leads the way out through the relay and enables the plugin; comments and all else stay', async () => {
    await writeFile(file, WRITTEN)
    const backup = await (await plan()).apply()
    const text = await readFile(file, 'utf8')
    for (const kept of ['// a gateway of mine', "mode: 'local'", '"keep me"', '// the old one'])
      assert.ok(text.includes(kept), kept)
    const config = readJson5(text)
    assert.deepEqual(valueAt(config, ['proxy']), {
      enabled: true,
      proxyUrl: `http://openclaw:${await secret()}@127.0.0.1:8081`,
    })
    assert.deepEqual(valueAt(config, ['tools']), { web: { fetch: { useTrustedEnvProxy: true } } })
    assert.deepEqual(valueAt(config, ['plugins', 'allow']), ['other', 'clawmesh'])
    assert.deepEqual(valueAt(config, ['plugins', 'entries', 'clawmesh']), {
      enabled: true,
      config: {
        ...{ gateway: '127.0.0.1:8443', identity, egress: 'http://127.0.0.1:8080' },
        relay: { listen: '127.0.0.1:8081', secretFile: join(dir, 'relay.secret') },
      },
    })
    assert.equal(backup, `${file}.before-clawmesh-20261130T010203Z`)
    assert.equal(await readFile(backup, 'utf8'), WRITTEN)
    for (const one of [file, backup]) assert.equal((await stat(one)).mode & 0o777, 0o600)
  })

  it('is on the disk before it counts: the copy of the old file, then the new file, then its name', async () => {
    await writeFile(file, WRITTEN)
    const apply = (await plan()).apply
    const probe = await open(file)
    const proto: FileHandle = Object.getPrototypeOf(probe)
    await probe.close()
    const { sync } = proto
    const seen: string[] = []
    proto.sync = async function (this: FileHandle) {
      const what = (await this.stat()).isDirectory() ? 'directory' : 'file'
      const changed = (await readFile(file, 'utf8')) !== WRITTEN
      const kept = (await readdir(dir)).some((name) => name.includes('.before-clawmesh-'))
      seen.push(`${what}: ${kept ? 'kept' : '-'} ${changed ? 'changed' : '-'}`)
      return sync.call(this)
    }
    try {
      await apply()
    } finally {
      proto.sync = sync
    }
    assert.deepEqual(seen, [
      ...['file: - -', 'directory: kept -'],
      ...['file: kept -', 'directory: kept changed'],
    ])
  })

  it('changes nothing the second time', async () => {
    await (await plan()).apply()
    const text = await readFile(file, 'utf8')
    const again = await plan()
    assert.deepEqual([again.changes, again.tightens], [[], false])
    await again.apply()
    assert.equal(await readFile(file, 'utf8'), text)
  })

  it('makes a file where there is none, and leaves the plugin out when it is told to', async () => {
    assert.equal(await (await plan(false)).apply(), null)
    const config = await written()
    assert.deepEqual(Object.keys(config), ['proxy', 'tools'])
    assert.equal((await stat(file)).mode & 0o777, 0o600)
  })

  it('shows each change, and no credential, old or new', async () => {
    await writeFile(file, WRITTEN)
    const { changes } = await plan()
    const shown = JSON.stringify(changes)
    assert.match(shown, /http:\/\/bob:\*\*\*@10\.0\.0\.1:3128/)
    assert.match(shown, /http:\/\/openclaw:\*\*\*@127\.0\.0\.1:8081/)
    for (const hidden of ['hunter2', await secret()]) assert.equal(shown.includes(hidden), false)
    assert.equal(await readFile(file, 'utf8'), WRITTEN)
  })

  it('shows no credential of any form, also of what is no URL', () => {
    for (const [url, instead] of [
      ['http://hunter2@10.0.0.1:3128', 'http://***@10.0.0.1:3128'],
      ['http://bob:hun"ter2@10.0.0.1', 'http://bob:***@10.0.0.1'],
      ['http://bob:hunter2@hunter2@10.0.0.1', 'http://bob:***@10.0.0.1'],
      ['http://bob:hun/ter2@10.0.0.1', 'http://bob:***@10.0.0.1'],
      ['http://:hunter2@10.0.0.1', 'http://:***@10.0.0.1'],
      ['http://10.0.0.1:3128/a', 'http://10.0.0.1:3128/a'],
      ['http://10.0.0.1/@a', 'http://10.0.0.1/@a'],
    ])
      assert.deepEqual(JSON.parse(shown({ list: [url] })), { list: [instead] })
    assert.equal(shown(undefined), 'undefined')
  })

  it('keeps each earlier file, also of two changes in one second', async () => {
    const texts = ['{ a: 1 }', '{ a: 2 }', '{ a: 3 }']
    const backups: (string | null)[] = []
    for (const text of texts) {
      await writeFile(file, text)
      backups.push(await (await plan()).apply())
    }
    const kept = await Promise.all(backups.map((one) => readFile(String(one), 'utf8')))
    assert.deepEqual(kept, texts)
    assert.deepEqual((await readdir(dir)).length, 5, 'no draft is left')
  })

  it('keeps the settings that the plugin has besides', async () => {
    await writeFile(
      file,
      '{ plugins: { entries: { clawmesh: { config: { peers: ["a"], relay: { listen: "127.0.0.1:1" } } } } } }',
    )
    await (await plan()).apply()
    const config = valueAt(await written(), ['plugins', 'entries', 'clawmesh', 'config'])
    assert.deepEqual(valueAt(config, ['peers']), ['a'])
    assert.equal(valueAt(config, ['relay', 'listen']), '127.0.0.1:8081')
  })

  it('gives the relay a new secret when it is told to, also in the place of one that cannot be used', async () => {
    await (await plan()).apply()
    const before = await secret()
    await chmod(join(dir, 'relay.secret'), 0o644)
    const renewal = await plan(true, true)
    assert.equal(await secret(), before, 'a plan changes nothing')
    assert.deepEqual(
      renewal.changes.map(({ path }) => path),
      ['proxy.proxyUrl'],
    )
    await renewal.apply()
    assert.notEqual(await secret(), before)
    assert.equal((await stat(join(dir, 'relay.secret'))).mode & 0o777, 0o600)
    const proxyUrl = `http://openclaw:${await secret()}@127.0.0.1:8081`
    assert.equal(valueAt(await written(), ['proxy', 'proxyUrl']), proxyUrl)
    const shown = JSON.stringify(renewal.changes)
    for (const hidden of [before, await secret()]) assert.equal(shown.includes(hidden), false)
  })

  it('writes to the file that a link leads to', async () => {
    await mkdir(join(dir, 'real'))
    await writeFile(join(dir, 'real', 'config'), '{}')
    await symlink(join(dir, 'real', 'config'), file)
    await (await plan()).apply()
    assert.match(await readFile(join(dir, 'real', 'config'), 'utf8'), /proxyUrl/)
    assert.match(await readFile(file, 'utf8'), /proxyUrl/)
  })

  for (const text of ['', '{', '[]', '{ a: b }'])
    it(`writes nothing over ${JSON.stringify(text)}`, async () => {
      await writeFile(file, text)
      await assert.rejects(plan(), refused('MESH_CONFIG_INVALID', file))
      assert.equal(await readFile(file, 'utf8'), text)
    })

  it('writes nothing when the file changes meanwhile, or cannot be replaced', async () => {
    await writeFile(file, '{}')
    const planned = await plan()
    await writeFile(file, '{ other: 1 }')
    await assert.rejects(planned.apply(), refused('MESH_CONFIG_INVALID', 'has changed meanwhile'))
    assert.equal(await readFile(file, 'utf8'), '{ other: 1 }')
    // the copy of it would have too long a name
    file = join(dir, `${'x'.repeat(240)}.json`)
    await writeFile(file, '{ other: 1 }')
    const next = await plan()
    await assert.rejects(next.apply(), refused('MESH_DISK_WRITE', dir))
    assert.equal(await readFile(file, 'utf8'), '{ other: 1 }')
  })

  describe('as a command', () => {
    let command: string
    before(async () => {
      command = await bundledCommand(ca.dir)
    })
    const run = (args: readonly string[], env: Record<string, string> = {}) => {
      const { status, stdout, stderr } = spawnSync(
        process.execPath,
        [command, 'openclaw', 'setup', ...args],
        {
          encoding: 'utf8',
          env: { PATH: process.env.PATH ?? '', HOME: dir, OPENCLAW_STATE_DIR: dir, ...env },
        },
      )
      return { status, stdout, stderr }
    }
    const flags = () => [
      ...['--identity', identity, '--gateway', '127.0.0.1:8443'],
      ...['--egress', 'http://127.0.0.1:8080'],
    ]

    it('asks first: without a terminal to ask on it writes nothing, unless it is told --yes', async () => {
      const asked = run(flags())
      assert.equal(asked.status, 1)
      assert.match(asked.stdout, /\+ proxy\.proxyUrl: "http:\/\/openclaw:\*\*\*@127\.0\.0\.1:8081"/)
      assert.match(asked.stderr, /nothing was written\nmesh-agent: hint: --yes/)
      await assert.rejects(stat(file))
      const told = run([...flags(), '--yes', '--json'])
      assert.equal(told.status, 0)
      assert.equal(valueAt(JSON.parse(told.stdout), ['written']), true)
      const url = String(valueAt(await written(), ['proxy', 'proxyUrl']))
      const [, hidden = ''] = /openclaw:(.*)@/.exec(url) ?? []
      assert.equal(hidden.length, 43)
      for (const { stdout, stderr } of [asked, told])
        assert.equal(`${stdout}${stderr}`.includes(hidden), false)
      const again = run([])
      assert.equal(again.status, 0)
      assert.match(again.stdout, /openclaw\.json: nothing to change/)
      assert.deepEqual((await readdir(dir)).sort(), ['.local', 'openclaw.json'])
    })

    it('says what it needs to know, and leaves a configuration alone that is another’s', async () => {
      const without = run(['--yes'])
      assert.equal(without.status, 1)
      assert.match(without.stderr, /there is no --identity, --gateway, --egress/)
      const readOnly = run([...flags(), '--yes'], { OPENCLAW_NIX_MODE: '1' })
      assert.equal(readOnly.status, 1)
      assert.match(readOnly.stderr, /OPENCLAW_NIX_MODE/)
      await assert.rejects(stat(file))
    })
  })
})

function refused(code: ErrorCode, says: string) {
  return (error: unknown) => {
    assert.ok(error instanceof MeshError, String(error))
    assert.equal(error.code, code)
    assert.ok(error.message.includes(says), error.message)
    return true
  }
}
