/** Runs campaigns in turns until the time is over: first the seeds that once broke a promise, then fresh ones. */
import type { Campaign, Report } from './campaign.ts'
import { freshSeed } from './random.ts'

export interface RunOptions {
  readonly campaigns: readonly Campaign[]
  readonly regressions: readonly RegressionSeed[]
  /** How long fresh seeds are taken, in milliseconds. Each campaign has one round at least. */
  readonly forMs: number
  /** Given: each campaign has one round with this seed, and there are no other rounds. */
  readonly seed: number | null
  readonly print: (line: string) => void
  /** Keeps the seed of a failure. */
  readonly keep: (failed: RegressionSeed) => Promise<void>
  /** How long a round may go on after its deadline before it counts as a hang, in milliseconds. Default 120,000. */
  readonly hangMs?: number
}

export interface RegressionSeed {
  readonly campaign: string
  readonly seed: number
  readonly why: string
}

export interface RunResult {
  /** Rounds in which nothing broke. */
  readonly passes: number
  /** What broke, in words. */
  readonly failed: readonly string[]
}

/** Of a round with a fresh seed, so that all campaigns have their turns. A known seed has all the time that its steps take. */
const ROUND_MS = 20_000
const KNOWN_ROUND_MS = 300_000

export async function runCampaigns(options: RunOptions): Promise<RunResult> {
  const { campaigns, print, seed } = options
  const figures = new Map<string, { value: number; unit: string }>()
  const failed: string[] = []
  const broken = new Set<Campaign>()
  let passes = 0
  let steps = 0
  const report: Report = {
    largest(name, value, unit) {
      figures.set(name, { value: Math.max(value, figures.get(name)?.value ?? 0), unit })
    },
    steps(count) {
      steps += count
    },
  }

  async function round(campaign: Campaign, withSeed: number, known: boolean): Promise<void> {
    const { name } = campaign
    print(`${name}: seed ${withSeed}`)
    const forMs = known ? KNOWN_ROUND_MS : ROUND_MS
    try {
      const work = campaign.run(withSeed, Date.now() + forMs, report)
      await within(work, forMs + (options.hangMs ?? 120_000))
      passes += 1
    } catch (error) {
      broken.add(campaign)
      const why = String(error).split('\n', 1)[0] ?? ''
      failed.push(`${name}, seed ${withSeed}: ${why}`)
      print(`${name}: BROKEN\n${error instanceof Error ? error.stack : String(error)}`)
      print(`again: npm run test:security -- --only '${name}' --seed ${withSeed}`)
      if (!known) await options.keep({ campaign: name, seed: withSeed, why })
    }
  }

  const untilMs = Date.now() + options.forMs
  if (seed === null) {
    for (const known of options.regressions) {
      const campaign = campaigns.find(({ name }) => name === known.campaign)
      if (campaign !== undefined) await round(campaign, known.seed, true)
    }
  }
  for (let turn = 0; ; turn += 1) {
    // the first turn is each one's, whatever the time
    const over = () => turn > 0 && (seed !== null || Date.now() >= untilMs)
    const standing = campaigns.filter((one) => !broken.has(one))
    for (const campaign of standing)
      if (!over()) await round(campaign, seed ?? freshSeed(), seed !== null)
    if (standing.length === 0 || seed !== null || Date.now() >= untilMs) break
  }
  for (const [name, { value, unit }] of figures) print(`${name}: ${value.toFixed(1)} ${unit}`)
  print(`${passes + failed.length} rounds of ${steps} steps: ${failed.length} broken`)
  return { passes, failed }
}

async function within(work: Promise<void>, ms: number): Promise<void> {
  const timer = new AbortController()
  const hang = new Promise<never>((_, reject) => {
    const timeout = setTimeout(() => reject(new Error(`the round hangs: ${ms} ms`)), ms)
    timer.signal.addEventListener('abort', () => clearTimeout(timeout))
  })
  await Promise.race([work, hang]).finally(() => timer.abort())
}
