/** The image of deploy/image: what it is made of, on which engines it runs, and what it says when it cannot. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { isRecord } from '../../../scripts/dev/message.ts'
import { type BuiltImage, builtImage, REFERENCE } from '../../support/containers/built-image.ts'
import { type Engine, type EngineName, startEngine } from '../../support/containers/engine.ts'
import { waitFor } from '../../support/wait-for.ts'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const AGAIN = join(ROOT, 'test/support/containers/build-again.ts')
/** As the guide runs it. */
const CONFINED = ['--read-only', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges']

describe('the image', () => {
  let image: BuiltImage
  let again: BuildAgain
  before('it is built', async function () {
    this.timeout(600_000)
    image = await builtImage()
    // most of the tests wait for an engine meanwhile
    again = await buildAgain()
    const { rootfsBytes, archiveBytes } = image
    const mb = (bytes: number) => `${Math.round(bytes / 1e6)} MB`
    process.stdout.write(`    ${mb(rootfsBytes)}, as an archive ${mb(archiveBytes)}\n`)
  })
  after('what was built again is gone', () => again?.remove())

  it('lists its parts: our packages, their dependencies, Node and the libraries of Debian', async () => {
    const sbom: unknown = JSON.parse(await readFile(join(image.out, 'sbom.cdx.json'), 'utf8'))
    assert.ok(isRecord(sbom) && Array.isArray(sbom.components))
    const names = sbom.components.map(({ name }) => name)
    for (const name of [
      '@clawmesh/gateway',
      '@grpc/grpc-js',
      'undici',
      'node',
      'libc6',
      'libstdc++6',
    ])
      assert.ok(names.includes(name), name)
    for (const name of ['mocha', 'typescript', '@biomejs/biome'])
      assert.ok(!names.includes(name), name)
  })

  it('is refused with what to change: a name that no engine takes, a time that is none', async () => {
    const build = (args: readonly string[], env = {}) =>
      promisify(execFile)(process.execPath, [join(ROOT, 'deploy/image/build.ts'), ...args], {
        env: { ...process.env, ...env },
      }).then(
        () => assert.fail('it was built'),
        ({ code, stderr }) => ({ code, stderr }),
      )
    const named = await build(['--reference', 'Clawmesh'])
    assert.equal(named.code, 1)
    assert.match(named.stderr, /--reference Clawmesh is no name:tag/)
    const timed = await build([], { SOURCE_DATE_EPOCH: 'today' })
    assert.equal(timed.code, 1)
    assert.match(timed.stderr, /SOURCE_DATE_EPOCH is today/)
  })

  for (const name of ['docker', 'podman'] as const)
    describe(`on ${name}`, () => onEngine(name, () => image))

  describe('that is built again, at another time and place', () => {
    it('has the same digest', async function () {
      this.timeout(600_000)
      const { digest, id } = await again.made
      assert.deepEqual({ digest, id }, { digest: image.digest, id: image.id })
    })
  })
})

interface BuildAgain {
  readonly made: Promise<{ readonly digest: unknown; readonly id: unknown }>
  remove(): Promise<void>
}

async function buildAgain(): Promise<BuildAgain> {
  const out = await mkdtemp(join(tmpdir(), 'ci-'))
  const built = promisify(execFile)(process.execPath, [AGAIN, out])
  const made = built.then(({ stdout }) => {
    const { digest, id }: { digest: unknown; id: unknown } = JSON.parse(stdout)
    return { digest, id }
  })
  // it is awaited later, and by remove() in any case
  made.catch(() => {})
  return {
    made,
    async remove() {
      await made.catch(() => {})
      await rm(out, { recursive: true })
    },
  }
}

function onEngine(name: EngineName, image: () => BuiltImage): void {
  let engine: Engine
  let dir: string
  before('the engine runs', async () => {
    engine = await startEngine(name)
    await engine.client('load', '-i', image().archive)
    dir = await mkdtemp(join(tmpdir(), 'cf-'))
  })
  after('it is stopped', async () => {
    await engine?.close()
    await rm(dir, { recursive: true, force: true })
  })
  const run = (...args: readonly string[]) => engine.client('run', '--rm', ...CONFINED, ...args)
  const inspect = async (reference: string) => {
    const [found]: unknown[] = JSON.parse(await engine.client('image', 'inspect', reference))
    assert.ok(isRecord(found) && isRecord(found.Config))
    return { id: String(found.Id).replace(/^sha256:/, ''), config: found.Config }
  }

  it('is loaded as it was made, and runs as a user without rights', async () => {
    const { id, config } = await inspect(REFERENCE)
    assert.equal(id, image().id.replace('sha256:', ''))
    assert.equal(config.User, '65532:65532')
    assert.ok(isRecord(config.Labels))
    assert.equal(config.Labels['org.opencontainers.image.licenses'], 'Apache-2.0')
    assert.equal(await run('--network', 'none', REFERENCE, '--version'), '0.1.0\n')
    const node = ['--network', 'none', '--entrypoint', '/usr/bin/node', REFERENCE]
    const script = `const fs = require('fs')
      const can = (path) => { try { fs.writeFileSync(path, ''); return true } catch { return false } }
      console.log(JSON.stringify([process.getuid(), can('/app/x'), can('/var/lib/clawmesh/x'), fs.readdirSync('/')]))`
    const [uid, app, state, top] = JSON.parse(await run(...node, '-e', script))
    assert.deepEqual([uid, app, state], [65532, false, false])
    for (const shell of ['bin', 'sbin', 'home', 'root']) assert.ok(!top.includes(shell), shell)
  })

  it('is built the same from its tar and its Dockerfile', async () => {
    await engine.client('build', '-t', 'localhost/built:1', image().out)
    const [loaded, built] = [await inspect(REFERENCE), await inspect('localhost/built:1')]
    for (const key of ['User', 'Entrypoint', 'Cmd', 'WorkingDir', 'Labels'] as const) {
      const given = built.config[key]
      if (key !== 'Labels') assert.deepEqual(given, loaded.config[key], key)
      else
        for (const [label, value] of Object.entries(loaded.config[key] ?? {}))
          assert.equal(isRecord(given) ? given[label] : null, value, label)
    }
    assert.equal(await run('--network', 'none', 'localhost/built:1', '--version'), '0.1.0\n')
  })

  it('has what resolves names, and public CAs', async () => {
    const script = `require('dns').lookup('named.test', (error, address) => console.log(error?.code ?? address, require('tls').rootCertificates.length > 100, require('fs').readFileSync('/etc/ssl/certs/ca-certificates.crt', 'utf8').split('BEGIN').length > 100))`
    const given = ['--network', 'none', '--add-host', 'named.test:192.0.2.9']
    const node = [...given, '--entrypoint', '/usr/bin/node', REFERENCE, '-e', script]
    assert.equal(await run(...node), '192.0.2.9 true true\n')
  })

  describe('with bad input says what to change, and ends with 1', () => {
    before('files of a gateway', () => setUpGateway(dir))
    const refused = async (args: readonly string[], words: RegExp) => {
      const name = `bad-${Math.random().toString(36).slice(2)}`
      const said = await engine
        .client('run', '--name', name, ...CONFINED, '--network', 'none', ...args, REFERENCE)
        .then(
          () => assert.fail('it ran'),
          (error: unknown) => String(error),
        )
      const code = await engine.client('inspect', '--format', '{{.State.ExitCode}}', name)
      await engine.client('rm', '-f', '-v', name)
      assert.match(said, words)
      assert.equal(code.trim(), '1', said)
      // a fault of the program would print where it happened
      assert.doesNotMatch(said, /^\s+at .*\.js:\d+/m)
    }
    // of the user of the image, as the image has it
    const state = ['-v', '/var/lib/clawmesh']
    const from = (name: string) => ['-v', `${join(dir, name)}:/etc/clawmesh:ro`]

    it('without a configuration', () => refused([...state], /gateway\.json.*hint: /s))
    it('without a policy it waits for one, and says so', async () => {
      const given = [...CONFINED, '--network', 'none', ...state, ...from('no-policy')]
      await engine.client('run', '-d', '--name', 'waiting', ...given, REFERENCE)
      const said = /not ready: policy: there is no policy in \/etc\/clawmesh\/policy/
      await waitFor('the reason', async () => said.test(await engine.logs('waiting')))
      await engine.client('rm', '-f', '-v', 'waiting')
    })
    it('with a key that it may not read', () =>
      refused([...state, ...from('unreadable')], /identity.*hint: user 65532 has no access/s))
    it('with a state directory of root', () =>
      refused(
        ['-v', `${join(dir, 'state')}:/var/lib/clawmesh`, ...from('good')],
        /keys.*hint: user 65532 has no access.*chown -R 65532/s,
      ))
    it('without a volume for its state', () =>
      refused([...from('good')], /keys.*hint: the file system is read-only: mount a volume/s))
    it('with too little memory', () =>
      refused(
        ['--memory', '96m', ...state, ...from('good')],
        /96 MiB is too low.*hint: .*128 MiB/s,
      ))
  })
}

/** Directories to be mounted, each with one fault. */
async function setUpGateway(dir: string): Promise<void> {
  const pki = (...args: readonly string[]) =>
    promisify(execFile)(process.execPath, [join(ROOT, 'pki/bin/mesh-pki.cjs'), ...args], {
      cwd: dir,
      env: { ...process.env, MESH_PKI_PASSPHRASE: 'a passphrase of this test' },
    })
  const chown = (...args: readonly string[]) => promisify(execFile)('chown', args, { cwd: dir })
  await pki('init', '--trust-domain', 'mesh.internal')
  for (const name of ['good', 'no-policy', 'unreadable']) {
    await pki('issue', 'gateway', '--name', 'gateway', '--out', `${name}/identity`)
    const config = {
      trustDomain: 'mesh.internal',
      identity: { dir: 'identity' },
      policy: { dir: 'policy' },
      keys: { dir: '/var/lib/clawmesh/keys' },
    }
    await writeFile(join(dir, name, 'gateway.json'), JSON.stringify(config))
    if (name !== 'no-policy') {
      await mkdir(join(dir, name, 'policy'))
      await writeFile(join(dir, name, 'policy/acme.json'), '{ "tenant": "acme" }')
    }
    await chown('-R', '65532', name)
    if (name === 'unreadable') await chown('-R', '0', `${name}/identity`)
  }
  await mkdir(join(dir, 'state'), { mode: 0o755 })
}
