import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { helpPages } from '../../support/help-pages.ts'
import { meshPkiHere } from '../run-here.ts'

const PLANNER = ['issue', 'agent', '--tenant', 'acme', '--agent', 'planner']

describe('the usage of mesh-pki', () => {
  async function ask(args: readonly string[]) {
    const { code, stdout, stderr } = await meshPkiHere(args)
    const err = stderr.match(/(?<=^mesh-pki: ).*/gm) ?? []
    return { code, out: stdout.replace(/\n$/, ''), err: stderr === '' ? [] : [...err] }
  }

  it('says the version of the package', async () => {
    const file = new URL('../../../pki/package.json', import.meta.url)
    const { version } = JSON.parse(await readFile(file, 'utf8'))
    assert.deepEqual(await ask(['--version']), { code: 0, out: version, err: [] })
  })

  it('names the option that is wrong, and where to read on', async () => {
    for (const [args, words, hint] of [
      [['frobnicate'], "unknown command 'frobnicate'", 'mesh-pki --help'],
      [['init'], "required option '--trust-domain <name>' not specified", 'mesh-pki init --help'],
      [
        ['init', '--trust-domain', 'Mesh_'],
        'it must be a lower-case DNS name',
        'mesh-pki init --help',
      ],
      [
        ['init', '--trust-domain', 'a.b', '--permit-ip', '10.0.0.1/8'],
        'range of IP',
        'mesh-pki init --help',
      ],
      [
        ['init', '--trust-domain', 'a.b', '--root-days', '0'],
        'number of days',
        'mesh-pki init --help',
      ],
      [
        [...PLANNER, '--out', 'x', '--tenent', 'acme'],
        'did you mean --tenant',
        'mesh-pki issue agent --help',
      ],
      [
        [...PLANNER, '--out', 'x', '--ttl', 'soon'],
        'like 90s, 30m, 24h or 7d',
        'mesh-pki issue agent --help',
      ],
      [
        [...PLANNER, '--out', 'x', '--ttl', '999ms'],
        'like 90s, 30m, 24h or 7d',
        'mesh-pki issue agent --help',
      ],
      [
        ['sign', '--csr', 'x', '--tenant', 'acme'],
        'either --agent or --gateway',
        'mesh-pki sign --help',
      ],
      [
        ['sign', '--csr', 'x', '--tenant', 'a', 'b', '--agent', 'c'],
        'one tenant',
        'mesh-pki sign --help',
      ],
      [
        ['sign', '--csr', 'x', '--gateway', 'g', '--json'],
        '--json needs --out',
        'mesh-pki sign --help',
      ],
      [['inspect'], "missing required argument 'path'", 'mesh-pki inspect --help'],
      [['verify', 'a', 'b'], 'too many arguments', 'mesh-pki verify --help'],
    ] as const) {
      const { code, out, err } = await ask(args)
      const [first = '', second, ...more] = err
      assert.deepEqual([code, out, second, more], [2, '', `hint: ${hint}`, []], args.join(' '))
      assert.ok(first.includes(words), first)
      assert.doesNotMatch(first, /^error|\n|\.$|is invalid\. /)
    }
  })

  it('is worked examples, on every page of help, none twice, in 80 columns of any terminal', async () => {
    const pages = await helpPages(async (args) => {
      const { code, out, err } = await ask(args)
      assert.deepEqual([code, err], [0, []], args.join(' '))
      return out
    })
    for (const { of, lines } of pages) {
      const whole = lines
        .join('\n')
        .replaceAll(/\\\n */g, '')
        .split('\n')
      const examples = whole.filter((line) => line.startsWith('  $ '))
      assert.match(examples[0] ?? '', / mesh-pki | openssl /, of)
      assert.deepEqual([...new Set(examples)], examples, of)
      const long = lines.filter((line) => line.length > 80)
      assert.deepEqual(long, [], of)
    }
    assert.deepEqual(pages.map(({ of }) => of).toSorted(), [
      '',
      'backup',
      'backup create',
      'backup restore',
      'backup verify',
      'crl',
      'init',
      'inspect',
      'issue',
      'issue agent',
      'issue gateway',
      'renew',
      'renew intermediate',
      'revoke',
      'sign',
      'trust',
      'verify',
    ])
  })
})
