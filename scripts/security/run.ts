/**
 * Attacks gateways at random for as long as it is told to, with seeds that it prints: npm run test:security -- --minutes 10
 * A promise that breaks is printed with the command that repeats it, and its seed is kept in regression-seeds.json, whose seeds are
 * run first each time. `--count FILE` writes what it came to as the tests of CI do.
 */
import { readFile, writeFile } from 'node:fs/promises'
import type { Count } from '../ci/count.ts'
import { isRecord } from '../dev/message.ts'
import { readArguments, wrongUsage } from '../dev/read-arguments.ts'
import type { Campaign } from './campaign.ts'
import { egressInput } from './egress-input.ts'
import { egressRequests } from './egress-requests.ts'
import { forgedTokens } from './forged-tokens.ts'
import { hostileFiles } from './hostile-files.ts'
import { http2Frames } from './http2-frames.ts'
import { type RegressionSeed, runCampaigns } from './run-campaigns.ts'

const CAMPAIGNS: readonly Campaign[] = [
  egressRequests,
  http2Frames,
  forgedTokens,
  hostileFiles,
  egressInput,
]
const SEEDS = new URL('regression-seeds.json', import.meta.url)

const USAGE = `usage: npm run test:security -- [--minutes 10] [--seed N] [--only NAME]
names: ${CAMPAIGNS.map(({ name }) => name).join(', ')}
`

const given = readArguments(USAGE, {
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string' },
    only: { type: 'string', default: '' },
    count: { type: 'string' },
  },
})
if (given !== null) await attack(given.values)

async function attack(values: NonNullable<typeof given>['values']): Promise<void> {
  const minutes = Number(values.minutes)
  const seed = values.seed === undefined ? null : Number(values.seed)
  const campaigns = CAMPAIGNS.filter(({ name }) => name.includes(values.only))
  const print = (line: string) => void process.stdout.write(`${line}\n`)

  if (campaigns.length === 0 || !(minutes >= 0) || !(seed === null || Number.isSafeInteger(seed))) {
    wrongUsage(USAGE, '--minutes and --seed take a number, --only a part of a name')
  } else {
    const regressions = await readSeeds()
    const keep = async (failed: RegressionSeed) => {
      regressions.push(failed)
      await writeFile(SEEDS, `${JSON.stringify(regressions, null, 2)}\n`)
    }
    const forMs = minutes * 60_000
    const { passes, failed } = await runCampaigns({
      campaigns,
      regressions,
      forMs,
      seed,
      print,
      keep,
    })
    const count: Count = {
      passes,
      failures: failed.length,
      skipped: [],
      retried: [],
      failed,
      failedFiles: {},
    }
    if (values.count !== undefined) await writeFile(values.count, JSON.stringify(count))
    if (failed.length > 0) process.exitCode = 1
  }
}

async function readSeeds(): Promise<RegressionSeed[]> {
  const list: unknown = JSON.parse(await readFile(SEEDS, 'utf8'))
  if (!Array.isArray(list)) throw new TypeError('regression-seeds.json: not a list')
  return list.map((one: unknown) => {
    if (isRecord(one) && typeof one.campaign === 'string' && typeof one.seed === 'number')
      return { campaign: one.campaign, seed: one.seed, why: String(one.why) }
    throw new TypeError('regression-seeds.json: each has a campaign, a seed and why')
  })
}
