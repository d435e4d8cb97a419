/**
 * npm run image: makes the container image from the checkout. `-- --out DIR` says where to (dist/image), `-- --reference NAME:TAG`
 * how it is called once it is loaded. The same checkout makes the same digest. Prints what it made as JSON.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readArguments } from '../../scripts/dev/read-arguments.ts'
import { makeImage } from './make-image.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const { version } = JSON.parse(readFileSync(join(ROOT, 'mesh-gateway/package.json'), 'utf8'))

const USAGE = `usage: npm run image -- [--out DIR] [--reference NAME:TAG]
  --out DIR               where the image is written; default: dist/image
  --reference NAME:TAG    its name once it is loaded; default: localhost/clawmesh:${version}
`

const given = readArguments(USAGE, {
  options: {
    out: { type: 'string', default: join(ROOT, 'dist/image') },
    reference: { type: 'string', default: `localhost/clawmesh:${version}` },
  },
})
try {
  if (given !== null) await build(given.values)
} catch (error) {
  for (let each: unknown = error; each instanceof Error; each = each.cause)
    process.stderr.write(`image: ${each.message.trimEnd()}\n`)
  process.exitCode = 1
}

async function build({ out, reference }: NonNullable<typeof given>['values']): Promise<void> {
  if (!/^[a-z0-9][a-z0-9._/-]*:[\w.-]+$/.test(reference))
    throw new Error(
      `--reference ${reference} is no name:tag in lower case, such as localhost/clawmesh:1`,
    )
  const made = await makeImage({
    out: resolve(out),
    ...{ reference, version, revision: revision(), epoch: epoch() },
  })
  process.stdout.write(`${JSON.stringify({ reference, ...made }, null, 2)}\n`)
}

/** Null when the checkout has changes that are not committed, or there is no git. */
function revision(): string | null {
  return git('status', '--porcelain') === '' ? git('rev-parse', 'HEAD') : null
}

/** SOURCE_DATE_EPOCH, or the time of the commit. */
function epoch(): number {
  const given = process.env.SOURCE_DATE_EPOCH ?? git('log', '-1', '--format=%ct') ?? '0'
  if (!/^\d{1,11}$/.test(given))
    throw new Error(`SOURCE_DATE_EPOCH is ${given}, and not a number of seconds since 1970`)
  return Number(given)
}

function git(...args: readonly string[]): string | null {
  try {
    return execFileSync('git', args, {
      cwd: ROOT,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim()
  } catch {
    return null
  }
}
