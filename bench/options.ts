/** What `npm run bench` takes on the command line. */
import { parseArgs } from 'node:util'

export const SUITES = [
  ...(['delegation', 'latency', 'chains', 'streams', 'cuts'] as const),
  ...(['egress', 'tunnel', 'tunnels-idle', 'workers', 'idle'] as const),
] as const
export type Suite = (typeof SUITES)[number]

export interface BenchOptions {
  readonly suites: readonly Suite[]
  /** Half a minute in all, judging nothing: shows that the bench works. */
  readonly quick: boolean
  readonly rounds: number
  /** Length of one measured window, in milliseconds. */
  readonly windowMs: number
  /** Before each window, in milliseconds: connections are up and code is warm when counting begins. */
  readonly warmMs: number
  /** Once per contestant before the first round, in milliseconds. */
  readonly firstWarmMs: number
  /** Keep the figures in bench/RESULTS.md. */
  readonly write: boolean
  readonly help: boolean
}

export const USAGE = `usage: npm run bench -- [options]
  --quick             half a minute in all, judging no figure
  --only <suite>      ${SUITES.join(', ')};
                      may be repeated
  --rounds <n>        rounds of each suite; default 7
  --write             keep the figures in bench/RESULTS.md
`

export type ParsedOptions = { readonly options: BenchOptions } | { readonly fault: string }

export function parseOptions(args: readonly string[]): ParsedOptions {
  const parsed = readArgs(args)
  if ('fault' in parsed) return parsed
  const { values } = parsed
  const quick = values.quick ?? false
  const suites: Suite[] = []
  for (const name of values.only ?? []) {
    const suite = SUITES.find((one) => one === name)
    if (suite === undefined) return { fault: `--only: no suite ${JSON.stringify(name)}` }
    suites.push(suite)
  }
  const rounds = values.rounds === undefined ? (quick ? 1 : 7) : Number(values.rounds)
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > 100)
    return { fault: '--rounds: must be a number from 1 to 100' }
  if (quick && values.write) return { fault: '--write: a quick run has no figures worth keeping' }
  return {
    options: {
      suites: suites.length === 0 ? SUITES : suites,
      quick,
      rounds,
      windowMs: quick ? 150 : 1500,
      warmMs: quick ? 50 : 300,
      firstWarmMs: quick ? 50 : 3000,
      write: values.write ?? false,
      help: values.help ?? false,
    },
  }
}

function readArgs(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        quick: { type: 'boolean' },
        only: { type: 'string', multiple: true },
        rounds: { type: 'string' },
        write: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    })
  } catch (error) {
    return { fault: error instanceof Error ? error.message : String(error) }
  }
}
