/**
 * npm run test:deploy: runs what is in deploy/ against the real components. `-- NAME…` runs some parts (parts.ts),
 * `-- --ci` those that CI runs, `-- --packages` prints the Debian packages that
 * they need and that are missing, and ends; else these are installed first.
 * `--grep WORDS` and paths of test files choose tests. Ends with `N passed, N failed`; needs root.
 */
import { writeFileSync } from 'node:fs'
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Count } from '../../scripts/ci/count.ts'
import { readArguments, wrongUsage } from '../../scripts/dev/read-arguments.ts'
import { installPackages, missingPackages } from './debian-packages.ts'
import { PARTS, type Part } from './parts.ts'
import { NOTHING, runPart, withFailures } from './run-part.ts'
import { buildGoTools } from './tools/go-tool.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

const USAGE = `usage: npm run test:deploy -- [PART… | FILE.test.ts…] [--grep WORDS] [--ci] [--packages]
parts: ${PARTS.map(({ name }) => name).join(', ')}
  --ci          those that CI runs
  --packages    print the Debian packages that they need and that are missing
`

const given = readArguments(USAGE, {
  allowPositionals: true,
  options: {
    ci: { type: 'boolean', default: false },
    packages: { type: 'boolean', default: false },
    grep: { type: 'string' },
    // of scripts/ci/run-tests.ts
    retries: { type: 'string', default: '0' },
    reporter: { type: 'string' },
    'reporter-option': { type: 'string' },
  },
})
const values = given?.values
const positionals = given?.positionals ?? []
const files = positionals.filter((each) => each.endsWith('.ts')).map((each) => relative(ROOT, each))
const names = positionals.filter((each) => !each.endsWith('.ts'))
const unknown = names.filter((name) => !PARTS.some((part) => part.name === name))
const chosen = chooseParts()
const packages = [...new Set(chosen.flatMap((part) => part.packages))]

if (unknown.length > 0) wrongUsage(USAGE, `there is no part ${unknown.join(', ')}`)
else if (values?.packages)
  process.stdout.write(
    missingPackages(packages)
      .map((name) => `${name}\n`)
      .join(''),
  )
else if (values !== undefined) await main()

async function main(): Promise<void> {
  const counts: Count[] = []
  const times: string[] = []
  const missing = prepare()
  if (missing !== null) counts.push(withFailures(NOTHING, [missing]))
  else
    for (const part of chosen) {
      process.stdout.write(`\n== ${part.name}\n`)
      const began = performance.now()
      counts.push(await buildAndRun(part))
      times.push(`${part.name} ${((performance.now() - began) / 1000).toFixed(0)} s`)
    }
  const count = sumOf(counts)
  const output = values?.['reporter-option']?.replace(/^output=/, '')
  if (output !== undefined) writeFileSync(output, JSON.stringify(count))
  for (const title of count.failed) process.stdout.write(`failed: ${title}\n`)
  process.stdout.write(`\n${times.join(', ')}\n${count.passes} passed, ${count.failures} failed\n`)
  if (count.failures > 0) process.exitCode = 1
}

async function buildAndRun(part: Part): Promise<Count> {
  try {
    await buildGoTools(part.goTools ?? [], (line) => process.stdout.write(`${line}\n`))
  } catch (error) {
    return withFailures(NOTHING, [`${part.name}: ${String(error)}`])
  }
  return await runPart({ ...part, files: filesOf(part), mochaArgs: mochaArgs() })
}

function chooseParts(): readonly Part[] {
  if (files.length > 0) return PARTS.filter((part) => filesIn(part).length > 0)
  return PARTS.filter((part) =>
    names.length > 0 ? names.includes(part.name) : part.ci || !values?.ci,
  )
}

/** Why no part can run, or null. */
function prepare(): string | null {
  if (process.geteuid?.() !== 0)
    return 'the tests of deploy make namespaces, so they need root: sudo -E env "PATH=$PATH" npm run test:deploy'
  try {
    installPackages(packages)
    return null
  } catch (error) {
    return String(error)
  }
}

function filesOf(part: Part): readonly string[] {
  const given = filesIn(part)
  return given.length > 0 ? given : [`test/deploy/${part.name}/**/*.test.ts`]
}

function filesIn({ name }: Part): readonly string[] {
  return files.filter((file) => file.startsWith(`test/deploy/${name}/`))
}

function mochaArgs(): string[] {
  const { retries = '0', grep } = values ?? {}
  return ['--retries', retries, ...(grep === undefined ? [] : ['--grep', grep])]
}

function sumOf(counts: readonly Count[]): Count {
  return {
    passes: counts.reduce((sum, { passes }) => sum + passes, 0),
    failures: counts.reduce((sum, { failures }) => sum + failures, 0),
    skipped: counts.flatMap(({ skipped }) => skipped),
    retried: counts.flatMap(({ retried }) => retried),
    failed: counts.flatMap(({ failed }) => failed),
    failedFiles: Object.assign({}, ...counts.map(({ failedFiles }) => failedFiles)),
  }
}
