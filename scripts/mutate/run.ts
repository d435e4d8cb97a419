/**
 * Changes one thing at a time in the sources of a room, in a copy of the checkout, and says which changes no test has seen:
 * npm run mutate -- policy --sample 30 --seed 1
 */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { readArguments, wrongUsage } from '../dev/read-arguments.ts'
import { freshSeed } from '../security/random.ts'
import { readEquivalents } from './equivalents.ts'
import { judgeRoom } from './judge-room.ts'
import { reportLines } from './report.ts'
import { findRoom, ROOM_NAMES } from './rooms.ts'

const USAGE = `usage: npm run mutate -- ROOM [--sample N] [--seed N] [--tests 12] [--near] [--fresh]
rooms: ${ROOM_NAMES.join(', ')}, or a path such as mesh-gateway/src/audit
`
const GRACE_MS = 20_000

const print = (line: string) => void process.stdout.write(`${line}\n`)
const interrupted = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => interrupted.abort(new Error(`ended by ${signal}`)))
const root = join(import.meta.dirname, '../..')
const given = readArguments(USAGE, {
  allowPositionals: true,
  options: {
    sample: { type: 'string' },
    seed: { type: 'string' },
    tests: { type: 'string', default: '12' },
    near: { type: 'boolean', default: false },
    fresh: { type: 'boolean', default: false },
  },
})
if (given !== null) await mutate(given)

async function mutate({ values, positionals }: NonNullable<typeof given>): Promise<void> {
  const files = execFileSync('git', ['ls-files', '-z', '-co', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
  })
    .split('\0')
    // a file that was deleted and not committed is listed all the same
    .filter((file) => file !== '' && existsSync(join(root, file)))
  const [name = ''] = positionals
  const room = findRoom(name, files)
  const sample = values.sample === undefined ? null : Number(values.sample)
  const seed = values.seed === undefined ? freshSeed() : Number(values.seed)
  const mostTests = Number(values.tests)

  if (
    room === null ||
    positionals.length !== 1 ||
    !(sample === null || (Number.isSafeInteger(sample) && sample > 0)) ||
    !Number.isSafeInteger(seed) ||
    !(Number.isSafeInteger(mostTests) && mostTests > 0)
  ) {
    wrongUsage(USAGE, 'name one room, and numbers above 0')
  } else {
    if (sample !== null) print(`seed ${seed}`)
    try {
      const judgement = await judgeRoom({
        ...{ root, files, room, sample, seed, mostTests, print },
        modules: ['node_modules', 'agent-sdk/node_modules', 'mesh-gateway/node_modules'].filter(
          (folder) => existsSync(join(root, folder)),
        ),
        equivalents: await readEquivalents(new URL('equivalents.json', import.meta.url)),
        near: values.near,
        fresh: values.fresh,
        signal: interrupted.signal,
        graceMs: GRACE_MS,
        stateFolder: join(root, '.clawmesh/mutate'),
      })
      for (const line of reportLines(room.name, judgement)) print(line)
    } catch (error) {
      if (!interrupted.signal.aborted) throw error
      print('ended; the same command goes on from here')
      process.exitCode = 130
    }
  }
}
