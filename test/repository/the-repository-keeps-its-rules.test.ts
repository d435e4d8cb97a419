import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { type Rule, repositoryFiles, type SourceFile } from './repository-files.ts'
import { durationFaults } from './rules/clocks.ts'
import { circlesOf, floorFaults } from './rules/floors.ts'
import { functionFaults } from './rules/functions.ts'
import { dependencyFaults, importFaults, undeclaredFaults } from './rules/imports.ts'
import { lockFileFaults } from './rules/lock-file.ts'
import {
  exitFaults,
  pastedSecretFaults,
  privateKeyFaults,
  readingFaults,
  seedFaults,
  shellFaults,
  tlsFaults,
} from './rules/safety.ts'
import {
  anyFaults,
  lengthFaults,
  machineFaults,
  proseFaults,
  purposeFaults,
  roomFaults,
  stateFaults,
} from './rules/shape.ts'
import { missingSteps } from './rules/steps-of-planes.ts'
import { tlsClientFaults } from './rules/tls-clients.ts'
import { topLevelAwaitFaults } from './rules/top-level-await.ts'

interface RepositoryPromise {
  readonly says: string
  readonly rule: Rule
  /** Path and text, each of which must be found. */
  readonly bad: readonly (readonly [string, string])[]
  /** Path and text, none of which may be. */
  readonly good: readonly (readonly [string, string])[]
}

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
const jwk = JSON.stringify(privateKey.export({ format: 'jwk' }))
const gateway = 'mesh-gateway/src/a.ts'

const promises: readonly RepositoryPromise[] = [
  {
    says: 'imports go one way: proto, agent-sdk, mesh-gateway; proto, pki',
    rule: importFaults,
    bad: [
      ['proto/src/a.ts', "import { x } from '@clawmesh/agent-sdk'"],
      ['agent-sdk/src/a.ts', "import type { x } from '@clawmesh/gateway'"],
      ['pki/src/a.ts', "import {\n  x,\n} from '@clawmesh/agent-sdk'"],
      [gateway, "import { initCa } from '@clawmesh/pki'"],
      [gateway, "const pki = await import('@clawmesh/pki')"],
      [gateway, "export * from '@clawmesh/pki'"],
      [gateway, "import '@clawmesh/pki'"],
      ['pki/src/a.ts', "import { x } from '@clawmesh/agent-sdk/mesh'"],
      [gateway, "import { x } from '@clawmesh/agent-sdk'"],
    ],
    good: [
      [gateway, "import { x } from '@clawmesh/proto'\nimport y from '../src/y.ts'"],
      [gateway, "// import { initCa } from '@clawmesh/pki'"],
      [gateway, "import { x } from '@clawmesh/agent-sdk/mesh'"],
      ['scripts/a.ts', "import { initCa } from '@clawmesh/pki'"],
      ['test/pki/a.test.ts', "import { x } from '../../pki/src/x.ts'"],
    ],
  },
  {
    says: 'packages are entered by their exports',
    rule: importFaults,
    bad: [
      [gateway, "import { x } from '@clawmesh/proto/src/codes.ts'"],
      [gateway, "import { x } from '../../proto/src/codes.ts'"],
      ['scripts/a.ts', "import { x } from '../pki/src/index.ts'"],
      ['test/e2e/a.test.ts', "import { x } from '../../mesh-gateway/src/index.ts'"],
      ['test/pki/a.test.ts', "import { x } from '../../proto/src/codes.ts'"],
    ],
    good: [['test/support/a.ts', "import { x } from '@clawmesh/gateway'"]],
  },
  {
    says: 'no package needs an optional one to be compiled',
    rule: importFaults,
    bad: [['proto/src/a.ts', "import type * as Pkcs11 from 'pkcs11js'"]],
    good: [['proto/src/a.ts', "const library = createRequire(import.meta.url)('pkcs11js')"]],
  },
  {
    says: 'an example imports what the author of a skill has',
    rule: importFaults,
    bad: [
      ['examples/skill/a.ts', "import { x } from '@clawmesh/proto'"],
      ['examples/skill/a.ts', "import { x } from '@clawmesh/agent-sdk/mesh'"],
      ['examples/skill/a.ts', "import { x } from '../../agent-sdk/src/index.ts'"],
      ['examples/skill/a.ts', "import { x } from '../../scripts/dev/free-ports.ts'"],
    ],
    good: [
      ['examples/skill/a.ts', "import { x } from '@clawmesh/agent-sdk'\nimport y from './y.ts'"],
      ['examples/skill/a.test.ts', "import { x } from '@clawmesh/agent-sdk/testing'"],
    ],
  },
  {
    says: 'a room imports only rooms of lower floors, and the planes never each other',
    rule: floorFaults,
    bad: [
      ['mesh-gateway/src/net/a.ts', "import type { x } from '../policy/snapshot.ts'"],
      ['mesh-gateway/src/egress/a.ts', "import { x } from '../delegation/call.ts'"],
      ['mesh-gateway/src/delegation/live/a.ts', "import { x } from '../../egress/admit.ts'"],
      ['mesh-gateway/src/policy/read/a.ts', "const x = await import('../../gateway.ts')"],
      ['mesh-gateway/src/a-new-room/a.ts', ''],
      ['agent-sdk/src/wire/a.ts', "import { x } from '../tasks/skill.ts'"],
      ['pki/src/x509/a.ts', "import { x } from '../ca/names.ts'"],
    ],
    good: [
      ['mesh-gateway/src/egress/live/a.ts', "import { x } from '../admit.ts'"],
      ['mesh-gateway/src/gateway.ts', "import { x } from './egress/port.ts'"],
      ['mesh-gateway/src/egress/a.ts', "import { x } from '../live/registry.ts'"],
      ['test/mesh-gateway/net/a.ts', "import { x } from '../../../mesh-gateway/src/gateway.ts'"],
    ],
  },
  {
    says: 'Markdown is wrapped at 120 columns',
    rule: proseFaults,
    bad: [
      ['docs/a.md', `${'word '.repeat(25)}`],
      ['docs/a.md', `- ${'word '.repeat(24)}`],
      ['docs/a.md', `\`\`\`sh\na\n\`\`\`\n${'word '.repeat(25)}`],
    ],
    good: [
      ['docs/a.md', `\`\`\`sh\n${'word '.repeat(25)}\n\`\`\``],
      ['docs/a.md', `| ${'word '.repeat(25)} |`],
      ['docs/a.md', `- [https://example.test/${'a'.repeat(120)}](x)`],
      ['mesh-gateway/src/a.ts', `// ${'word '.repeat(25)}`],
    ],
  },
  {
    says: 'no function is longer than 80 lines',
    rule: functionFaults,
    bad: [
      [gateway, `function f() {\n${'f()\n'.repeat(80)}}`],
      [gateway, `const o = { m() {\n${'o.m()\n'.repeat(80)}} }`],
      [gateway, `export const f = () => {\n${'f()\n'.repeat(80)}}`],
    ],
    good: [
      [gateway, `function f() {\n${'f()\n'.repeat(78)}}`],
      ['test/a.ts', `function f() {\n${'f()\n'.repeat(80)}}`],
    ],
  },
  {
    says: 'nothing that a plugin imports awaits at the top of a module',
    rule: topLevelAwaitFaults,
    bad: [
      ['agent-sdk/src/a.ts', 'const x: string = await f()'],
      ['proto/src/a.ts', 'for await (const x of y) f(x)'],
      ['mesh-agent/src/tools/a.ts', 'if (x) {\n  await f()\n}'],
      ['openclaw-plugin/src/index.ts', "export const { x } = await import('./x.ts')"],
    ],
    good: [
      ['agent-sdk/src/a.ts', 'export async function f() {\n  await g()\n}'],
      ['agent-sdk/src/a.ts', 'export class A {\n  async f() {\n    await g()\n  }\n}'],
      ['agent-sdk/src/a.ts', "const load = async () => await import('./x.ts')"],
      ['mesh-agent/src/cli/main.ts', 'await run()'],
      [gateway, 'await run()'],
    ],
  },
  {
    says: 'durations are counted by performance.now(), which nobody sets',
    rule: durationFaults,
    bad: [
      [gateway, 'const until = Date.now() + waitMs'],
      [gateway, 'if (Date.now() >= until) return'],
      [gateway, 'const tookMs = Date.now() - startMs'],
      [gateway, 'if (until <= Date.now()) return'],
    ],
    good: [
      [gateway, 'const until = performance.now() + waitMs'],
      [gateway, 'const { now = Date.now } = options\nreturn uuidV7(Date.now())'],
      [gateway, 'const now = () => Date.now()'],
      ['mesh-gateway/src/egress/client/port-certificate.ts', 'if (end <= Date.now()) return'],
      ['test/a.ts', 'const until = Date.now() + 1'],
    ],
  },
  {
    says: 'random tests draw fresh seeds',
    rule: seedFaults,
    bad: [
      [
        'test/a.test.ts',
        "import fc from 'fast-check'\nfc.assert(p, { numRuns: 10, seed: 20_261_126 })",
      ],
    ],
    good: [
      ['test/a.test.ts', "import fc from 'fast-check'\nfc.assert(p, { seed, numRuns: 10 })"],
      ['test/a.test.ts', 'judge({ sample: 1, seed: 5 })'],
    ],
  },
  {
    says: 'package.json files depend the same way',
    rule: dependencyFaults,
    bad: [['mesh-gateway/package.json', '{"devDependencies":{"@clawmesh/pki":"0.1.0"}}']],
    good: [['mesh-gateway/package.json', '{"dependencies":{"@clawmesh/agent-sdk":"0.1.0"}}']],
  },
  {
    says: 'a package depends on what its sources import, types too',
    rule: undeclaredFaults,
    bad: [
      ['proto/src/a.ts', "import type { A } from '@types-of/others/deep'"],
      ['pki/src/a.ts', "const { b } = await import('b')"],
    ],
    good: [
      ['pki/src/a.ts', "import { join } from 'node:path'\nimport { A } from '@clawmesh/proto'"],
    ],
  },
  {
    says: 'the lock file is whole, so that npm ci takes it on every platform',
    rule: lockFileFaults,
    bad: [
      [
        'package-lock.json',
        '{"packages":{"node_modules/a":{"optionalDependencies":{"a-darwin":"1"}}}}',
      ],
      ['package-lock.json', '{"packages":{"":{"dependencies":{"a":"1"}}}}'],
    ],
    good: [
      [
        'package-lock.json',
        '{"packages":{"node_modules/a":{"dependencies":{"b":"1","c":"1"}},"node_modules/b":{},"node_modules/a/node_modules/c":{}}}',
      ],
    ],
  },
  {
    says: 'no private key is committed',
    rule: privateKeyFaults,
    bad: [
      ['test/fixtures/tls.key', pem],
      ['test/a.test.ts', `const key = ${JSON.stringify(pem)}`],
      ['keys/a.json', jwk],
    ],
    good: [['test/a.test.ts', 'assert.match(key, /-----BEGIN PRIVATE KEY-----/)\nassert.ok(true)']],
  },
  {
    says: 'nothing is made to exit that should end by itself',
    rule: exitFaults,
    bad: [
      ['package.json', '{"scripts":{"test":"mocha --exit"}}'],
      ['.mocharc.json', '{ "exit": true }'],
      ['.ci/run', 'npx mocha --exit'],
      [gateway, 'process.exit(1)'],
    ],
    good: [
      ['mesh-gateway/src/cli/main.ts', 'process.exit(1)'],
      [gateway, 'process.exitCode = 1 // not process.exit(1)'],
    ],
  },
  {
    says: 'TLS verification is never turned off',
    rule: tlsFaults,
    bad: [
      ['test/a.test.ts', 'connect({ rejectUnauthorized: false })'],
      ['bench/a.ts', "process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'"],
      ['scripts/a.ts', "spawn('x', { env: { NODE_TLS_REJECT_UNAUTHORIZED: '0' } })"],
      [gateway, 'connect({ checkServerIdentity: () => undefined })'],
      ['README.md', '    curl -k https://127.0.0.1'],
      ['docs/a.md', '`grpcurl -d x -insecure 127.0.0.1:8443 list`'],
    ],
    good: [['README.md', 'curl -x http://127.0.0.1:8080 http://h/\nOn-kind things']],
  },
  {
    says: 'each TLS client says that it checks certificates, whatever the environment says',
    rule: tlsClientFaults,
    bad: [
      [gateway, 'tls.connect({ host, port })'],
      [
        gateway,
        'connectTls({ socket: open({ rejectUnauthorized }) })\n// rejectUnauthorized: true',
      ],
      ['agent-sdk/src/a.ts', 'buildConnector({ timeout })\nf({ rejectUnauthorized: true })'],
      [gateway, 'new Redis(url, { tls: { ca } })'],
      ['pki/src/a.ts', "https.get('https://a.test')"],
    ],
    good: [
      [gateway, 'tls.connect({ host, rejectUnauthorized: true })'],
      [gateway, 'tls.connect({ ...clientTlsOptions(snapshot, spiffe, check), host })'],
      ['test/a.test.ts', 'tls.connect({ host, ca })'],
    ],
  },
  {
    says: 'files are read in one place, with limits',
    rule: readingFaults,
    bad: [
      [gateway, "import { readFile } from 'node:fs/promises'"],
      ['agent-sdk/src/a.ts', 'readFileSync(path)'],
    ],
    good: [
      [gateway, 'await readWhole(path, { maxBytes })'],
      ['pki/src/a.ts', 'readFile(path)'],
    ],
  },
  {
    says: 'no secret is put on a command line, and packages run no programs',
    rule: shellFaults,
    bad: [
      ['test/a.test.ts', "run('openssl', ['x', '-passin', 'pass:hunter2'])"],
      [gateway, "import { exec } from 'node:child_process'"],
    ],
    good: [['test/a.test.ts', "run('openssl', ['x', '-passin', 'file:secret'])"]],
  },
  {
    says: 'no example puts a token into a command line, where every user of the machine sees it',
    rule: pastedSecretFaults,
    bad: [
      ['README.md', 'curl -x "http://bot:$TOKEN@127.0.0.1:8080" http://a.test'],
      ['docs/guides/a.md', 'curl -X POST \\\n  -H "Authorization: Bearer $KEY" http://a.test'],
      ['docs/guides/a.md', 'curl --proxy-user bot:$TOKEN http://a.test'],
      ['docs/guides/a.md', 'curl -d token=$TOKEN http://a.test'],
      [
        'docs/guides/a.md',
        'curl -x "http://b:$(mesh-gateway issue-token --agent-id b)@h" http://a',
      ],
      ['scripts/dev/a.ts', "['curl', `-x http://bot:$TOKEN@127.0.0.1`]"],
      [gateway, 'const HELP = `wget --header "Authorization: Bearer $KEY" http://a.test`'],
    ],
    good: [
      ['README.md', 'echo "proxy-user = bot:$TOKEN" | curl -K - -x http://127.0.0.1:8080 http://a'],
      ['README.md', 'HTTPS_PROXY=http://bot:$TOKEN@127.0.0.1:8080 python3 fetch.py'],
      ['README.md', 'TOKEN=$(curl -d client_id=bot http://a.test)'],
    ],
  },
  {
    says: 'modules hold no mutable state',
    rule: stateFaults,
    bad: [
      [gateway, 'let count = 0'],
      [gateway, 'export var count = 0'],
      [gateway, 'const cache = new Map<string, number>()'],
      [gateway, 'export const seen: Set<string> = new Set()'],
      [gateway, 'const list: string[] = []'],
      [gateway, 'const table = {}'],
    ],
    good: [
      [gateway, "const NAMES: ReadonlySet<string> = new Set(['a'])"],
      [gateway, 'const LIST: readonly string[] = []'],
      [gateway, 'function f() {\n  let count = 0\n  return count\n}'],
      ['test/a.test.ts', 'let count = 0'],
    ],
  },
  {
    says: 'nothing is any',
    rule: anyFaults,
    bad: [
      [gateway, 'function f(x: any) {}'],
      [gateway, 'const x = y as any'],
      [gateway, 'const x: Map<string, any> = z'],
      [gateway, 'type X = any'],
    ],
    good: [
      [gateway, "const x = 'as any' // as any"],
      [
        gateway,
        'const any = 1\nPromise.any([p])\nAbortSignal.any(all)\nf(any)'.replace('f(any)', ''),
      ],
    ],
  },
  {
    says: 'source files are short',
    rule: lengthFaults,
    bad: [[gateway, 'x\n'.repeat(301)]],
    good: [[gateway, 'x\n'.repeat(300)]],
  },
  {
    says: 'no room is named for nothing',
    rule: roomFaults,
    bad: [
      ['mesh-gateway/src/utils/a.ts', ''],
      ['agent-sdk/src/helpers.ts', ''],
      ['common/a.ts', ''],
    ],
    good: [['mesh-gateway/src/policy/a.ts', '']],
  },
  {
    says: 'the top of each source file says what it is for',
    rule: purposeFaults,
    bad: [[gateway, "import x from 'y'"]],
    good: [
      [gateway, '/** Does x. */'],
      [gateway, '#!/usr/bin/env node\n/** Does x. */'],
    ],
  },
  {
    says: 'nothing names the machine or the registry it was made on',
    rule: machineFaults,
    bad: [
      ['docs/a.md', 'cd /home/sam/clawmesh'],
      ['scripts/a.ts', "const root = '/work/clawmesh'"],
      ['.npmrc', 'registry=https://npm.example.com/'],
      ['docs/a.md', 'https://registry.example.com/x'],
      ['package-lock.json', '"resolved": "https://npm.example.com/x.tgz"'],
    ],
    good: [['docs/a.md', 'https://github.com/home/x and ~/work/x and /var/run/x']],
  },
]

describe('the repository keeps its rules', () => {
  let files: readonly SourceFile[]
  before(async () => {
    files = await repositoryFiles()
    assert.ok(files.some(({ path }) => path === 'package.json'))
  })

  it('no files import each other in a circle, not for types either', () => {
    assert.deepEqual(circlesOf(files), [])
    const circle = circlesOf([
      { path: 'bench/a.ts', text: "import { b } from './b.ts'" },
      { path: 'bench/b.ts', text: "import type { c } from './c/c.ts'\nimport './d.ts'" },
      { path: 'bench/c/c.ts', text: "import { a } from '../a.ts'" },
      { path: 'bench/d.ts', text: '' },
    ])
    assert.deepEqual(circle, [['bench/a.ts', 'bench/b.ts', 'bench/c/c.ts']])
  })

  it('both planes have their steps under the same names', () => {
    assert.deepEqual(missingSteps(files), [])
    const renamed = files.filter(({ path }) => path !== 'mesh-gateway/src/egress/shutdown.ts')
    assert.deepEqual(missingSteps(renamed), ['egress/shutdown.ts'])
  })

  for (const { says, rule, bad, good } of promises) {
    it(says, () => assert.deepEqual(files.flatMap(rule), []))

    it(`${says}: and a breach would be seen`, () => {
      for (const [path, text] of bad)
        assert.notDeepEqual(rule({ path, text }), [], `not seen in ${path}: ${text.slice(0, 80)}`)
      for (const [path, text] of good)
        assert.deepEqual(rule({ path, text }), [], `wrongly seen in ${path}`)
    })
  }
})
