/** mesh-gateway start: runs until a signal, drains, and ends with 0. */
import type { Command } from 'commander'
import { formatConfig } from '../config/format-config.ts'
import { formatListenAddress } from '../config/listen-address.ts'
import { followConfig, readConfig } from '../config/live-config.ts'
import type { Gateway } from '../gateway.ts'
import type { ListenAddress } from '../port.ts'
import { leanAsyncResource } from '../process/lean-async-resource.ts'
import type { OperationalLog } from '../telemetry/operational-log.ts'
import { addConfigOptions, configPlace } from './config-options.ts'
import { releaseStartupMemory } from './release-memory.ts'
import { columns, type Terminal } from './terminal.ts'

const EXAMPLES = `
Examples:
  $ mesh-gateway start --config gateway.json
  $ mesh-gateway start --config gateway.json --egress-listen 0.0.0.0:8080 --log-level debug
  $ MESH_CONFIG=gateway.json MESH_DRAIN_MS=1m mesh-gateway start --print-config

Flags win over MESH_ variables, which win over the file. SIGTERM and SIGINT drain, a second one ends at once;
SIGHUP reads everything anew and opens the audit log again.`

export function addStart(program: Command, terminal: Terminal): void {
  const command = program
    .command('start')
    .description('run the gateway')
    .option('--print-config', 'show the configuration as it is read, and end')
    .addHelpText('after', EXAMPLES)
  addConfigOptions(command, null).action(async (options: Readonly<Record<string, unknown>>) => {
    const place = configPlace(options, terminal, null)
    const { config, warnings } = await readConfig(place)
    for (const warning of warnings) terminal.say(`warning: ${warning}`)
    if (options.printConfig === true) return terminal.print(formatConfig(config).trimEnd())

    leanAsyncResource()
    // only now: the other commands and the help need none of it
    const [{ createGateway }, { createOperationalLog }] = await Promise.all([
      import('../gateway.ts'),
      import('../telemetry/operational-log.ts'),
    ])
    const log = createOperationalLog(config.log.level)
    releaseStartupMemory()
    const signals = listenForSignals(terminal)
    try {
      const gateway = await createGateway(config, {
        log,
        async follow(metrics) {
          const live = await followConfig(place, config, { log, metrics })
          live.onChange((next) => log.setLevel(next.log.level))
          return live
        },
      })
      announce(gateway, config.egress.tls.dir !== null, terminal)
      await run(gateway, log, signals, terminal)
    } finally {
      signals.close()
    }
  })
}

async function run(
  gateway: Gateway,
  log: OperationalLog,
  signals: Signals,
  terminal: Terminal,
): Promise<void> {
  const crash = (error: unknown) => {
    // what state we are in now, nobody knows: say why and go, the supervisor starts a fresh one
    log.error({ err: error }, 'a fault of the gateway; it ends')
    gateway.flushAuditSync()
    terminal.exit(1)
  }
  terminal.process.on('uncaughtException', crash)
  signals.onReload(() => {
    log.info({}, 'SIGHUP: reading everything anew')
    gateway.reload().catch(crash)
  })
  const signal = await signals.ended
  terminal.say(`${signal}: draining; a second signal ends at once`)
  await gateway.drain()
  terminal.process.off('uncaughtException', crash)
  terminal.say('drained')
}

function egressUrl(address: ListenAddress, overTls: boolean): string {
  const where = formatListenAddress(address)
  // a socket has no URL of its own
  if (address.path !== undefined) return overTls ? `${where}, TLS` : where
  return `${overTls ? 'https' : 'http'}://${where}`
}

function announce(gateway: Gateway, overTls: boolean, terminal: Terminal): void {
  const { addresses, identity, certificateNotAfter } = gateway
  const lines = columns([
    ['identity', `${identity.id}, until ${certificateNotAfter.toISOString()}`],
    ['egress', egressUrl(addresses.egress, overTls)],
    ['delegation', `grpcs://${formatListenAddress(addresses.delegation)}`],
    ['admin', `http://${formatListenAddress(addresses.admin)}`],
  ])
  for (const line of lines.split('\n')) terminal.say(line)
  for (const { what, reason } of gateway.missing()) terminal.say(`not ready: ${what}: ${reason}`)
}

interface Signals {
  /** The name of the first SIGTERM or SIGINT. */
  readonly ended: Promise<string>
  onReload(listener: () => void): void
  close(): void
}

/** Heard from before the start, so that none is lost while files are read. */
function listenForSignals({ process, exit, say }: Terminal): Signals {
  const ended = Promise.withResolvers<string>()
  let reload = () => {}
  let asked = false
  const onEnd = (signal: NodeJS.Signals) => {
    if (asked) {
      say(`${signal} again: ending at once`)
      exit(1)
    }
    asked = true
    ended.resolve(signal)
  }
  const onReload = () => reload()
  process.on('SIGTERM', onEnd)
  process.on('SIGINT', onEnd)
  process.on('SIGHUP', onReload)
  return {
    ended: ended.promise,
    onReload(listener) {
      reload = listener
    },
    close() {
      process.off('SIGTERM', onEnd)
      process.off('SIGINT', onEnd)
      process.off('SIGHUP', onReload)
    },
  }
}
