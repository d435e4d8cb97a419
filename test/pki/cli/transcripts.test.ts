import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { needProgram } from '../../support/need-program.ts'
import { dnsName, makeRequest } from '../make-request.ts'
import { MESH_PKI, meshPki, type Ran } from '../run.ts'
import { meshPkiHere } from '../run-here.ts'
import { makeScratch, PASSPHRASE, type Scratch } from '../scratch.ts'

const ENV = { MESH_PKI_PASSPHRASE: PASSPHRASE.reveal() }
const INIT = ['init', '--trust-domain', 'mesh.internal']
const PASS_FILE = ['--passphrase-file', 'pass.txt']
const OF_PLANNER = ['--tenant', 'acme', '--agent', 'planner']
const PLANNER = ['issue', 'agent', ...OF_PLANNER]
const SIGN = ['sign', ...OF_PLANNER]

describe('mesh-pki', function () {
  // some of the commands are processes of their own, and at a terminal
  this.timeout(120_000)

  let scratch: Scratch
  before(async () => {
    scratch = await makeScratch()
    await writeFile(scratch.path('pass.txt'), `${PASSPHRASE.reveal()}\n`)
  })
  after(() => scratch.remove())

  const command = (args: readonly string[], env: Record<string, string> = {}) =>
    meshPkiHere(args, { env, cwd: scratch.dir })
  const asProcess: typeof command = (args, env = {}) => meshPki(args, { env, cwd: scratch.dir })

  /** Exit code, stdout, stderr; what differs from run to run has a name. */
  async function transcript(
    args: readonly string[],
    env: Record<string, string> = {},
    run: (...all: Parameters<typeof command>) => Promise<Ran> = command,
  ) {
    const { code, stdout, stderr } = await run(args, env)
    const steady = (text: string) =>
      text
        .replaceAll(scratch.dir, '<dir>')
        .replaceAll(/\b[0-9a-f]{64}\b/g, '<sha256>')
        .replaceAll(/\b[0-9a-f]{32}\b/g, '<serial>')
        .replaceAll(/\bCA [0-9a-f]{8}\b/g, 'CA <id>')
        .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{3})?Z/g, '<time>')
        .replaceAll(/\b\d+ days \d+ h\b|\b\d+ h \d+ min\b/g, '<duration>')
    return [`exit ${code}`, ...lines('out', steady(stdout)), ...lines('err', steady(stderr))]
  }
  const lines = (name: string, text: string) =>
    text === ''
      ? []
      : text
          .trimEnd()
          .split('\n')
          .map((line) => `${name}| ${line}`.trimEnd())

  it('makes a CA, and says where it is, until when, and what comes next', async () => {
    assert.deepEqual(await transcript([...INIT, ...PASS_FILE], {}, asProcess), [
      'exit 0',
      'out| CA            <dir>/mesh-ca',
      'out| trust domain  mesh.internal',
      'out| mesh domain   mesh.internal',
      'out| root          sha256 <sha256>',
      'out|               until <time>, <duration> left',
      'out| intermediate  sha256 <sha256>',
      'out|               until <time>, <duration> left',
      'err| mesh-pki: root.key is needed for `mesh-pki renew intermediate` and `mesh-pki crl --root-key` only: keep it off this machine',
      'err| mesh-pki: next: mesh-pki issue agent --tenant acme --agent planner --out planner',
    ])
    assert.equal((await stat(scratch.path('mesh-ca'))).mode & 0o777, 0o700)
  })

  it('does not make it twice', async () => {
    assert.deepEqual(await transcript([...INIT, ...PASS_FILE], {}, asProcess), [
      'exit 1',
      'err| mesh-pki: <dir>/mesh-ca is not empty, and is not overwritten',
      'err| mesh-pki: hint: choose another directory; if an earlier `mesh-pki init` was interrupted there, remove it first',
    ])
  })

  it('issues an agent', async () => {
    assert.deepEqual(await transcript([...PLANNER, '--out', 'planner'], ENV), [
      'exit 0',
      'out| SPIFFE ID  spiffe://mesh.internal/tenant/acme/agent/planner',
      'out| DNS        planner.acme.mesh.internal',
      'out| files      <dir>/planner',
      'out| expires    <time>, in <duration>',
      'out| sha256     <sha256>',
    ])
  })

  it('issues a gateway, for no longer than the CA lives', async () => {
    const args = ['issue', 'gateway', '--name', 'gw', '--tenant', 'acme', 'globex', '--out', 'gw']
    assert.deepEqual(await transcript([...args, '--ttl', '9999d'], ENV), [
      'exit 0',
      'out| SPIFFE ID  spiffe://mesh.internal/gateway/gw',
      'out| DNS        gw.mesh.internal',
      'out|            gateway.mesh.internal',
      'out|            *.acme.mesh.internal',
      'out|            *.globex.mesh.internal',
      'out| files      <dir>/gw',
      'out| expires    <time>, in <duration>',
      'out| sha256     <sha256>',
      'err| mesh-pki: it ends with the intermediate of the CA, sooner than asked for',
    ])
  })

  it('shows what it issued', async () => {
    assert.deepEqual(await transcript(['inspect', 'planner']), [
      'exit 0',
      'out| certificate  O=acme, CN=planner',
      'out| SPIFFE ID    spiffe://mesh.internal/tenant/acme/agent/planner',
      'out| DNS          planner.acme.mesh.internal',
      'out| valid        <time> to <time>',
      'out|              <duration> left',
      'out| issuer       O=mesh.internal, CN=Clawmesh intermediate CA <id>',
      'out| serial       <serial>',
      'out| sha256       <sha256>',
      'out| key          EC P-256',
      'out|',
      'out| certificate  O=mesh.internal, CN=Clawmesh intermediate CA <id>',
      'out| valid        <time> to <time>',
      'out|              <duration> left',
      'out| issuer       O=mesh.internal, CN=Clawmesh root CA <id>',
      'out| serial       <serial>',
      'out| sha256       <sha256>',
      'out| key          EC P-256',
      'out| CA           with 0 CAs below',
      'out| permits      DNS mesh.internal',
      'out|',
      'out| private key  EC P-256',
      'out|              fits the certificate',
      'out|',
      'out| root    O=mesh.internal, CN=Clawmesh root CA <id>',
      'out| valid   <time> to <time>',
      'out|         <duration> left',
      'out| issuer  O=mesh.internal, CN=Clawmesh root CA <id>',
      'out| serial  <serial>',
      'out| sha256  <sha256>',
      'out| key     EC P-256',
      'out| CA      with 1 CAs below',
    ])
  })

  it('verifies what it issued', async () => {
    assert.deepEqual(await transcript(['verify', 'planner', '--ca', 'mesh-ca/root.crt']), [
      'exit 0',
      'out| ok  chain        O=acme, CN=planner <- O=mesh.internal, CN=Clawmesh intermediate CA <id> <- O=mesh.internal, CN=Clawmesh root CA <id>',
      'out| ok  time         until <time>, <duration> left',
      'out| ok  constraints  every CA above it may issue it, with its names',
      'out| ok  usage        good for TLS servers and clients',
      'out| ok  identity     spiffe://mesh.internal/tenant/acme/agent/planner',
      'out| ok  key          tls.key is the key of the certificate',
      'out| ok  handshake    accepted in a TLS 1.3 handshake, both ways',
    ])
  })

  it('says of an identity under another root that it would be refused', async () => {
    assert.equal((await transcript([...INIT, '--dir', 'other'], ENV))[0], 'exit 0')
    const said = await transcript(['verify', 'planner', '--ca', 'other/root.crt'])
    assert.equal(said[0], 'exit 1')
    assert.match(said[1] ?? '', /^out\| FAILED {2}chain .*neither in the chain nor trusted$/)
    assert.deepEqual(said.slice(-2), [
      'err| mesh-pki: planner would be refused: chain',
      'err| mesh-pki: hint: `mesh-pki inspect` shows what it holds; issue or sign it again',
    ])
  })

  it('signs a request to stdout, and to a file', async () => {
    await writeFile(scratch.path('planner.csr'), makeRequest())
    const args = [...SIGN, '--csr', 'planner.csr']
    const printed = await asProcess(args, ENV)
    assert.equal(printed.code, 0, printed.stderr)
    assert.match(printed.stdout, /^-----BEGIN CERTIFICATE-----\n/)
    assert.equal(printed.stderr, '')
    assert.deepEqual(await transcript([...args, '--out', 'signed.crt'], ENV), [
      'exit 0',
      'out| SPIFFE ID  spiffe://mesh.internal/tenant/acme/agent/planner',
      'out| DNS        planner.acme.mesh.internal',
      'out| files      <dir>/signed.crt',
      'out| expires    <time>, in <duration>',
      'out| sha256     <sha256>',
    ])
    assert.equal((await transcript(['inspect', 'planner.csr']))[0], 'exit 0')
  })

  it('refuses a request for the name of another agent', async () => {
    const names = [dnsName('researcher.acme.mesh.internal')]
    await writeFile(scratch.path('evil.csr'), makeRequest({ names }))
    assert.deepEqual(await transcript([...SIGN, '--csr', 'evil.csr', '--out', 'evil.crt'], ENV), [
      'exit 1',
      'err| mesh-pki: it asks for what is not its own: DNS "researcher.acme.mesh.internal"',
      'err| mesh-pki: hint: it may ask for spiffe://mesh.internal/tenant/acme/agent/planner, planner.acme.mesh.internal, or for no name',
    ])
    assert.equal(existsSync(scratch.path('evil.crt')), false)
  })

  it('refuses a passphrase that is wrong, missing, empty, or in a file that is not there', async () => {
    const hint =
      'err| mesh-pki: hint: give it with --passphrase-file, MESH_PKI_PASSPHRASE or at the prompt'
    const issue = [...PLANNER, '--out', 'never']
    assert.deepEqual(await transcript(issue, { MESH_PKI_PASSPHRASE: 'wrong, and secret' }), [
      'exit 1',
      'err| mesh-pki: the passphrase does not open intermediate.key',
      hint,
    ])
    assert.deepEqual(await transcript(issue), [
      'exit 1',
      'err| mesh-pki: no passphrase was given, and there is no terminal to ask at',
      'err| mesh-pki: hint: give it with --passphrase-file FILE or MESH_PKI_PASSPHRASE',
    ])
    assert.deepEqual(await transcript(issue, { MESH_PKI_PASSPHRASE: '' }), [
      'exit 1',
      'err| mesh-pki: MESH_PKI_PASSPHRASE is empty',
      hint,
    ])
    assert.deepEqual(await transcript([...issue, '--passphrase-file', 'nowhere'], ENV), [
      'exit 1',
      'err| mesh-pki: nowhere: it does not exist',
      hint,
    ])
    const init = [...INIT, '--dir', 'never']
    assert.deepEqual(await transcript(init, { MESH_PKI_PASSPHRASE: 'short' }), [
      'exit 1',
      'err| mesh-pki: the passphrase is shorter than 12 characters',
      hint,
    ])
    assert.equal(existsSync(scratch.path('never')), false)
  })

  it('refuses names that are none, and a CA that is not there', async () => {
    const args = ['issue', 'agent', '--tenant', 'acme', '--agent', 'Planner_1', '--out', 'never']
    assert.deepEqual(await transcript(args, ENV), [
      'exit 1',
      'err| mesh-pki: agent: "Planner_1" is not a lower-case DNS label',
      'err| mesh-pki: hint: names are lower-case DNS labels within the trust domain of the CA',
    ])
    assert.deepEqual(await transcript([...PLANNER, '--out', 'never', '--dir', 'nowhere'], ENV), [
      'exit 1',
      'err| mesh-pki: there is no CA in <dir>/nowhere',
      'err| mesh-pki: hint: make one with `mesh-pki init`',
    ])
  })

  it('revokes what it issued, and signs the list that says so', async () => {
    assert.deepEqual(await transcript(['revoke', 'gw', '--reason', 'keyCompromise']), [
      'exit 0',
      'out| SPIFFE ID  spiffe://mesh.internal/gateway/gw',
      'out| serial     <serial>',
      'out| revoked    <time>, keyCompromise',
      'out| expires    <time>',
      'err| mesh-pki: next: mesh-pki crl --out crl.pem, where gateways read it',
    ])
    const [exit, ...lines] = await transcript(['crl', '--out', 'crl.pem', '--ttl', '7d'], ENV)
    assert.equal(exit, 'exit 0')
    assert.deepEqual(lines.slice(0, 2), ['out| file        <dir>/crl.pem', 'out| revoked     1'])
    assert.match(await readFile(scratch.path('crl.pem'), 'utf8'), /^-----BEGIN X509 CRL-----/)
    assert.deepEqual(await transcript(['revoke', '--serial', '00aa']), [
      'exit 1',
      'err| mesh-pki: the CA has no record of a certificate "aa" that has not expired',
      'err| mesh-pki: hint: what was issued before records were kept is revoked by its file: mesh-pki revoke tls.crt',
    ])
    assert.deepEqual(await transcript(['revoke', 'gw', '--serial', '00aa']), [
      'exit 2',
      'err| mesh-pki: give one of: a path, --serial or --spiffe-id',
      'err| mesh-pki: hint: mesh-pki revoke --help',
    ])
  })

  it('renews the intermediate, and says until when the one before is good and what comes next', async () => {
    await rename(scratch.path('mesh-ca', 'root.key'), scratch.path('root.key'))
    assert.deepEqual(await transcript(['renew', 'intermediate'], ENV), [
      'exit 1',
      'err| mesh-pki: the key of the root is not in <dir>/mesh-ca, or has another passphrase',
      'err| mesh-pki: hint: name it: --root-key FILE; it has the passphrase of the CA',
    ])
    const renew = ['renew', 'intermediate', '--root-key', 'root.key']
    assert.deepEqual(await transcript(renew, ENV), [
      'exit 0',
      'out| CA            <dir>/mesh-ca',
      'out| intermediate  sha256 <sha256>',
      'out|               until <time>, <duration> left',
      'err| mesh-pki: what it issued before is good until <time> at the latest: issue it again before that',
      'err| mesh-pki: next: mesh-pki crl --out crl.pem, where gateways read it',
    ])
    const permits = async () =>
      (await transcript(['inspect', 'mesh-ca'])).filter((line) => /permits|DNS|URI|IP/.test(line))
    const dns = 'out| permits      DNS mesh.internal'
    assert.deepEqual(await permits(), [dns])
    const more = ['--permit-dns', 'lb.test', '--permit-ip', '10.0.0.0/8', '--days', '30']
    assert.match(
      (await transcript([...renew, '--constrain-uri', ...more], ENV)).join('\n'),
      /until <time>, <duration> left/,
    )
    const asked = ['DNS lb.test', 'URI mesh.internal', 'IP 10.0.0.0/255.0.0.0']
    const wide = [dns, ...asked.map((text) => `out|              ${text}`)]
    assert.deepEqual(await permits(), wide)
    await transcript(renew, ENV)
    assert.deepEqual(await permits(), wide, 'as so far')
    await transcript([...renew, '--no-constrain-uri'], ENV)
    assert.deepEqual(
      await permits(),
      wide.filter((line) => !line.includes('URI')),
    )
    assert.equal((await transcript(['verify', 'planner', '--ca', 'mesh-ca/root.crt']))[0], 'exit 0')
  })

  it('says of a revoked intermediate what goes with it, and what to do', async () => {
    assert.deepEqual(await transcript(['revoke', 'mesh-ca']), [
      'exit 1',
      'err| mesh-pki: mesh-ca is the directory of a CA',
      'err| mesh-pki: hint: to revoke its intermediate, and all that it issued, name the file: mesh-ca/intermediate.crt',
    ])
    const target = ['mesh-ca/intermediate.crt', '--reason', 'keyCompromise']
    assert.deepEqual(await transcript(['revoke', ...target]), [
      'exit 0',
      'out| serial   <serial>',
      'out| revoked  <time>, keyCompromise',
      'out| expires  <time>',
      'err| mesh-pki: an intermediate is among them: all that it issued is refused with it',
      'err| mesh-pki: next: mesh-pki renew intermediate --new-key --root-key FILE, issue again, then mesh-pki crl --out crl.pem',
    ])
    assert.deepEqual(await transcript([...PLANNER, '--out', 'planner'], ENV), [
      'exit 1',
      'err| mesh-pki: the intermediate of the CA is revoked',
      'err| mesh-pki: hint: what it issues is refused: mesh-pki renew intermediate --new-key',
    ])
    const [exit, ...lines] = await transcript(['crl', '--out', 'crl.pem'], ENV)
    assert.equal(exit, 'exit 0')
    assert.equal(
      lines.find((line) => line.startsWith('err| ')),
      'err| mesh-pki: the list of the root does not say yet that the intermediate <serial> is revoked: once with --root-key FILE',
    )
    const renew = ['renew', 'intermediate', '--new-key', '--root-key', 'root.key']
    assert.equal((await transcript(renew, ENV))[0], 'exit 0')
    assert.equal((await transcript([...PLANNER, '--out', 'planner'], ENV))[0], 'exit 0')
    assert.equal(
      (await transcript(['crl', '--out', 'crl.pem'], ENV)).join().includes('root'),
      false,
    )
  })

  it('hands out a second root beside its own, until it is told not to', async () => {
    const roots = async (...args: string[]) => (await transcript(['trust', ...args])).slice(0, 8)
    const own = ['out| root     O=mesh.internal, CN=Clawmesh root CA <id>']
    own.push('out| sha256   <sha256>', 'out| expires  <time>')
    const next = 'err| mesh-pki: next: issue again; each certificate brings these roots as ca.crt'
    assert.deepEqual(await roots(), ['exit 0', ...own])
    assert.deepEqual(await roots('other/root.crt'), ['exit 0', ...own, 'out|', ...own])
    assert.equal((await transcript([...PLANNER, '--out', 'planner'], ENV))[0], 'exit 0')
    const bundle = await readFile(scratch.path('planner', 'ca.crt'), 'utf8')
    assert.equal(bundle.match(/BEGIN/g)?.length, 2)
    await command(['trust', '--out', 'bundle.crt'])
    assert.equal(await readFile(scratch.path('bundle.crt'), 'utf8'), bundle)
    assert.deepEqual(await roots('--remove', 'other/root.crt'), ['exit 0', ...own, next])
    assert.deepEqual(await roots('mesh-ca/intermediate.crt'), [
      'exit 1',
      'err| mesh-pki: mesh-ca/intermediate.crt holds a certificate that is not a root',
      'err| mesh-pki: hint: name the root.crt of a CA: intermediates belong into tls.crt',
    ])
    assert.equal((await roots('--remove', 'mesh-ca/root.crt'))[0], 'exit 1')
    assert.equal((await roots('--remove', 'other/root.crt'))[0], 'exit 1')
  })

  it('ends with 2 after wrong usage, and says which', async () => {
    assert.deepEqual(await transcript(['isue', 'agent'], {}, asProcess), [
      'exit 2',
      "err| mesh-pki: unknown command 'isue', did you mean issue",
      'err| mesh-pki: hint: mesh-pki --help',
    ])
  })

  it('explains itself by examples', async () => {
    const asked = await command(['--help'])
    assert.deepEqual([asked.code, asked.stderr], [0, ''])
    assert.match(asked.stdout, /Examples:\n {2}\$ mesh-pki init/)
    const helpless = await command([])
    assert.deepEqual([helpless.code, helpless.stdout], [2, ''])
    assert.match(helpless.stderr, /Examples:/)
  })

  it('prints facts as JSON, and no key', async () => {
    const facts = async (...args: string[]): Promise<unknown> => {
      const { code, stdout, stderr } = await command([...args, '--json'], ENV)
      assert.equal(code, 0, stderr)
      assert.doesNotMatch(stdout, /PRIVATE KEY/)
      return JSON.parse(stdout)
    }
    const issued = await facts(...PLANNER, '--out', 'planner')
    assert.ok(typeof issued === 'object' && issued !== null && 'fingerprint' in issued)
    const inspected = await facts('inspect', 'planner')
    assert.ok(JSON.stringify(inspected).includes(String(issued.fingerprint)))
    assert.match(JSON.stringify(await facts('verify', 'planner')), /"ok":true/)
    await facts('inspect', 'mesh-ca')
    await facts('init', '--trust-domain', 'a.internal', '--dir', 'json')
  })

  it('leaves no passphrase and no plain key of the CA anywhere', async () => {
    const found = await readdir(scratch.path('mesh-ca'), { recursive: true, withFileTypes: true })
    const files = found.filter((each) => each.isFile())
    assert.ok(files.some(({ name }) => name === 'revoked.jsonl'))
    for (const { parentPath, name } of files) {
      const text = await readFile(join(parentPath, name), 'utf8')
      assert.ok(!text.includes(PASSPHRASE.reveal()))
      assert.doesNotMatch(text, /BEGIN (?:EC )?PRIVATE KEY/)
    }
  })

  describe('at a terminal', () => {
    before(async function () {
      needProgram(this, 'script')
    })

    /** Runs the command under script(1), and answers each question with the next answer. */
    async function atTerminal(args: readonly string[], answers: readonly string[]) {
      const quoted = [process.execPath, MESH_PKI, ...args].map((each) => `'${each}'`).join(' ')
      const { PATH = '', HOME = '' } = process.env
      const child = spawn('script', ['-qec', quoted, '/dev/null'], {
        cwd: scratch.dir,
        env: { PATH, HOME, SHELL: '/bin/sh', TERM: 'dumb' },
      })
      const closed = once(child, 'close')
      let screen = ''
      let asked = 0
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        screen += text
        const questions = screen.match(/(?:passphrase of the CA|once more): /g)?.length ?? 0
        for (; asked < questions; asked++) child.stdin.write(answers[asked] ?? '\u0003')
      })
      const [code] = await closed
      return { code, screen: screen.replaceAll('\r', '') }
    }

    it('asks twice without an echo when a CA is made, and once when it is used', async () => {
      const secret = 'typed Ünder cover'
      const init = [...INIT, '--dir', 'typed']
      // a slip, taken back by the backspace key
      const made = await atTerminal(init, [`${secret}x\u007f\r`, `${secret}\r`])
      assert.equal(made.code, 0, made.screen)
      assert.match(made.screen, /^passphrase of the CA: \nonce more: \n/)
      assert.ok(!made.screen.includes('typed Ü'))
      const issued = await atTerminal([...PLANNER, '--dir', 'typed', '--out', 't'], [`${secret}\r`])
      assert.equal(issued.code, 0, issued.screen)
      assert.match(issued.screen, /^passphrase of the CA: \nSPIFFE ID/)
    })

    it('makes nothing when the two differ, or when the asking is broken off', async () => {
      const init = [...INIT, '--dir', 'slip']
      const differ = await atTerminal(init, ['a long passphrase\r', 'another passphrase\r'])
      assert.equal(differ.code, 1)
      assert.match(differ.screen, /mesh-pki: the two passphrases differ/)
      const broken = await atTerminal(init, ['a long pass\u0003'])
      assert.equal(broken.code, 1)
      assert.match(broken.screen, /mesh-pki: no passphrase was given/)
      assert.equal(existsSync(scratch.path('slip')), false)
    })
  })
})
