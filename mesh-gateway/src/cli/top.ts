/** `mesh-gateway top`: what one or several running gateways do now, in a terminal. */
import { printableJson } from '@clawmesh/proto'
import { Command } from 'commander'
import type { Terminal } from '../process/terminal.ts'
import { type AdminPlace, addAdminPlace, adminUrls } from './ask-admin.ts'
import { drawTop } from './draw-top.ts'
import type { CommandOutput } from './explanation.ts'
import { drawLive, type LiveOptions, parseSeconds } from './live-screen.ts'
import { askTop, type Seen } from './top-facts.ts'

interface Options extends AdminPlace, LiveOptions {
  readonly json?: true
}

const EXAMPLES = `
Examples:
  $ mesh-gateway top                               the gateway of this machine
  $ mesh-gateway top --config gateway.json
  $ mesh-gateway top --admin http://127.0.0.1:9090 http://127.0.0.1:9091
  $ mesh-gateway top --json | jq .[0].refused

On a terminal it draws again and again, until Ctrl-C. Exit code 1 when a gateway
that is asked once gives no answer.`

export function topCommand(
  output: CommandOutput,
  terminal: Pick<Terminal, 'env' | 'cwd' | 'screen'>,
): Command {
  return addAdminPlace(new Command('top'))
    .description('show what running gateways do now')
    .option('--every <seconds>', 'how often they are asked', parseSeconds, 2)
    .option('--once', 'ask once')
    .option('--json', 'ask once, and print JSON')
    .addHelpText('after', EXAMPLES)
    .action(async (options: Options) => {
      const urls = await adminUrls(options, terminal)
      let before: readonly Seen[] = []
      const look = async () => {
        const seen = await Promise.all(urls.map(askTop))
        const drawn = drawTop(seen, before)
        before = seen
        if (seen.some(({ fault }) => fault !== null) && (options.once || !terminal.screen))
          output.failed()
        return drawn
      }
      if (options.json !== true) return drawLive(look, options, terminal, output)
      const seen = await Promise.all(urls.map(askTop))
      if (seen.some(({ fault }) => fault !== null)) output.failed()
      output.result(
        `${printableJson(seen.map(({ url, fault, facts }) => ({ url, fault, ...facts })))}\n`,
      )
    })
}
