import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import { chmod, cp, mkdir, rm, writeFile } from 'node:fs/promises'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { writeIdentity } from '@clawmesh/pki'
import { runCommand } from '../../../mesh-gateway/src/cli/run-command.ts'
import { describeClosing } from '../../support/closes-everything.ts'
import { freeGatewayPorts } from '../../support/gateway-process.ts'
import { run } from '../../support/grpcurl.ts'
import { type Mesh, makeCa, startMesh } from '../../support/mesh.ts'
import { isOnPath, needProgram } from '../../support/need-program.ts'
import { checksOff } from '../../support/tls-checks-off.ts'

const COMMAND = fileURLToPath(new URL('../../../node_modules/.bin/mesh-gateway', import.meta.url))
const HOUR_MS = 3_600_000

interface Check {
  readonly check: string
  readonly ok: boolean
  readonly about: string
  readonly findings: readonly { what: string; why: string; todo: string }[]
}

describeClosing('mesh-gateway doctor finds', () => {
  let mesh: Mesh

  before(async function () {
    this.timeout(120_000)
    mesh = await startMesh({
      policy: { acme: { delegation: { allow: [{ from: 'planner', to: '*' }] } } },
    })
    await mesh.serve('acme', 'researcher', { skills: { echo: (task) => task.text() } })
  })
  after(() => mesh?.close())

  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^MESH_|_proxy$/i.test(name)),
  )
  const config = () => ['--config', mesh.gateway.configFile]
  /** The command as a process. */
  const doctor = async (args: readonly string[], more: NodeJS.ProcessEnv = {}) =>
    run(COMMAND, ['doctor', ...config(), ...args], { env: { ...env, ...more } })
  /** What it finds, by check; in this process, since starting one takes a second. */
  const diagnose = async (args: readonly string[]) => {
    const said = { stdout: '', stderr: '' }
    const code = await runCommand(['doctor', '--json', ...config(), ...args], {
      env,
      cwd: mesh.dir,
      print: (line) => {
        said.stdout += line
      },
      say: (line) => {
        said.stderr += line
      },
      writeError: (line) => {
        said.stderr += line
      },
      process: new EventEmitter(),
      exit: () => assert.fail('only the process may end'),
    })
    const { ok, checks }: { ok: boolean; checks: readonly Check[] } = JSON.parse(said.stdout)
    assert.equal(code, ok ? 0 : 1, said.stderr)
    return Object.fromEntries(checks.map((check) => [check.check, check]))
  }
  const only = (found: Record<string, Check>, name: string, what: RegExp, todo: RegExp) => {
    const bad = Object.values(found).filter(({ ok }) => !ok)
    assert.deepEqual(
      bad.map(({ check }) => check),
      [name],
      JSON.stringify(bad, null, 2),
    )
    const [finding] = found[name]?.findings ?? []
    assert.match(finding?.what ?? '', what)
    assert.match(finding?.todo ?? '', todo)
  }

  it('nothing in a mesh that runs, and exits 0', async () => {
    const args = ['--agent', await mesh.identity('acme', 'planner'), '--peer', 'acme/researcher']
    const { code, stdout, stderr } = await doctor(args)
    assert.equal(code, 0, stdout + stderr)
    assert.doesNotMatch(stdout, /^BAD/m)
    assert.match(stdout, /^fine +ports .*a mesh-gateway runs, process \d+$/m)
    assert.match(
      stdout,
      /^fine +peer +researcher\.acme\.mesh\.internal at 127\.0\.0\.1:\d+, certificate good$/m,
    )
    assert.match(stdout, /^fine +clocks +.* within \d seconds?$/m)
    assert.match(stdout, /^fine +trust bundles/m)
  })

  it('what is wrong, and says to a person why and what to do', async () => {
    const { code, stdout, stderr } = await doctor([], {
      https_proxy: 'http://u:s3cret@10.0.0.1:3128',
    })
    assert.equal(code, 1)
    assert.match(
      stdout,
      /^BAD +proxy variables +https_proxy is 10\.0\.0\.1:3128.*\n +why +\S.*\n +do +export no_proxy=/m,
    )
    assert.match(stderr, /^mesh-gateway: 1 finding$/m)
    assert.ok(!`${stdout}${stderr}`.includes('s3cret'))
  })

  it('a certificate that has ended, one that soon will, one from the future', async () => {
    const dir = join(mesh.dir, 'other-gateway')
    const issue = async (notBeforeMs: number, ttlMs: number) => {
      const notBefore = new Date(Date.now() + notBeforeMs)
      const issued = mesh.ca.issueGateway({ name: 'gw-1', tenants: ['acme'], ttlMs, notBefore })
      await writeIdentity(dir, issued)
      return diagnose(['--identity-dir', dir])
    }
    const check = (found: Record<string, Check>) => found['gateway certificate']?.findings[0]
    const ended = check(await issue(-3 * HOUR_MS, HOUR_MS))
    assert.match(ended?.what ?? '', /expired at/)
    assert.match(ended?.todo ?? '', /^mesh-pki issue gateway /)
    const soon = await issue(-3 * HOUR_MS, 4 * HOUR_MS)
    only(
      soon,
      'gateway certificate',
      /the certificate ends in \d+ minutes/,
      /^mesh-pki issue gateway /,
    )
    const future = check(await issue(2 * HOUR_MS, HOUR_MS))
    assert.match(future?.what ?? '', /valid from/)
    assert.match(future?.todo ?? '', /^timedatectl/)
  })

  it('a key that belongs to another certificate', async () => {
    const dir = join(mesh.dir, 'mismatched')
    const [one, two] = [1, 2].map(() => mesh.ca.issueGateway({ name: 'gw-1', tenants: ['acme'] }))
    assert.ok(one && two)
    await writeIdentity(dir, { ...one, privateKey: two.privateKey })
    const found = await diagnose(['--identity-dir', dir, '--peer', 'acme/researcher'])
    const [finding] = found['gateway certificate']?.findings ?? []
    assert.match(finding?.what ?? '', /tls\.key does not fit/)
    assert.match(finding?.todo ?? '', /^mesh-pki inspect /)
    assert.equal(found.peer?.findings[0]?.what, 'the peer was not dialled')
  })

  it('an agent of a foreign CA, and never advises to believe that CA', async () => {
    const stranger = join(mesh.dir, 'stranger')
    const ca = await makeCa(join(mesh.dir, 'other-ca'))
    await writeIdentity(stranger, ca.issueAgent({ tenant: 'acme', agent: 'planner' }))
    const found = await diagnose(['--agent', stranger])
    const todos = (found['trust bundles']?.findings ?? []).map(({ todo }) => todo)
    assert.equal(todos.length, 2)
    for (const todo of todos) {
      assert.match(todo, /^mesh-pki issue agent --tenant TENANT --agent NAME --out \S+stranger /)
      assert.doesNotMatch(todo, /\bc(?:at|p)\b|>/, 'nothing that changes a bundle')
    }
  })

  it('the running gateway, also with its key gone, and never advises to end a process', async () => {
    const dir = join(mesh.dir, 'without-a-key')
    await cp(join(mesh.dir, 'gateway'), dir, { recursive: true, verbatimSymlinks: true })
    await rm(join(dir, 'tls.key'))
    const found = await diagnose(['--identity-dir', dir])
    assert.ok(found['gateway certificate']?.findings.length)
    assert.match(found.ports?.about ?? '', /a mesh-gateway runs, process \d+$/)
    assert.deepEqual(found.ports?.findings, [])
  })

  it('a variable that turns the checks of certificates off', async () => {
    const { code, stdout } = await doctor([], checksOff())
    assert.equal(code, 1, stdout)
    assert.match(stdout, /^BAD +TLS variables +NODE_TLS_REJECT_UNAUTHORIZED is 0$/m)
  })

  it('a gateway whose certificate does not cover a tenant', async () => {
    const policy = join(mesh.dir, 'policy-of-two')
    await cp(join(mesh.dir, 'policy'), policy, { recursive: true })
    await writeFile(join(policy, 'globex.json'), '{"tenant":"globex"}')
    const found = await diagnose(['--policy-dir', policy])
    only(found, 'peer names', /does not cover \*\.globex\.mesh\.internal/, /--tenant acme globex /)
  })

  it('a name that does not resolve, as the configured resolver has it', async () => {
    const found = await diagnose(['--peer', 'acme/nobody'])
    only(
      found,
      'peer',
      /^nobody\.acme\.mesh\.internal has no SRV, A or AAAA record, says 127\.0\.0\.1:\d+$/,
      /^dig @127\.0\.0\.1 -p \d+ \+short SRV _grpc\._tcp\.nobody\.acme\.mesh\.internal;/,
    )
  })

  it('a peer that does not listen, one that is somebody else, one that speaks no TLS', async () => {
    const plain = createHttpServer((_, response) => response.end('hello'))
    plain.listen(0, '127.0.0.1')
    await once(plain, 'listening')
    const { port } = plain.address() as AddressInfo
    const { delegation: free } = await freeGatewayPorts()
    mesh.announce('acme', 'silent', free)
    mesh.announce('acme', 'plain', port)
    const serving = await mesh.serve('acme', 'impostor', { skills: { none: () => '' } })
    mesh.announce('acme', 'victim', serving.serving.address.port)
    try {
      const silent = await diagnose(['--peer', 'silent.acme.mesh.internal'])
      only(
        silent,
        'peer',
        /cannot be reached \(ECONNREFUSED\)/,
        /^start the peer, .*nc -vz 127\.0\.0\.1 \d+$/,
      )
      const victim = await diagnose(['--peer', 'acme/victim'])
      only(victim, 'peer', /the peer is spiffe:.*\/agent\/impostor$/, /openssl s_client -connect/)
      const spoken = await diagnose(['--peer', 'acme/plain'])
      assert.equal(spoken.peer?.ok, false)
    } finally {
      plain.close()
      await once(plain, 'close')
    }
  })

  it('a port that another program has, with its name, and one that another gateway has', async () => {
    const taken = createServer((socket) => {
      // says nothing, as programs do that wait for their own protocol
      socket.on('error', () => {})
      socket.resume()
    })
    taken.listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const { port } = taken.address() as AddressInfo
    const ports = await freeGatewayPorts()
    try {
      const found = await diagnose([
        ...['--egress-listen', `127.0.0.1:${port}`],
        ...['--delegation-listen', `127.0.0.1:${ports.delegation}`],
        ...['--admin-listen', mesh.gateway.admin],
      ])
      const whats = (found.ports?.findings ?? []).map(({ what }) => what)
      assert.equal(whats.length, 2)
      assert.match(whats[0] ?? '', /^egress\.listen .* as a mesh-gateway: .*, process \d+$/)
      assert.match(whats[0] ?? '', new RegExp(`process ${process.pid}$`))
      assert.match(whats[1] ?? '', /^admin\.listen .* another mesh-gateway, .*process \d+$/)
      assert.match(whats[1] ?? '', new RegExp(`process ${mesh.gateway.pid}$`))
    } finally {
      taken.close()
      await once(taken, 'close')
    }
  })

  it('few open files, in the shell that would start it', async () => {
    const { stdout } = await run(
      'sh',
      [
        '-c',
        `ulimit -n 300; exec "$0" doctor --json --config "$1"`,
        COMMAND,
        mesh.gateway.configFile,
      ],
      { env },
    )
    const { checks }: { checks: readonly Check[] } = JSON.parse(stdout)
    const found = Object.fromEntries(checks.map((check) => [check.check, check]))
    only(found, 'open files', /may have 300 files/, /^ulimit -n /)
  })

  it('key files that others can read, and its advice mends it', async function () {
    if (!isOnPath('chmod')) needProgram(this, 'chmod')
    const dir = join(mesh.dir, 'readable')
    await writeIdentity(dir, mesh.ca.issueGateway({ name: 'gw-1', tenants: ['acme'] }))
    await chmod(join(dir, 'tls.key'), 0o644)
    const found = await diagnose(['--identity-dir', dir])
    only(found, 'key files', /readable\/tls\.key \(644\)/, /^chmod 600 /)
    const [advice = ''] = found['key files']?.findings[0]?.todo.split(';') ?? []
    assert.equal((await run('sh', ['-c', advice])).code, 0)
    assert.ok((await diagnose(['--identity-dir', dir]))['key files']?.ok)
  })

  it('policy with faults, keys that are missing or broken, an audit log that cannot be written', async () => {
    const broken = join(mesh.dir, 'broken')
    await mkdir(join(broken, 'policy'), { recursive: true })
    await mkdir(join(broken, 'keys'), { recursive: true })
    await writeFile(join(broken, 'policy', 'acme.json'), '{"tenant":"acme","egres":{}}')
    await writeFile(join(broken, 'keys', 'ring.json'), '{')
    const of = (check: Check | undefined) => check?.findings[0]?.what ?? ''
    const found = await diagnose([
      ...['--policy-dir', join(broken, 'policy'), '--keys-dir', join(broken, 'keys')],
      ...['--audit-file', join(broken, 'policy', 'acme.json', 'audit.log')],
    ])
    assert.match(of(found.policy), /acme\.json:1:\d+ .*did you mean egress/)
    assert.match(of(found['signing keys']), /ring\.json:1:2: is not JSON/)
    assert.match(of(found['audit log']), /cannot be written \(ENOTDIR\)/)
    await rm(join(broken, 'keys'), { recursive: true })
    const absent = await diagnose(['--keys-dir', join(broken, 'keys')])
    only(absent, 'signing keys', /there are no signing keys/, /^mesh-gateway start /)
  })

  it('a configuration that is no good, and still looks at the machine', async () => {
    const { code, stdout } = await run(COMMAND, ['doctor', '--json', '--config', '/nowhere.json'], {
      env,
    })
    assert.equal(code, 1)
    const { checks }: { checks: readonly Check[] } = JSON.parse(stdout)
    assert.deepEqual(
      checks.map(({ check, ok }) => [check, ok]),
      [
        ['node', true],
        ['open files', true],
        ['kernel', true],
        ['TLS variables', true],
        ['configuration', false],
      ],
    )
    assert.match(checks[4]?.findings[0]?.what ?? '', /nowhere\.json \(ENOENT\)/)
  })

  it('without changing anything: no file is made, and the gateway goes on', async () => {
    const audit = join(mesh.dir, 'none-yet', 'audit.log')
    const fresh = join(mesh.dir, 'audit-2.log')
    await diagnose(['--audit-file', fresh, '--keys-dir', join(mesh.dir, 'no-keys')])
    assert.match(
      (await diagnose(['--audit-file', audit]))['audit log']?.findings[0]?.todo ?? '',
      /^mkdir -p /,
    )
    for (const path of [fresh, audit, join(mesh.dir, 'no-keys')])
      assert.notEqual((await run('test', ['-e', path])).code, 0, path)
    const planner = await mesh.agent('acme', 'planner')
    const result = await planner.delegate('researcher', { skill: 'echo', input: 'on' }).result()
    assert.equal(result.text(), 'on')
  })
})
