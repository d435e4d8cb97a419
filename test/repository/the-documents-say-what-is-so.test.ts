import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { ERRORS } from '@clawmesh/proto'
import { COMMAND_PAGES, commandPage } from '../../scripts/docs/command-page.ts'
import { ERRORS_PAGE, errorsPage } from '../../scripts/docs/errors-page.ts'
import { commandFaults, type RealCommands } from './documents/command-faults.ts'
import { linkFaults } from './documents/link-faults.ts'
import {
  codeBlocks,
  docstringExamples,
  documentsAmong,
  inlineCommands,
} from './documents/markdown-files.ts'
import { namedFileFaults, unprovenStatements } from './documents/named-files.ts'
import { realCommands } from './documents/real-commands.ts'
import { exampleFaults } from './documents/type-check.ts'
import { ROOT, repositoryFiles, type SourceFile } from './repository-files.ts'

const page = (path: string, text: string): SourceFile => ({ path, text })

describe('the documents say what is so', () => {
  let files: SourceFile[]
  let documents: SourceFile[]
  let paths: ReadonlySet<string>
  before(async () => {
    files = await repositoryFiles()
    documents = documentsAmong(files)
    paths = new Set(files.map(({ path }) => path))
    assert.ok(paths.has('README.md'))
  })

  const document = (path: string) => {
    const found = documents.find((each) => each.path === path)
    assert.ok(found, `there is no ${path}`)
    return found
  }

  it('the page of errors is the table of errors', async () => {
    const text = await readFile(`${ROOT}${ERRORS_PAGE}`, 'utf8')
    assert.equal(text, errorsPage(), 'run npm run docs')
    const rows = [...text.matchAll(/^\| `(MESH_\w+)` \| (\d+) \|/gm)]
    assert.deepEqual(
      rows.map(([, code]) => code).sort(),
      Object.keys(ERRORS).sort(),
      'each code has one row, and each row a code',
    )
  })

  it('the page of errors: a row more, less or other would be seen', () => {
    const { MESH_POLICY_DENIED: row, ...fewer } = ERRORS
    assert.notEqual(errorsPage(fewer), errorsPage())
    assert.notEqual(
      errorsPage({ ...ERRORS, MESH_POLICY_DENIED: { ...row, http: 418 } }),
      errorsPage(),
    )
    assert.notEqual(errorsPage({ ...ERRORS, MESH_NEW_THING: row }), errorsPage())
  })

  it('the pages of commands are what the commands say of themselves', async () => {
    const sections: Readonly<Record<string, readonly string[]>> = {
      'mesh-pki': ['init', 'issue agent', 'renew intermediate', 'crl', 'verify'],
      'mesh-agent': ['mcp', 'delegate', 'task wait', 'peers', 'skill install'],
    }
    for (const page of COMMAND_PAGES) {
      const text = await readFile(`${ROOT}${page.path}`, 'utf8')
      assert.equal(text, await commandPage(page), 'run npm run docs')
      for (const name of sections[page.name] ?? ['it has none here'])
        assert.match(text, new RegExp(`^## ${page.name} ${name}$`, 'm'))
    }
  })

  it('every link leads somewhere', () => assert.deepEqual(linkFaults(documents, files), []))

  it('every link: one that leads nowhere would be seen', () => {
    const known = [page('docs/a.md', '# One\n## Two words\n# One'), page('docs/sub/b.md', '')]
    const faults = (text: string) => linkFaults([page('docs/a.md', text)], known)
    for (const bad of [
      '[x](gone.md)',
      '[x](/etc/passwd)',
      '[x](a.md#three)',
      '[x][y]\n\n[y]: z.md',
    ])
      assert.equal(faults(bad).length, 1, bad)
    for (const good of [
      '[x](a.md#two-words)',
      '[x](a.md#one-1)',
      '[x](sub/b.md)',
      '[x](sub/)',
      '[x](https://example.com/y)',
      '`[x](gone.md)`',
      '```\n[x](gone.md)\n```',
    ])
      assert.deepEqual(faults(good), [], good)
  })

  it('every command is a real one', async () => {
    const blocks = documents.flatMap((each) => [...codeBlocks(each), ...inlineCommands(each)])
    assert.deepEqual(await commandFaults(blocks, realCommands()), [])
  }).timeout(120_000)

  it('every command: one that is not would be seen', async () => {
    const helps: Record<string, string> = {
      'mesh-pki': 'init issue',
      'mesh-pki issue': '--tenant NAME',
    }
    const real: RealCommands = {
      npmScripts: new Set(['start', 'docs']),
      exists: (path) => path === 'scripts/start.ts',
      help: async (program, command) => helps[[program, ...command].join(' ')] ?? null,
    }
    const faults = (text: string) =>
      commandFaults(codeBlocks(page('a.md', `\`\`\`sh\n${text}\n\`\`\``)), real)
    for (const bad of [
      'npm run gone',
      'npm gone',
      'node scripts/gone.ts',
      'npx mesh-pki gone',
      'mesh-pki issue --gone',
      'npm start && npm gone',
      'X=$(npx mesh-pki gone)',
      'mesh-pki issue \\\n  --gone x',
    ])
      assert.equal((await faults(bad)).length, 1, bad)
    const inline = inlineCommands(page('a.md', 'x\nthen `npm run gone`, not `npm ci`'))
    assert.deepEqual(await commandFaults(inline, real), [
      'a.md:2: npm run gone: no script gone in package.json',
    ])
    for (const good of [
      'npm ci && npm start -- --once',
      'npm run docs # npm run gone',
      'A=1 node --test scripts/start.ts',
      'npx mesh-pki issue --tenant acme',
      'curl -x http://u:$TOKEN@127.0.0.1:8080 http://h/',
    ])
      assert.deepEqual(await faults(good), [], good)
  })

  it('every TypeScript example type-checks, those in docstrings too', async () => {
    const examples = documents
      .flatMap(codeBlocks)
      .filter(({ language, note }) => language === 'ts' && note !== 'no-check')
    const sources = files.filter(({ path }) => /^[\w-]+\/src\/.*\.ts$/.test(path))
    const inSources = sources.flatMap(docstringExamples)
    assert.ok(inSources.length >= 4, 'the docstrings were found')
    assert.deepEqual(await exampleFaults([...examples, ...inSources]), [])
  }).timeout(120_000)

  it('every TypeScript example: a wrong one would be seen', async () => {
    const text = "import { gone } from '@clawmesh/proto'\nconst x: number = 'one'\nvoid [gone, x]"
    const [first, second, ...more] = await exampleFaults([
      { path: 'a.md', language: 'ts', note: '', text, line: 10 },
    ])
    const source = page(
      'a.ts',
      "/**\n * It does.\n *\n * @example\n * const x: number = 'one'\n */",
    )
    assert.deepEqual(docstringExamples(source), [
      { path: 'a.ts', language: 'ts', note: '', text: "const x: number = 'one'", line: 5 },
    ])
    assert.match(first ?? '', /^a\.md:10: error/)
    assert.match(second ?? '', /^a\.md:11: error/)
    assert.deepEqual(more, [])
  }).timeout(120_000)

  it('every file that is named is there', () =>
    assert.deepEqual(
      documents.flatMap((each) => namedFileFaults(each, paths)),
      [],
    ))

  it('every file that is named: one that is not would be seen', () =>
    assert.equal(namedFileFaults(page('a.md', 'see `proto/src/gone.ts`'), paths).length, 1))

  it('the journeys of docs/architecture.md name the files they pass', () => {
    const { text } = document('docs/architecture.md')
    const journeys = text.split(/^## (?=Journey)/m).slice(1)
    assert.equal(journeys.length, 3)
    for (const journey of journeys) {
      assert.ok(
        (journey.match(/`(?:agent-sdk|mesh-gateway|pki)\/src\/[\w./-]+\.ts`/g) ?? []).length >= 5,
      )
      assert.match(journey, /```/, 'a diagram')
    }
  })

  it('each statement on security points to the test that keeps it', () =>
    assert.deepEqual(unprovenStatements(document('docs/security.md'), paths), []))

  it('each statement on security: a mere claim would be seen', () => {
    const claims = '- We are safe.\n- So [safe](../test/gone.test.ts).\n'
    assert.equal(unprovenStatements(page('docs/security.md', claims), paths).length, 2)
    const proven = '- It is [so](../test/repository/the-documents-say-what-is-so.test.ts).'
    assert.deepEqual(unprovenStatements(page('docs/security.md', proven), paths), [])
  })
})
