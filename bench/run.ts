/**
 * `npm run bench`: what the gateway costs per call, next to other ways to do the same, in one run on one machine.
 * Ends everything it started, also on Ctrl-C. See docs/guides/benchmarks.md.
 */
import { spawnSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { describeMachine } from './measure/machine.ts'
import { type BenchOptions, parseOptions, SUITES, type Suite, USAGE } from './options.ts'
import { formatMarkdown } from './report/markdown.ts'
import { formatTerminal } from './report/terminal.ts'
import { runChains } from './suites/chains.ts'
import { runCuts } from './suites/cuts.ts'
import { runDelegation } from './suites/delegation.ts'
import { runEgress } from './suites/egress.ts'
import { runIdle } from './suites/idle.ts'
import { runLatency } from './suites/latency.ts'
import type { RunSuite } from './suites/run-suite.ts'
import { createStage } from './suites/stage.ts'
import { runStreams } from './suites/streams.ts'
import type { SuiteResult } from './suites/suite.ts'
import { runTunnel } from './suites/tunnel.ts'
import { runTunnelsIdle } from './suites/tunnels-idle.ts'
import { runWorkers } from './suites/workers.ts'
import { createWorld } from './world/world.ts'

const RUN: Readonly<Record<Suite, RunSuite>> = {
  delegation: runDelegation,
  latency: runLatency,
  chains: runChains,
  streams: runStreams,
  cuts: runCuts,
  egress: runEgress,
  tunnel: runTunnel,
  'tunnels-idle': runTunnelsIdle,
  workers: runWorkers,
  idle: runIdle,
}
const VERSIONS = [
  ['nginx', '-v'],
  ['squid', '-v'],
  ['smokescreen', '--version'],
  ['wrk', '-v'],
] as const
const RESULTS = new URL('./RESULTS.md', import.meta.url)

const say = (text: string) => process.stderr.write(`bench: ${text}\n`)
const parsed = parseOptions(process.argv.slice(2))
if ('fault' in parsed) {
  say(parsed.fault)
  process.stderr.write(USAGE)
  process.exitCode = 2
} else if (parsed.options.help) process.stdout.write(USAGE)
else await main(parsed.options)

async function main(options: BenchOptions): Promise<void> {
  const world = await createWorld(options)
  let stopped = false
  const stop = (signal: NodeJS.Signals) => {
    if (stopped) return
    stopped = true
    say(`${signal}: ending what was started`)
    void world.close().then(() => process.exit(signal === 'SIGINT' ? 130 : 143))
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  say(world.cores.note)
  try {
    const results: SuiteResult[] = []
    const stage = createStage(world)
    for (const suite of options.suites) {
      const result = await RUN[suite]({ world, stage, quick: options.quick, note: say }, options)
      process.stdout.write(formatTerminal(result, !options.quick))
      results.push(result)
    }
    if (options.write) await keep(options, results)
  } catch (error) {
    if (stopped) return
    say(error instanceof Error ? error.message : String(error))
    process.exitCode = 1
  } finally {
    process.off('SIGINT', stop)
    process.off('SIGTERM', stop)
    if (!stopped) await world.close()
  }
}

async function keep(options: BenchOptions, results: readonly SuiteResult[]): Promise<void> {
  const only =
    options.suites.length === SUITES.length ? [] : options.suites.map((suite) => `--only ${suite}`)
  const args = [...only, `--rounds ${options.rounds}`, '--write']
  const markdown = formatMarkdown({
    date: new Date(),
    machine: describeMachine(),
    command: `npm run bench -- ${args.join(' ')}`,
    rounds: options.rounds,
    versions: VERSIONS.map(([command, flag]) => firstLine(command, flag)).filter(
      (one) => one !== '',
    ),
    results,
  })
  await writeFile(RESULTS, markdown)
  say('figures kept in bench/RESULTS.md')
}

/** How a program names itself and its version; empty when it is not installed. */
function firstLine(command: string, flag: string): string {
  const { stdout, stderr, error } = spawnSync(command, [flag], { encoding: 'utf8' })
  const [line = ''] = error === undefined ? `${stdout}${stderr}`.split('\n') : []
  return line
    .replace('nginx version: ', '')
    .replace('Squid Cache: Version', 'squid')
    .replace('smokescreen version', 'smokescreen')
    .replace(/^(wrk \S+).*/, '$1')
}
