/** `mesh-agent openclaw setup | doctor`: OpenClaw behind the egress port of a gateway. */

import { resolve } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { MeshError, printable, printableJson } from '@clawmesh/proto'
import { type Command, Option } from 'commander'
import { isReadOnly, openClawPlace } from '../openclaw/config-place.ts'
import { type CheckResult, isFault } from '../openclaw/doctor/finding.ts'
import type { Plan } from '../openclaw/setup.ts'
import { type MeshSettings, settingsIn } from '../openclaw/wanted-settings.ts'
import type { End } from './exit-code.ts'
import { DEFAULT_LISTEN, parseListen, secretFileOf } from './relay.ts'
import type { Terminal } from './terminal.ts'

interface Options {
  readonly identity?: string
  readonly gateway?: string
  readonly egress?: string
  readonly listen?: string
  readonly secretFile?: string
  readonly config?: string
  readonly json?: true
}

interface SetupOptions extends Options {
  readonly plugin: boolean
  readonly renewSecret?: true
  readonly yes?: true
}

const SETUP_EXAMPLES = `
Examples:
  $ mesh-agent openclaw setup --identity /etc/mesh --gateway gw:8443 --egress https://gw:8080
  $ mesh-agent openclaw setup --no-plugin --yes     the way out alone
  $ mesh-agent openclaw setup --renew-secret        another program had the port

It shows what it changes and asks. Comments and all other keys stay. The file as
it was is kept beside it. The secret of the relay is never printed. What the
plugin's entry says already need not be said again. Restart OpenClaw afterwards:
it reads its proxy URL once.`

const DOCTOR_EXAMPLES = `
Examples:
  $ mesh-agent openclaw doctor
  $ mesh-agent openclaw doctor --json

Each finding has a code for scripts. It changes nothing. It sends one request for
a name that nobody has, which the gateway refuses and records.
Exit codes: 0 nothing found, 1 something found.`

export function addOpenClaw(program: Command, terminal: Terminal, end: End): void {
  const openclaw = program
    .command('openclaw')
    .description('put OpenClaw behind the egress port, and find out what is wrong with that')
    .helpCommand(false)
  withPlaceOptions(openclaw.command('setup'))
    .description("write OpenClaw's configuration: its proxy, web_fetch, the plugin")
    .option('--no-plugin', "leave the plugin's entry alone")
    .option('--renew-secret', 'give the relay a new secret: another program may know it')
    .option('--yes', 'do not ask')
    .option('--json', 'print the facts as JSON')
    .addHelpText('after', SETUP_EXAMPLES)
    .action((options: SetupOptions) => setup(options, terminal, end))
  withPlaceOptions(openclaw.command('doctor'))
    .description('say what is wrong, and what to do about it')
    .option('--json', 'print the facts as JSON')
    .addHelpText('after', DOCTOR_EXAMPLES)
    .action((options: Options) => doctor(options, terminal, end))
}

function withPlaceOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--identity <dir>', 'directory with tls.crt, tls.key and ca.crt').env(
        'MESH_AGENT_IDENTITY',
      ),
    )
    .addOption(
      new Option('--gateway <host:port>', "the gateway's delegation port").env(
        'MESH_AGENT_GATEWAY',
      ),
    )
    .addOption(new Option('--egress <url>', "the gateway's egress port").env('MESH_AGENT_EGRESS'))
    .addOption(
      new Option('--listen <host:port>', `of the relay (default: ${DEFAULT_LISTEN})`).argParser(
        parseListen,
      ),
    )
    .option('--secret-file <file>', 'of the relay (default: by user and agent)')
    .option('--config <file>', "OpenClaw's configuration (default: as OpenClaw finds it)")
}

async function setup(options: SetupOptions, terminal: Terminal, end: End): Promise<void> {
  const { planSetup, readOpenClawConfig } = await import('../openclaw/setup.ts')
  const { configFile } = openClawPlace(terminal.env, terminal.cwd, options.config)
  if (isReadOnly(terminal.env))
    throw new MeshError(
      'MESH_CONFIG_INVALID',
      "OpenClaw's configuration is not to be written here",
      {
        hint: 'OPENCLAW_CONFIG_READONLY or OPENCLAW_NIX_MODE is set: write the keys where the file is made',
      },
    )
  const config = await readOpenClawConfig(configFile)
  const mesh = complete(await settingsOf(options, config, terminal))
  const plan = await planSetup({
    ...{ configFile, mesh, plugin: options.plugin, renewSecret: options.renewSecret === true },
    now: () => new Date(),
  })
  const { file, changes } = plan
  const wanted = changes.length > 0 || plan.tightens
  if (options.json !== true) terminal.print(planAsLines(plan))
  const agreed = wanted && (options.yes === true || (await ask(file, terminal)))
  const backup = agreed ? await plan.apply() : null
  if (options.json === true)
    terminal.print(printableJson({ file, changes, written: agreed, backup }))
  if (wanted && !agreed) {
    terminal.say('nothing was written')
    terminal.say('hint: --yes writes it without asking')
    return end(1)
  }
  if (!agreed) return
  if (backup !== null) terminal.say(`the file as it was: ${backup}`)
  if (options.renewSecret === true)
    terminal.say(
      'restart the relay: until then it takes the old secret. The plugin’s ends with OpenClaw',
    )
  terminal.say('restart OpenClaw: it reads its proxy URL once. Then: mesh-agent openclaw doctor')
}

function planAsLines({ file, changes, tightens }: Plan): string {
  if (changes.length === 0 && !tightens) return `${file}: nothing to change`
  return [
    file,
    ...changes.flatMap(({ path, before, after }) => [
      ...(before === null ? [] : [`- ${path}: ${before}`]),
      `+ ${path}: ${after}`,
    ]),
    ...(tightens ? ['+ the file is made readable by this user alone'] : []),
  ].join('\n')
}

async function ask(file: string, { stdin, interactive }: Terminal): Promise<boolean> {
  if (!interactive || stdin.isTTY !== true) return false
  const reader = createInterface({ input: stdin, output: process.stderr })
  try {
    return /^y(?:es)?$/i.test((await reader.question(`write ${printable(file)}? [y/N] `)).trim())
  } finally {
    reader.close()
  }
}

async function doctor(options: Options, terminal: Terminal, end: End): Promise<void> {
  const [{ examineOpenClaw }, { readOpenClawConfig }] = await Promise.all([
    import('../openclaw/doctor/examine-openclaw.ts'),
    import('../openclaw/setup.ts'),
  ])
  const { configFile, stateDir } = openClawPlace(terminal.env, terminal.cwd, options.config)
  // a configuration that cannot be read is a finding
  const config = await readOpenClawConfig(configFile).catch(() => null)
  const mesh = await settingsOf(options, config, terminal)
  const results = await examineOpenClaw({
    ...{ configFile, stateDir },
    mesh: { ...mesh, listen: mesh.listen ?? DEFAULT_LISTEN },
  })
  const faults = results.filter(isFault)
  terminal.print(
    options.json === true
      ? printableJson({ ok: faults.length === 0, checks: results.map(asFacts) })
      : asLines(results),
  )
  if (faults.length > 0) end(1)
}

/** Options first, then what the plugin's entry says, then what can be known without either. */
async function settingsOf(
  options: Options,
  config: unknown,
  terminal: Terminal,
): Promise<Partial<MeshSettings>> {
  const { gateway, egress, listen, secretFile } = options
  const known: Partial<MeshSettings> = {
    ...settingsIn(config),
    ...(options.identity === undefined
      ? {}
      : { identity: resolve(terminal.cwd, options.identity) }),
    ...(gateway === undefined ? {} : { gateway }),
    ...(egress === undefined ? {} : { egress }),
    ...(listen === undefined ? {} : { listen }),
  }
  if (secretFile !== undefined) return { ...known, secretFile: resolve(terminal.cwd, secretFile) }
  // an agent that was named may be another one, with another file
  if (
    known.identity === undefined ||
    (known.secretFile !== undefined && options.identity === undefined)
  )
    return known
  const own = await secretFileOf({}, known.identity, terminal).catch(() => known.secretFile)
  return own === undefined ? known : { ...known, secretFile: own }
}

/** @throws MeshError MESH_CONFIG_INVALID */
function complete(found: Partial<MeshSettings>): MeshSettings {
  const { identity, gateway, egress, listen = DEFAULT_LISTEN, secretFile } = found
  const missing = Object.entries({ identity, gateway, egress }).flatMap(([name, value]) =>
    value === undefined ? [`--${name}`] : [],
  )
  if (identity === undefined || gateway === undefined || egress === undefined)
    throw new MeshError('MESH_CONFIG_INVALID', `there is no ${missing.join(', ')}`, {
      hint: 'give them once; later they are read from the plugin’s entry',
    })
  if (secretFile === undefined)
    throw new MeshError(
      'MESH_IDENTITY_UNREADABLE',
      `${identity} does not say which agent it is for`,
    )
  return { identity, gateway, egress, listen, secretFile }
}

function asFacts(one: CheckResult): object {
  const { check, about, findings } = one
  return { check, ok: !isFault(one), about, findings }
}

function asLines(results: readonly CheckResult[]): string {
  const width = Math.max(...results.map(({ check }) => check.length)) + 2
  return results
    .flatMap((one) => [
      ...(isFault(one) ? [] : [`fine  ${one.check.padEnd(width)}${printable(one.about)}`]),
      ...one.findings.flatMap(({ code, what, todo, note }) => [
        `${note === true ? 'note' : 'BAD '}  ${one.check.padEnd(width)}${printable(what)}`,
        `${' '.repeat(6)}${'do'.padEnd(width)}${printable(todo)} (${code})`,
      ]),
    ])
    .join('\n')
}
