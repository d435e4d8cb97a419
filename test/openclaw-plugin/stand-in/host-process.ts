/**
 * A host that stands in for OpenClaw, as a process of its own: with a clock, a disk or a limit of its own. Its argument is a JSON of
 * `StandInOptions`; each line of its stdin is a call of a tool
 * (or `fill`, which fills the disk of a file, or `free`, which removes it), and each line that it prints is an answer, or what the plugin logs.
 * It ends with its stdin.
 */
import { appendFile, mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { HostToolResult } from '../../../openclaw-plugin/src/host/openclaw-types.ts'
import { createStandInOpenClaw, type StandInOptions, textOf } from './openclaw.ts'

const [options = '{}'] = process.argv.slice(2)
const parsed: StandInOptions = JSON.parse(options)
const host = createStandInOpenClaw({
  ...parsed,
  runTurn: async ({ params }) => `said: ${params.prompt}`,
})
await mkdir(join(parsed.dir, 'workspace'), { recursive: true })
await host.start()
const print = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`)
print({ started: true })
for await (const line of createInterface(process.stdin)) {
  const { tool, args } = JSON.parse(line)
  const result = await work(tool, args).catch((error: unknown) => ({ failed: String(error) }))
  print({
    text: 'failed' in result ? result.failed : textOf(result),
    details: 'failed' in result ? null : result.details,
    logged: host.logged,
  })
}
await host.stop()

async function work(tool: string, args: Record<string, unknown>): Promise<HostToolResult> {
  const file = String(args.file)
  if (tool === 'fill') await fill(file)
  else if (tool === 'free') await rm(file)
  else return host.call(tool, args)
  return { content: [], details: null }
}

/** Writes into the file until its disk takes no more. */
async function fill(file: string): Promise<void> {
  const wrote = (bytes: number) =>
    appendFile(file, Buffer.alloc(bytes)).then(
      () => true,
      () => false,
    )
  for (let bytes = 1 << 20; bytes >= 1; bytes >>= 1) while (await wrote(bytes));
}
