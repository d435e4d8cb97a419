/**
 * `mesh-gateway service-account`: manages keys for machines without a certificate. A running gateway notices every
 * change by itself.
 */
import { MeshError, printableJson } from '@clawmesh/proto'
import type { Command } from 'commander'
import { UNUSED } from '../config/resolve-config.ts'
import { parseHostPattern } from '../net/host-pattern.ts'
import { loadPolicy } from '../policy/read/load-policy.ts'
import { type Terminal, table } from '../process/terminal.ts'
import { readAccounts, type ServiceAccount } from '../tokens/account-file.ts'
import { createServiceAccount, revokeServiceAccount } from '../tokens/service-accounts.ts'
import { addConfigOptions, readCommandConfig } from './config-options.ts'
import { collectHosts, labelValue } from './values.ts'

interface AccountOptions {
  readonly agentId: string
  readonly tenant: string
  readonly allow?: readonly string[]
  readonly json?: boolean
}

const USED = ['serviceAccounts.file']

const EXAMPLES = `
Examples:
  $ mesh-gateway service-account create --tenant acme --agent-id bot-01
  $ mesh-gateway service-account create --tenant acme --agent-id ci \\
      --allow api.github.com
  $ mesh-gateway service-account list
  $ mesh-gateway service-account revoke 0123456789abcdef

A token for the key:
  $ echo "header = \\"Authorization: Bearer $KEY\\"" |
      curl -K - -X POST http://127.0.0.1:8080/v1/token`

export function addServiceAccount(program: Command, terminal: Terminal): void {
  const accounts = program
    .command('service-account')
    .description('create, list and revoke keys that are exchanged for tokens')
    .helpCommand(false)
    .addHelpText('after', EXAMPLES)
  const add = (name: string, description: string) =>
    addConfigOptions(
      accounts.command(name).description(description).option('--json', 'print the facts as JSON'),
      USED,
    )
  const fileOf = async (options: object): Promise<string> => {
    const { file } = (await readCommandConfig({ ...options }, terminal, USED)).serviceAccounts
    if (file !== null) return file
    throw new MeshError('MESH_ACCOUNTS_UNUSABLE', 'no file of service accounts is configured', {
      hint: 'set serviceAccounts.file in the configuration, MESH_SERVICE_ACCOUNTS_FILE or --service-accounts-file',
    })
  }

  const create = add('create', 'make an account and print its key, once')
    .requiredOption('--agent-id <agent>', 'the agent that it acts as', labelValue)
    .requiredOption('--tenant <tenant>', 'the tenant of the agent', labelValue)
    .option('--allow <hosts>', 'narrows its tokens to these destinations; repeatable', collectHosts)
  create.action(async (options: AccountOptions) => {
    for (const host of options.allow ?? []) {
      const fault = parseHostPattern(host)
      if (typeof fault === 'string') create.error(`--allow ${JSON.stringify(host)} ${fault}`)
    }
    const file = await fileOf(options)
    const { account, key } = await createServiceAccount(file, {
      tenant: options.tenant,
      agent: options.agentId,
      destinations: options.allow ?? null,
    })
    terminal.print(
      options.json === true
        ? printableJson({ key: key.reveal(), ...shown(account) }, 2)
        : key.reveal(),
    )
    terminal.say(
      `service account ${account.id} for ${account.tenant}/${account.agent}, kept in ${file}`,
    )
    terminal.say('the key is shown this once; keep it where secrets are kept')
    await warnOfTenant(options, terminal)
  })

  add('list', 'show the accounts').action(async (options: AccountOptions) => {
    const list = (await readAccounts(await fileOf(options))).parse()
    terminal.print(
      options.json === true
        ? printableJson({ accounts: list.map(shown) }, 2)
        : table(
            ['ID', 'AGENT', 'DESTINATIONS', 'CREATED', 'STATE'],
            list.map((one) => [
              one.id,
              `${one.tenant}/${one.agent}`,
              one.destinations?.join(',') ?? 'as policy',
              one.created,
              one.revoked === null ? 'active' : `revoked ${one.revoked}`,
            ]),
          ),
    )
  })

  add('revoke', 'refuse the key of an account from now on')
    .argument('<id>', 'the id of the account, as `service-account list` shows it')
    .action(async (id: string, options: AccountOptions) => {
      const account = await revokeServiceAccount(await fileOf(options), id)
      if (options.json === true) terminal.print(printableJson(shown(account), 2))
      terminal.say(`revoked ${id}; tokens that it has already got live until they expire`)
    })
}

/** The key is good in any case, and opens what policy allows one day. But the tenant may be mistyped. */
async function warnOfTenant({ tenant, ...options }: AccountOptions, terminal: Terminal) {
  const { policy } = await readCommandConfig({ ...options }, terminal, USED)
  if (policy.dir === UNUSED) return
  const loading = await loadPolicy(policy)
  if (!loading.ok || loading.snapshot.tenants.has(tenant)) return
  const place = `${tenant}.json in ${policy.dir}`
  terminal.say(`warning: there is no ${place}: the key opens nothing until there is one`)
}

/** All facts except the hash of the key. */
function shown({ hash: _, ...facts }: ServiceAccount): object {
  return facts
}
