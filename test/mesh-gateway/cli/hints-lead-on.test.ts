/** The commands on files that are broken: what they advise is not to run them again. */
import assert from 'node:assert/strict'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { makeWorkplace, type Workplace } from './gateway-command.ts'

describe('a hint of the command line', () => {
  let place: Workplace
  before(async () => {
    place = await makeWorkplace()
    await mkdir(join(place.dir, 'keys'))
    await place.write('keys/ring.json', '{ "keys": [{ "kid": 7 }] }')
    await place.write('accounts.json', '{ "accounts": [{ "id": "x" }] }')
    await place.write('revoked.json', 'nothing of the kind')
    await place.write('policy/globex.json', '{ "tenant": "globex", "egres": {} }')
    await place.write('bad.json', '{ "egress": { "listen": 7 } }')
  })
  after(() => place?.close())

  const broken: readonly (readonly [command: string, ...args: string[]])[] = [
    ['keys list', '--keys-dir', 'keys'],
    ['keys rotate', '--keys-dir', 'keys'],
    ['service-account list', '--service-accounts-file', 'accounts.json'],
    ['revoke --list', '--trust-domain=mesh.internal', '--revocation-list', 'revoked.json'],
    ['policy check', 'policy'],
    ['start', '--print-config', '--config', 'bad.json'],
  ]
  for (const [command, ...args] of broken)
    it(`of \`mesh-gateway ${command}\` that fails names another thing to do, and the message names the place`, async () => {
      const at = args.map((arg) => (/^-|^x$/.test(arg) ? arg : join(place.dir, arg)))
      const { code, stdout, stderr } = await place.run(...command.split(' '), ...at)
      assert.notEqual(code, 0)
      const said = stderr + stdout
      assert.doesNotMatch(said, new RegExp(`hint: .*mesh-gateway ${command}(?! --help)`))
      assert.doesNotMatch(said, /invalid input|✖|→|\.ts:\d/i)
      assert.match(said, /DIR\/[\w/.]+\.json|globex\.json:1:|egress\.listen/)
    })
})

describe('a name that is nearly one of those that are known', () => {
  let place: Workplace
  before(async () => {
    place = await makeWorkplace()
    await place.write('policy/acme.json', {
      tenant: 'acme',
      egress: { allow: ['api.openai.com'] },
      delegation: { allow: [{ from: 'planner', to: 'researcher' }] },
    })
  })
  after(() => place?.close())
  const policy = () => ['--dir', join(place.dir, 'policy')]

  it('of a peer is answered with the one that was meant, and no rule for the wrong one', async () => {
    const explain = (to: string) =>
      place.run('explain', '--from', 'acme/planner', '--to', to, ...policy())
    const { stdout } = await explain('acme/reseacher')
    assert.match(stdout, /hint +no rule of acme\.json names reseacher; researcher is named/)
    assert.doesNotMatch(stdout, /add \{/)
    // far from any, or known: then a rule is what is missing
    for (const to of ['acme/translator', 'acme/planner'])
      assert.match((await explain(to)).stdout, /hint +add \{ "from": "planner"/)
  })

  it('of a revoked agent is warned of, while what was named is revoked', async () => {
    await place.write('with-list.json', {
      trustDomain: 'mesh.internal',
      policy: { dir: 'policy' },
      revocation: { list: 'list.json' },
    })
    const revoke = (...args: string[]) =>
      place.run('revoke', ...args, '--config', join(place.dir, 'with-list.json'))
    assert.equal((await revoke('--new')).code, 0)
    const typo = await revoke('agent', 'acme/reseacher')
    assert.equal(typo.code, 0)
    assert.match(typo.stderr, /revoked agent .*reseacher, in /)
    assert.match(
      typo.stderr,
      /warning: acme\.json names no reseacher, and researcher: revoke acme\/researcher if that was meant/,
    )
    assert.doesNotMatch((await revoke('agent', 'acme/researcher')).stderr, /warning/)
    const undone = await revoke('agent', 'acme/resarcher', '--undo')
    assert.equal(undone.code, 1)
    assert.match(undone.stderr, /hint: spiffe:\S+\/rese?archer is/)
  })

  it('of a metadata service is never advised to be let in', async () => {
    const hosts = [
      '169.254.169.254',
      '[::ffff:169.254.169.254]',
      'metadata.google.internal',
      'metadata.goog',
    ]
    for (const host of hosts) {
      const { stdout, code } = await place.run(
        ...['policy', 'explain', '--agent', 'acme/planner', '--to', host, ...policy()],
      )
      assert.equal(code, 1)
      assert.match(stdout, /hint +the metadata service of a cloud hands out credentials/)
    }
  })
})
