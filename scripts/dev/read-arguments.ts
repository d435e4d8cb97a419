/** Reads the command line of a script of the checkout, which shows its usage. */
import { type ParseArgsConfig, parseArgs } from 'node:util'

const HELP = Object.freeze({ type: 'boolean', short: 'h' } as const)

/**
 * Null when nothing is to be done: it was asked for its usage, or its usage is wrong, which it says. The exit code is then
 * set: 0 or 2.
 */
export function readArguments<T extends ParseArgsConfig>(
  usage: string,
  config: T,
): ReturnType<typeof parseArgs<T>> | null {
  try {
    // read twice, so that the options of the script keep their types
    const options = { ...config.options, help: HELP }
    const { values }: { values: { readonly help?: unknown } } = parseArgs({ ...config, options })
    if (values.help !== true) return parseArgs(config)
    process.stdout.write(usage)
  } catch (error) {
    const [fault = ''] = String(error instanceof Error ? error.message : error).split('. ')
    wrongUsage(usage, fault)
  }
  return null
}

/** Says what is wrong, and the usage. */
export function wrongUsage(usage: string, fault: string): void {
  process.stderr.write(`${fault}\n${usage}`)
  process.exitCode = 2
}
