/** `mesh-gateway issue-token`: issues an egress token for an agent. */
import { createSpiffeTemplate, printableJson } from '@clawmesh/proto'
import type { Command } from 'commander'
import { loadPolicy, policyFor } from '../policy/read/load-policy.ts'
import type { PolicySnapshot } from '../policy/snapshot.ts'
import type { Terminal } from '../process/terminal.ts'
import { judgeRevocations, type RevocationJudge } from '../revocation/judge.ts'
import { readIndex } from '../revocation/list-file.ts'
import { RevokedIndex } from '../revocation/revoked-index.ts'
import { openKeyRing } from '../tokens/key-ring.ts'
import { createTokenService } from '../tokens/token-service.ts'
import { addConfigOptions, readCommandConfig } from './config-options.ts'
import { collectHosts, durationValue, labelValue } from './values.ts'

interface IssueOptions {
  readonly agentId: string
  readonly tenant?: string
  readonly allow?: readonly string[]
  readonly ttl?: number
  readonly json?: boolean
}

const USED = [
  'trustDomain',
  'meshDomain',
  'policy.dir',
  'keys.dir',
  'tokens.issuer',
  'revocation.list',
  'spiffe.agentPath',
]

const EXAMPLES = `
Examples:
  $ mesh-gateway issue-token --config gateway.json --agent-id bot-01
  $ mesh-gateway issue-token --agent-id bot-01 --allow api.openai.com --ttl 5m
  $ TOKEN=$(mesh-gateway issue-token --agent-id bot-01 --tenant acme)
  $ echo "proxy-user = bot-01:$TOKEN" |
      curl -K - -x http://127.0.0.1:8080 https://api.openai.com

The token carries what policy allows the agent now, or the part of it that
--allow names. An agent that has been revoked gets none.`

export function addIssueToken(program: Command, terminal: Terminal): void {
  const command = program
    .command('issue-token')
    .description('print an egress token for an agent, signed with the key of the gateway')
    .requiredOption('--agent-id <agent>', 'the agent, e.g. bot-01', labelValue)
    .option('--tenant <tenant>', 'its tenant; default the only one with a policy', labelValue)
    .option('--allow <hosts>', 'destinations, as policy writes them; repeatable', collectHosts)
    .option('--ttl <time>', 'life of the token; default 15m', durationValue)
    .option('--json', 'print the token and its facts as JSON')
    .addHelpText('after', EXAMPLES)
  addConfigOptions(command, USED).action(async (options: IssueOptions) => {
    const config = await readCommandConfig({ ...options }, terminal, USED)
    const revocations = await readRevocations(config.revocation.list)
    const { dir } = config.policy
    const loading = await loadPolicy(config.policy)
    // with no good file at all, the broken ones matter
    const { tenants, closed } = loading.snapshot
    const concerned = tenants.size === 0 ? [...closed] : []
    const tenant = options.tenant ?? onlyTenant(command, policyFor(dir, loading, concerned), dir)
    const policy = policyFor(dir, loading, [tenant])
    const keyRing = await openKeyRing(config.keys)
    try {
      const { token, claims } = await createTokenService({
        keyRing,
        issuer: config.tokens.issuer,
        spiffe: createSpiffeTemplate({ trustDomain: config.trustDomain, ...config.spiffe }),
        policy: { current: () => policy },
        accounts: null,
        ttl: () => config.tokens,
        revoked: (id) => revocations.agent(id) !== null,
      }).issue({
        agent: { tenant, agent: options.agentId },
        destinations: options.allow ?? null,
        ...(options.ttl === undefined ? {} : { ttlMs: options.ttl }),
      })
      const expires = new Date(claims.exp * 1000).toISOString()
      const { agent_id, allowed_destinations, jti } = claims
      if (options.json === true) {
        const facts = {
          token: token.reveal(),
          agent_id,
          tenant,
          allowed_destinations,
          expires,
          jti,
        }
        terminal.print(printableJson(facts, 2))
        return
      }
      terminal.print(token.reveal())
      terminal.say(`token ${jti} for ${tenant}/${agent_id}, until ${expires}`)
      terminal.say(`it allows ${allowed_destinations.join(', ')}`)
    } finally {
      await keyRing.close()
    }
  })
}

/** Like a gateway that starts now: with a list that is missing or broken, no agent gets a token. */
async function readRevocations(list: string | null): Promise<Pick<RevocationJudge, 'agent'>> {
  const index = list === null ? new RevokedIndex() : await readIndex(list)
  return judgeRevocations(index, new Map(), 'refuse', Date.now).judge
}

function onlyTenant(command: Command, policy: PolicySnapshot, dir: string): string {
  const [first, ...others] = policy.tenants.keys()
  if (first !== undefined && others.length === 0) return first
  if (first === undefined) return command.error(`there is no policy of any tenant in ${dir}`)
  const names = [first, ...others].toSorted()
  const shown = names.slice(0, 20).join(', ')
  return command.error(
    `--tenant is needed: ${shown}${names.length > 20 ? ' and more' : ''} have policies`,
  )
}
